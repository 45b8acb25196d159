"""Asks the API server, once for all who ask the same at about the same time.

Guarantees: at most `MOST_AT_ONCE` requests are under way to one API group, so that a slow one
holds up only who asks it and never takes all connections; an answer is shared for as long as
the caller says; who waits for another's request is not lost when that one is cancelled.
Failures are shared as long as they are under way, and then forgotten. Owns the answers, which
live in one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from controllers.hpa.queries import Query

if TYPE_CHECKING:
    from kcm import Context

MOST_AT_ONCE = 20
MOST_BYTES = 16 * 1024 * 1024
_SWEEP_EVERY = 1024

T = TypeVar("T")


class _Held(NamedTuple):
    answer: asyncio.Future[Any]
    until: float


class Fetcher:
    """The requests of all autoscalers of this process."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._held: dict[Query, _Held] = {}
        self._gates: dict[str, asyncio.Semaphore] = {}

    async def fetch(
        self, ctx: Context, query: Query, read: Callable[[Query, bytes], T], *, fresh_for: float
    ) -> T:
        """Return the answer to a query as `read` understands it, not older than `fresh_for` seconds.

        Raises what the request or `read` raises; TimeoutError when no answer came in time.
        """
        loop = asyncio.get_running_loop()
        while (held := self._held.get(query)) is not None and held.until > loop.time():
            try:
                shared: T = await asyncio.shield(held.answer)
            except asyncio.CancelledError:
                if not held.answer.cancelled():
                    raise
                continue  # whoever asked was cancelled; ask again
            return shared
        answer: asyncio.Future[Any] = loop.create_future()
        # Under way, it is shared however long it waits for its turn: a slow API is not asked twice.
        self._keep(query, _Held(answer, inf))
        try:
            value = read(query, await self._ask(ctx, query))
        except asyncio.CancelledError:
            self._drop(query, answer)
            answer.cancel()
            raise
        except Exception as error:
            self._drop(query, answer)
            answer.set_exception(error)
            answer.exception()  # nobody else may have waited for it
            raise
        answer.set_result(value)
        self._held[query] = _Held(answer, loop.time() + fresh_for)
        return value

    async def _ask(self, ctx: Context, query: Query) -> bytes:
        gate = self._gates.setdefault(query.api, asyncio.Semaphore(MOST_AT_ONCE))
        async with gate:
            return await ctx.read(
                *query.segments,
                query=dict(query.parameters),
                seconds=self._seconds,
                max_bytes=MOST_BYTES,
            )

    def _keep(self, query: Query, held: _Held) -> None:
        if len(self._held) >= _SWEEP_EVERY:
            now = asyncio.get_running_loop().time()
            self._held = {each: one for each, one in self._held.items() if one.until > now}
        self._held[query] = held

    def _drop(self, query: Query, answer: asyncio.Future[Any]) -> None:
        held = self._held.get(query)
        if held is not None and held.answer is answer:
            del self._held[query]
