"""The API server: one request in, one response out.

`ApiServer` wires store, rules and watches behind two doors, and owns all of them: `handle` trusts
its callers, `handle_secured` asks who they are and what the stored roles let them do. Both work the
same called directly (tests in virtual time) and behind `kcm.serving.http.HttpServer`. Guarantees:
whatever goes wrong is answered with a Status; a request is either done completely or not at
all. `run` carries the built-in controllers
and ends only when cancelled; without it nothing is collected and no namespace ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kcm.base.clock import Clock
from kcm.base.rng import Rng
from kcm.sandbox.access.users import User
from kcm.sandbox.api import documents, startup
from kcm.sandbox.api.admission import Admission
from kcm.sandbox.api.answers import refused, stamped
from kcm.sandbox.api.audit import Audit
from kcm.sandbox.api.calls import Call, read_call
from kcm.sandbox.api.collector import GarbageCollector
from kcm.sandbox.api.definitions import Definitions
from kcm.sandbox.api.deletion import Deleter
from kcm.sandbox.api.durable import Durability
from kcm.sandbox.api.errors import ApiFailure, bad_request, method_not_allowed, nothing_here, unknown_route
from kcm.sandbox.api.expiry import Expiry
from kcm.sandbox.api.faults import Faults
from kcm.sandbox.api.faultsadmin import FaultsAdmin
from kcm.sandbox.api.gate import AccessSettings, Gate
from kcm.sandbox.api.grants import Grants
from kcm.sandbox.api.metrics.api import MetricsApi
from kcm.sandbox.api.metrics.routes import is_measured
from kcm.sandbox.api.namespaces import NamespaceController
from kcm.sandbox.api.reviews import Reviews
from kcm.sandbox.api.roles import RoleGatherer
from kcm.sandbox.api.routing import parse
from kcm.sandbox.api.sabotage import Saboteur
from kcm.sandbox.api.store import Store
from kcm.sandbox.api.subresources import Subresources
from kcm.sandbox.api.tokens import TokenIssuer
from kcm.sandbox.api.verbs import Verbs
from kcm.sandbox.api.views import storage_group
from kcm.sandbox.api.writes import Writer
from kcm.sandbox.schema.registry import Registry
from kcm.serving.http import ConnectionLost, Request, Response
from kcm.telemetry.logging import logger

log = logger("sandbox.api")

_METHODS = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE"))


class ApiServer:
    """An in-memory Kubernetes API server."""

    def __init__(
        self,
        clock: Clock,
        rng: Rng,
        *,
        collect_garbage: bool = True,
        empty_namespaces: bool = True,
        speed: float = 1.0,
        durability: Durability | None = None,
        access: AccessSettings | None = None,
    ) -> None:
        """Make a server with its start-up objects, and those that `durability` kept.

        `collect_garbage` and `empty_namespaces` False leave that work to real controllers. `speed`
        divides the times of simulated metrics.
        """
        self.store = Store(clock)
        self.registry = Registry()
        for resource in self.registry.resources:
            self.store.collection(storage_group(resource), resource.plural)
        self.faults = Faults()
        self._saboteur = Saboteur(self.faults, self.store, clock)
        self._faults_admin = FaultsAdmin(self.faults, self._saboteur, self.store, clock)
        self.audit = Audit(self.store, clock)
        self._clock = clock
        self._rng = rng
        access = access or AccessSettings()
        self.gate = Gate(self.store, access, clock)
        admission = Admission(self.store, Grants(self.gate))
        writer = Writer(self.store, admission, clock, rng)
        deleter = Deleter(self.store, writer, admission, clock)
        subresources = Subresources(writer, clock)
        reviews, issuer = Reviews(self.gate, clock), TokenIssuer(self.store, self.gate, clock, rng)
        self._verbs = Verbs(self.store, writer, deleter, subresources, reviews, issuer, clock, rng)
        self._gatherer = RoleGatherer(self.store, writer)
        self._definitions = Definitions(self.store, self.registry, writer, deleter, clock)
        self._expiry = Expiry(self.store, clock)
        self._collector = (
            GarbageCollector(self.store, self.registry, writer, deleter, clock) if collect_garbage else None
        )
        self._namespaces = (
            NamespaceController(self.store, self.registry, writer, deleter, clock)
            if empty_namespaces
            else None
        )
        self.metrics = MetricsApi(self.store, clock, speed)
        if durability is not None:
            durability.attach(self.store)
            self._definitions.resume()
        startup.furnish_cluster(writer, access.ca_pem)

    async def run(self) -> None:
        """Run the built-in controllers until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._definitions.run(), name="sandbox definitions")
            tasks.create_task(self._expiry.run(), name="sandbox expiry")
            tasks.create_task(self._gatherer.run(), name="sandbox role gatherer")
            tasks.create_task(self.metrics.run(), name="sandbox metrics")
            if self._collector is not None:
                tasks.create_task(self._collector.run(), name="sandbox garbage collector")
            if self._namespaces is not None:
                tasks.create_task(self._namespaces.run(), name="sandbox namespaces")

    async def handle(self, request: Request) -> Response:
        """Answer one request of somebody who may do everything. ConnectionLost only when a fault orders it.

        A request that wants to be somebody else's is held to what that user may do.
        """
        return await self._guarded(request, self.gate.admit_as)

    async def handle_secured(self, request: Request) -> Response:
        """Do as `handle` for anybody: ask who it is, and whether the stored roles allow it."""
        return await self._guarded(request, self.gate.admit)

    async def _guarded(self, request: Request, admit: Callable[[Request], User]) -> Response:
        return stamped(await self._answered(request, admit), request, self._rng)

    async def _answered(self, request: Request, admit: Callable[[Request], User]) -> Response:
        try:
            return await self._answer(request, admit(request))
        except ApiFailure as failure:
            return refused(failure)
        except ConnectionLost:
            raise
        except RecursionError:
            # Nothing is stored before all of an object was gone through.
            return refused(bad_request("the object provided is nested too deeply: exceeded max depth"))
        except Exception as error:  # noqa: BLE001 - a process edge: a mistake of ours costs one request
            log.error("request failed", method=request.method, path=request.path, error=repr(error))
            return refused(ApiFailure(500, "InternalError", f"Internal error occurred: {error!r}"))

    async def _answer(self, request: Request, user: User) -> Response:
        route = parse(request.path, self.registry)
        measured = self.metrics.read(request) if route is None else None
        if route is None and measured is None:
            return self._document(request)
        if request.method not in _METHODS:
            raise method_not_allowed()
        call = read_call(request, route) if route is not None else measured
        assert call is not None, "a request is for a resource or for a metric here"
        call.user = user
        if self.faults:
            return await self._saboteur.serve(call, request, self._serve)
        return await self._serve(call, request)

    def _document(self, request: Request) -> Response:
        response = self._faults_admin.answer(request) or self.metrics.administer(request)
        if response is None and request.method in ("GET", "HEAD"):
            resources = self.registry.resources
            if not request.path.startswith("/openapi"):
                resources = (*resources, *self.metrics.resources())
            response = documents.answer(request, resources)
        if response is None:
            raise unknown_route() if self._is_served(request.path) else nothing_here()
        return response

    def _is_served(self, path: str) -> bool:
        """Say whether a path lies in an API group that is served."""
        root, _, rest = path.strip("/").partition("/")
        group = rest.partition("/")[0]
        known = (*self.registry.resources, *self.metrics.resources())
        return root == "api" or (root == "apis" and any(resource.group == group for resource in known))

    async def _serve(self, call: Call, request: Request) -> Response:
        if is_measured(call):
            return await self.metrics.answer(call, request)
        try:
            return await self._verbs.serve(call, request)
        except ApiFailure as failure:
            failure.warnings = call.warnings
            raise
