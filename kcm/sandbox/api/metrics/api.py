"""The metrics APIs of one server, wired.

`MetricsApi` is what the server knows: `read` says whether a request is one of theirs, `answer`
answers it, `administer` serves the admin path, `resources` is for discovery, `run` carries loads.
Guarantees: costs nothing while nobody asks and no load is set. Owns the book of values.
"""

from __future__ import annotations

from collections.abc import Sequence

from kcm.base.clock import Clock
from kcm.sandbox.api.calls import Call
from kcm.sandbox.api.errors import method_not_allowed
from kcm.sandbox.api.metrics import admin, routes
from kcm.sandbox.api.metrics.admin import Admin
from kcm.sandbox.api.metrics.book import Book
from kcm.sandbox.api.metrics.custom import CustomMetrics
from kcm.sandbox.api.metrics.external import ExternalMetrics
from kcm.sandbox.api.metrics.facts import Facts, PodFact
from kcm.sandbox.api.metrics.loads import LoadMeter
from kcm.sandbox.api.metrics.resource import ResourceMetrics
from kcm.sandbox.api.metrics.scrapes import Scrapes
from kcm.sandbox.api.metrics.table import usage_table
from kcm.sandbox.api.negotiation import parse_accept
from kcm.sandbox.api.records import encode
from kcm.sandbox.api.rendering import TABLE
from kcm.sandbox.api.store import Store
from kcm.sandbox.schema.resources import ResourceInfo
from kcm.serving.http import Request, Response


class MetricsApi:
    """Serves metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io."""

    def __init__(self, store: Store, clock: Clock, speed: float = 1.0) -> None:
        """`speed` divides the 15 s between scrapes and all times of shapes."""
        self.book = Book(clock, speed)
        scrapes = Scrapes(clock, speed)
        pods = Facts(PodFact)
        self._loads = LoadMeter(store, self.book, scrapes, pods, clock)
        self._resource = ResourceMetrics(store, self._loads, scrapes, pods, clock, speed)
        self._custom = CustomMetrics(store, self.book, self._loads, scrapes, clock, speed)
        self._external = ExternalMetrics(store, self.book, clock, speed)
        self._admin = Admin(self.book)

    def resources(self) -> Sequence[ResourceInfo]:
        """Return what discovery shows of these APIs."""
        return tuple(routes.advertised(self._custom.known(), self._external.known()))

    def read(self, request: Request) -> Call | None:
        """Return the call that a request makes on one of these APIs, if it does."""
        return routes.read(request)

    async def answer(self, call: Call, request: Request) -> Response:
        """Answer a call; ApiFailure when it is refused."""
        if call.verb not in call.resource.verbs:
            raise method_not_allowed()
        shapes = (TABLE,) if call.resource.group == routes.RESOURCE else ()
        wanted = parse_accept(request.headers.get("accept", ""), shapes)
        match call.resource.group:
            case routes.RESOURCE:
                document = await self._resource.answer(call)
            case routes.CUSTOM:
                document = self._custom.answer(call)
            case _:
                document = self._external.answer(call)
        return Response(200, encode(usage_table(document) if wanted.shape else document))

    def administer(self, request: Request) -> Response | None:
        """Answer a request on the admin path; None when it is on another."""
        return self._admin.answer(request) if admin.concerns(request.path) else None

    async def run(self) -> None:
        """Carry loads until cancelled."""
        await self._loads.run()
