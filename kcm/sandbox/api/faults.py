"""Faults that tests order: late, refused, lost and cut requests.

A `Fault` says which requests it meets and what happens to them. Rules are asked in the order in
which they were added; all that match take effect, the first that ends the request wins.
Guarantees that a rule with `times` meets so many requests and no more, and that a server without
rules pays one test per request. `Faults` owns the rules and their counts.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from kcm.sandbox.api.calls import Call
from kcm.sandbox.api.errors import ApiFailure
from kcm.serving.http import ConnectionLost

_REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


@dataclass(frozen=True, slots=True)
class Delay:
    """Wait before anything else happens."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with a Status of that code; `retry_after` in seconds is sent as a header too."""

    code: int
    retry_after: int | None = None
    message: str = "refused by a fault that a test ordered"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DropBefore:
    """Lose the connection with nothing done."""


@dataclass(frozen=True, slots=True)
class DropAfter:
    """Do what was asked, then lose the connection: the client cannot know."""


@dataclass(frozen=True, slots=True)
class CutWatch:
    """Lose a watch's connection in the middle of the line after `lines` whole ones."""

    lines: int = 0


@dataclass(frozen=True, slots=True)
class SilenceWatch:
    """Say nothing more on a watch after `lines` lines, bookmarks included, but keep it open."""

    lines: int = 0


@dataclass(frozen=True, slots=True)
class Compact:
    """Forget all history before the request is served."""


Effect = Delay | Refuse | DropBefore | DropAfter | CutWatch | SilenceWatch | Compact


@dataclass(frozen=True, slots=True)
class Fault:
    """Which requests, and what befalls them. "*" matches everything.

    `resource` is the plural ("pods"), with "/subresource" to mean only that; `name` and `agent`
    are regular expressions searched in the object's name (the URL's) and the User-Agent. `first`
    counts from 1: the first request, among those that match, that the fault meets. `times` None:
    all after that.
    """

    effect: Effect
    verb: str = "*"
    resource: str = "*"
    namespace: str = "*"
    name: str = ""
    agent: str = ""
    first: int = 1
    times: int | None = None

    def concerns(self, call: Call) -> bool:
        """Say whether the fault is about such a request."""
        if self.verb not in ("*", call.verb):
            return False
        plural, _, subresource = self.resource.partition("/")
        if plural not in ("*", call.resource.plural) or (subresource and subresource != call.subresource):
            return False
        if plural != "*" and not subresource and call.subresource:
            return False
        if self.namespace not in ("*", call.namespace):
            return False
        if self.name and not re.search(self.name, call.name):
            return False
        return not self.agent or bool(re.search(self.agent, call.agent))


class Faults:
    """The rules in force."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []
        self._met: list[int] = []

    def __bool__(self) -> bool:
        return bool(self._rules)

    def add(self, fault: Fault) -> Fault:
        """Put a rule in force and return it (for `remove` and `met`)."""
        self._rules.append(fault)
        self._met.append(0)
        return fault

    def remove(self, fault: Fault) -> None:
        """Take a rule out of force."""
        index = self._rules.index(fault)
        del self._rules[index], self._met[index]

    def clear(self) -> None:
        """Take all rules out of force."""
        self._rules.clear()
        self._met.clear()

    def met(self, fault: Fault) -> int:
        """Return how many requests matched the rule so far, those before `first` included."""
        return self._met[self._rules.index(fault)]

    def effects(self, call: Call) -> tuple[Effect, ...]:
        """Return what befalls this request; counts it."""
        found: list[Effect] = []
        for index, fault in enumerate(self._rules):
            if not fault.concerns(call):
                continue
            self._met[index] += 1
            number = self._met[index] - fault.first
            if number >= 0 and (fault.times is None or number < fault.times):
                found.append(fault.effect)
        return tuple(found)


def refusal(effect: Refuse) -> ApiFailure:
    """Return the failure that a `Refuse` answers with."""
    reason = effect.reason or _REASONS.get(effect.code, "InternalError")
    return ApiFailure(effect.code, reason, effect.message, retry_after=effect.retry_after)


class WatchFault:
    """Carries out the faults of one watch on its chunks."""

    def __init__(self, effects: Sequence[Effect]) -> None:
        self._cut = next((effect.lines for effect in effects if isinstance(effect, CutWatch)), None)
        self._silence = next((effect.lines for effect in effects if isinstance(effect, SilenceWatch)), None)
        self._sent = 0

    async def spoil(self, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """Yield what is really sent of a watch; ConnectionLost where it is cut."""
        async with aclosing(chunks) as whole:
            async for chunk in whole:
                lines = chunk.splitlines(keepends=True)
                if self._silence is not None:
                    lines = lines[: max(0, self._silence - self._sent)]
                if self._cut is not None and self._sent + len(lines) > self._cut:
                    kept = self._cut - self._sent
                    broken = lines[kept]
                    yield b"".join(lines[:kept]) + broken[: len(broken) // 2]
                    raise ConnectionLost("a fault cut this watch")
                self._sent += len(lines)
                if lines:
                    yield b"".join(lines)


def watch_fault(effects: Sequence[Effect]) -> WatchFault | None:
    """Return the fault of a watch, if any of the effects is about watches."""
    if any(isinstance(effect, CutWatch | SilenceWatch) for effect in effects):
        return WatchFault(effects)
    return None
