"""One controller on a bench: nothing wakes it, a test says when it looks and when it acts.

For whole passes against an API server in memory, where old views, lost answers and cuts between
two writes are to be arranged exactly. `Bench` holds the server and is its user; a `Host` is one
controller with a replica of its own, which shows what `refresh` last took. Runs inside
`kcm.testing.virtual.run`. What needs somebody to wake the controller: `kcm.testing.world`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from kcm.base.rng import SeededRng
from kcm.cache.feed import ReplaceBegin, ReplaceEnd, ReplaceItems
from kcm.client.api import ApiClient
from kcm.client.errors import ApiError
from kcm.client.transport import Request, Unanswered
from kcm.host.replicas import Replicas
from kcm.objects.resource import Key
from kcm.runtime.applier import Applier
from kcm.runtime.context import Context
from kcm.runtime.controller import Controller, allowance_of
from kcm.runtime.plan import Emit
from kcm.runtime.result import Done, Result
from kcm.sandbox.api.server import ApiServer
from kcm.serving import http
from kcm.telemetry.logging import logger
from kcm.telemetry.metrics import Metrics
from kcm.testing.loopback import LoopbackTransport
from kcm.testing.virtual import VirtualClock
from kcm.testing.watchful import Ledger, WatchfulCache

Json = dict[str, Any]


class Listed(msgspec.Struct):
    """A list as the server sends it."""

    metadata: dict[str, Any]
    items: tuple[msgspec.Raw, ...]


class Host:
    """A controller with a replica of its own. It dies behind its `dies_after`-th write."""

    def __init__(
        self,
        controller: Controller[Any, Any],
        api: ApiServer,
        clock: VirtualClock,
        key: Key,
        dies_after: int | None = None,
    ) -> None:
        self.key = key
        self.controller = controller
        self.ledger = Ledger()
        self.replicas = Replicas(controller.watches, partial(WatchfulCache, self.ledger))
        self.cache = self.replicas.cache(controller.watches)
        self.events: list[tuple[str, str, str]] = []
        self.sent: list[str] = []
        self.asked: list[str] = []
        self.dead = asyncio.Event()
        self._dies_after = dies_after
        self._clock = clock
        self.client = ApiClient(
            LoopbackTransport(api.handle, self._after_write),
            user_agent=controller.name,
            metrics=Metrics(),
            clock=clock,
            rng=SeededRng(2),
        )

    @property
    def writes(self) -> int:
        """Return how many writes were sent."""
        return len(self.sent)

    def _after_write(self, request: Request) -> bool:
        self.sent.append(request.method)
        self.asked.append(f"{request.method} {request.target.partition('?')[0]}")
        if self.writes == self._dies_after:
            self.dead.set()
        return self.dead.is_set()

    def emit(self, event: Emit) -> None:
        """Take an event that the controller tells."""
        self.events.append((event.type, event.reason, event.note))

    async def refresh(self, *types: type[Any]) -> None:
        """Fill the replica with what the server has now, of all types or of these."""
        for type_ in types or tuple(watch.type for watch in self.controller.watches):
            listed = msgspec.json.decode(await self.client.list_page(type_.resource_type()), type=Listed)
            watch = next(each for each in self.controller.watches if each.type is type_)
            replica = self.replicas.replica(watch)
            replica.feed(ReplaceBegin(0))
            replica.feed(ReplaceItems(0, listed.items))
            replica.feed(ReplaceEnd(0, listed.metadata["resourceVersion"]))

    async def make_pass(self) -> Result:
        """Observe and reconcile once, on the replica as it is."""
        applier = Applier(self.client, self.replicas, self)
        parts = (self.key, self._clock, self.cache, applier, self.client, Metrics(), logger("test"))
        context = Context(*parts, allowance=allowance_of(self.controller))
        seen = self.controller.observe(self.cache, self.key)
        result = await self.controller.reconcile(context, seen) if seen is not None else Done()
        self.ledger.check()
        return result

    async def settle(self) -> None:
        """Refresh and pass until a pass writes nothing; AssertionError when that never comes."""
        for _ in range(30):
            await self.refresh()
            before = self.writes
            with suppress(ApiError, Unanswered):
                await self.make_pass()
                if self.writes == before:
                    return
        raise AssertionError("never settles")


class Bench:
    """An API server without nodes, its user, and hosts of one controller, which look at `key`."""

    def __init__(self, controller: Callable[[], Controller[Any, Any]], key: Key) -> None:
        self.clock = VirtualClock()
        self.api = ApiServer(self.clock, SeededRng(1))
        self._controller = controller
        self._key = key

    def host(self, key: Key | None = None, *, dies_after: int | None = None) -> Host:
        """Return a host that has seen nothing yet."""
        return Host(self._controller(), self.api, self.clock, key or self._key, dies_after)

    async def fresh_host(self) -> Host:
        """Return a host that has seen what there is now."""
        host = self.host()
        await host.refresh()
        return host

    async def call(
        self, method: str, path: str, body: Json | None = None, kind: str = "merge-patch+"
    ) -> Json:
        """Send one request as a user; AssertionError for an answer that is no success."""
        content = f"application/{kind}json" if method == "PATCH" else "application/json"
        headers = {"content-type": content, "accept": "application/json", "user-agent": "user"}
        encoded = msgspec.json.encode(body) if body is not None else b""
        answer = await self.api.handle(http.Request(method, path, (), headers, encoded))
        assert isinstance(answer.body, bytes)
        assert answer.status < 300, answer.body
        decoded: Json = msgspec.json.decode(answer.body)
        return decoded
