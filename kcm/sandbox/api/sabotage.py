"""Carries out faults on requests and watches.

`Saboteur.serve` stands between the API server and its verbs, only for requests while rules are in
force. Guarantees: what a fault says and nothing else befalls a request; a fault that makes no
sense for a request (a watch's for a create) leaves it alone. Waits on the server's clock.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol, runtime_checkable

from kcm.base.clock import Clock
from kcm.sandbox.api.calls import Call
from kcm.sandbox.api.errors import ApiFailure
from kcm.sandbox.api.faults import (
    Compact,
    CutWatch,
    Delay,
    DelayEvents,
    DropAfter,
    DropBefore,
    Effect,
    FailWatch,
    Faults,
    GarbleWatch,
    HangAfter,
    HangBefore,
    Refuse,
    RepeatEvents,
    SilenceWatch,
    StaleList,
    StepClock,
    refusal,
)
from kcm.sandbox.api.history import watch_line
from kcm.sandbox.api.records import encode
from kcm.sandbox.api.store import Store
from kcm.serving.http import ConnectionLost, Request, Response

Serve = Callable[[Call, Request], Awaitable[Response]]
Chunks = AsyncGenerator[bytes, None]

_OF_WATCHES = (CutWatch, SilenceWatch, FailWatch, GarbleWatch, RepeatEvents, DelayEvents)
_GARBAGE = b'{"type":"ADDED","object":{"metadata":{"name":"\xff\xfe"\n'


@runtime_checkable
class Steppable(Protocol):
    """A clock whose time of day can be set."""

    def step_wall(self, seconds: float) -> None:
        """Set the time of day forward or back."""
        ...


class Saboteur:
    """Serves requests that faults may concern."""

    def __init__(self, faults: Faults, store: Store, clock: Clock) -> None:
        self._faults = faults
        self._store = store
        self._clock = clock

    def step(self, seconds: float) -> None:
        """Set the server's time of day; 501 where the clock is the machine's own."""
        if not isinstance(self._clock, Steppable):
            raise ApiFailure(501, "NotImplemented", "this server's clock cannot be set")
        self._clock.step_wall(seconds)

    async def serve(self, call: Call, request: Request, serve: Serve) -> Response:
        """Serve one request as the faults in force will have it; ConnectionLost where they say so."""
        effects = self._faults.effects(call)
        if not effects:
            return await serve(call, request)
        for effect in effects:
            await self._before(effect, call)
        response = await serve(call, request)
        for effect in effects:
            match effect:
                case DropAfter():
                    raise ConnectionLost("a fault dropped this answer")
                case HangAfter(seconds):
                    await self._clock.sleep(seconds)
                    raise ConnectionLost("a fault kept this answer back")
        if call.verb != "watch" or isinstance(response.body, bytes):
            return response
        if not any(isinstance(effect, _OF_WATCHES) for effect in effects):
            return response
        return replace(response, body=self._spoil(response.body, effects))

    async def _before(self, effect: Effect, call: Call) -> None:
        match effect:
            case Delay(seconds):
                await self._clock.sleep(seconds)
            case Compact():
                self._store.compact()
            case StepClock(seconds):
                self.step(seconds)
            case StaleList(seconds, always):
                call.behind, call.always_behind = self._clock.monotonic() - seconds, always
            case DropBefore():
                raise ConnectionLost("a fault dropped this request")
            case HangBefore(seconds):
                await self._clock.sleep(seconds)
                raise ConnectionLost("a fault left this request alone")
            case Refuse():
                raise refusal(effect.code, effect)

    async def _spoil(self, chunks: Chunks, effects: Sequence[Effect]) -> Chunks:
        """Yield what is really sent of a watch; ConnectionLost where it is cut."""
        sent = 0
        late = sum(effect.seconds for effect in effects if isinstance(effect, DelayEvents))
        copies = 1 + sum(effect.times for effect in effects if isinstance(effect, RepeatEvents))
        # What happens between lines goes off once, at its place.
        ends = [effect for effect in effects if isinstance(effect, CutWatch | FailWatch | GarbleWatch)]
        silence = min((effect.lines for effect in effects if isinstance(effect, SilenceWatch)), default=None)
        async with aclosing(chunks) as whole:
            for line in self._due(ends, sent):
                yield line
            if any(isinstance(end, FailWatch) and end.lines == 0 for end in ends):
                return
            async for chunk in whole:
                if late:
                    await self._clock.sleep(late)
                ready: list[bytes] = []
                for line in chunk.splitlines(keepends=True):
                    if silence is not None and sent >= silence:
                        break
                    if any(isinstance(end, CutWatch) and end.lines == sent for end in ends):
                        yield b"".join(ready) + line[: len(line) // 2]
                        raise ConnectionLost("a fault cut this watch")
                    ready += [line] * copies
                    sent += 1
                    ready += self._due(ends, sent)
                    if any(isinstance(end, FailWatch) and end.lines == sent for end in ends):
                        yield b"".join(ready)
                        return
                if ready:
                    yield b"".join(ready)

    def _due(self, ends: Sequence[Effect], sent: int) -> list[bytes]:
        """Return the lines of our own that belong behind so many of the watch's."""
        lines: list[bytes] = []
        for end in ends:
            match end:
                case GarbleWatch(at) if at == sent:
                    lines.append(_GARBAGE)
                case FailWatch(at, code) if at == sent:
                    lines.append(watch_line("ERROR", encode(refusal(code).status())))
        return lines
