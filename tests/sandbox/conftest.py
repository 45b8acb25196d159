"""An API server in virtual time for the tests of this folder."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from kcm.base.rng import SeededRng
from kcm.sandbox.api import ApiServer
from kcm.serving.http import Request, Response
from kcm.testing.virtual import VirtualClock, run

STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"


class Answer:
    """A response, decoded."""

    def __init__(self, response: Response) -> None:
        self.response = response
        self.status = response.status
        self.headers = dict(response.headers)
        for name, value in response.repeats:
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value
        self.content_type = response.content_type

    @property
    def body(self) -> Any:
        assert isinstance(self.response.body, bytes)
        return json.loads(self.response.body)

    @property
    def version(self) -> str:
        return str(self.body["metadata"]["resourceVersion"])


class WatchReader:
    """Reads the events of a watch that have come so far, or waits for the next one."""

    def __init__(self, body: AsyncGenerator[bytes, None]) -> None:
        self._body = body
        self._events: list[dict[str, Any]] = []
        self.text = b""

    async def next(self) -> dict[str, Any]:
        while not self._events:
            chunk = await anext(self._body)
            self.text += chunk
            self._events += [json.loads(line) for line in chunk.splitlines()]
        return self._events.pop(0)

    async def take(self, count: int) -> list[tuple[str, str]]:
        """Return type and name of the next events."""
        events = [await self.next() for _ in range(count)]
        return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]

    async def rest(self) -> list[dict[str, Any]]:
        """Read until the watch ends."""
        events = list(self._events)
        async for chunk in self._body:
            events += [json.loads(line) for line in chunk.splitlines()]
        return events

    async def close(self) -> None:
        await self._body.aclose()


class Api:
    """A client of the server under test."""

    def __init__(self, server: ApiServer, clock: VirtualClock) -> None:
        self.server = server
        self.clock = clock

    async def __call__(
        self, method: str, path: str, body: Any = None, /, headers: dict[str, str] | None = None, **query: Any
    ) -> Answer:
        sent = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        request = Request(
            method, path, tuple((name, str(value)) for name, value in query.items()), headers or {}, sent
        )
        return Answer(await self.server.handle(request))

    async def get(self, path: str, **query: Any) -> Answer:
        return await self("GET", path, **query)

    async def post(self, path: str, body: Any, **query: Any) -> Answer:
        return await self("POST", path, body, **query)

    async def put(self, path: str, body: Any, **query: Any) -> Answer:
        return await self("PUT", path, body, **query)

    async def patch(self, path: str, body: Any, kind: str = MERGE, **query: Any) -> Answer:
        return await self("PATCH", path, body, headers={"content-type": kind}, **query)

    async def delete(self, path: str, body: Any = None, **query: Any) -> Answer:
        return await self("DELETE", path, body, **query)

    async def watch(self, path: str, **query: Any) -> WatchReader:
        answer = await self.get(path, watch="true", **query)
        assert answer.status == 200, answer.response.body
        assert not isinstance(answer.response.body, bytes)
        return WatchReader(answer.response.body)

    async def settle(self, seconds: float = 1.0) -> None:
        """Let the built-in controllers work."""
        await self.clock.sleep(seconds)


Scenario = Callable[[Api], Awaitable[None]]
Play = Callable[..., None]


@pytest.fixture
def play() -> Play:
    """Return a function that plays a scenario against a fresh server in virtual time."""

    def start(scenario: Scenario, **options: bool) -> None:
        async def main() -> None:
            clock = VirtualClock()
            server = ApiServer(clock, SeededRng(7), **options)
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(server.run())
                try:
                    async with asyncio.timeout(100_000):
                        await scenario(Api(server, clock))
                finally:
                    running.cancel()

        run(main())

    return start
