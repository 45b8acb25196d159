"""Faults that people and tests order: late, refused, lost, cut and stale answers.

A `Fault` says which requests it meets and what happens to them. Rules are asked in the order in
which they were added; all that match take effect, the first that ends the request wins.
Guarantees that a rule with `times` meets so many requests and no more, that what is out of
bounds is refused when it is ordered, and that a server without rules pays one test per request.
`Faults` owns the rules and their counts; `kcm.sandbox.api.sabotage` carries them out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from kcm.sandbox.api.calls import Call
from kcm.sandbox.api.errors import ApiFailure

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
MOST_RULES = 1000
_LONGEST = 1000

Code = Annotated[int, msgspec.Meta(ge=400, le=599)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
Text = Annotated[str, msgspec.Meta(max_length=_LONGEST)]


class _Effect(msgspec.Struct, frozen=True, tag_field="type", forbid_unknown_fields=True, omit_defaults=True):
    """What befalls a request."""


class Delay(_Effect, frozen=True, tag="delay"):
    """Wait before anything else happens."""

    seconds: Seconds


class Refuse(_Effect, frozen=True, tag="refuse"):
    """Answer with a Status of that code; `retry_after` in seconds is sent as a header too."""

    code: Code
    retry_after: Count | None = msgspec.field(default=None, name="retryAfter")
    message: Text = "refused by a fault that was ordered"
    reason: Text = ""


class DropBefore(_Effect, frozen=True, tag="drop-before"):
    """Lose the connection with nothing done."""


class DropAfter(_Effect, frozen=True, tag="drop-after"):
    """Do what was asked, then lose the connection: the client cannot know."""


class HangBefore(_Effect, frozen=True, tag="hang-before"):
    """Do nothing and say nothing until the client's time is out, at most so long."""

    seconds: Seconds = 3600.0


class HangAfter(_Effect, frozen=True, tag="hang-after"):
    """Do what was asked and say nothing until the client's time is out, at most so long."""

    seconds: Seconds = 3600.0


class StaleList(_Effect, frozen=True, tag="stale-list"):
    """Answer a LIST as a replica that lags would: with what there was so many seconds ago.

    As far back as history goes (five minutes). Only lists that may be stale (resourceVersion=0 or
    NotOlderThan) unless `always`; one that wants a version that the replica has not seen gets 504.
    """

    seconds: Seconds
    always: bool = False


class CutWatch(_Effect, frozen=True, tag="cut-watch"):
    """Lose a watch's connection in the middle of the line after `lines` whole ones."""

    lines: Count = 0


class SilenceWatch(_Effect, frozen=True, tag="silence-watch"):
    """Say nothing more on a watch after `lines` lines, bookmarks included, but keep it open."""

    lines: Count = 0


class FailWatch(_Effect, frozen=True, tag="fail-watch"):
    """End a watch after `lines` lines with an ERROR event, as a server does whose history is gone."""

    lines: Count = 0
    code: Code = 410


class GarbleWatch(_Effect, frozen=True, tag="garble-watch"):
    """Put a line that is no JSON into a watch, after `lines` lines."""

    lines: Count = 0


class RepeatEvents(_Effect, frozen=True, tag="repeat-events"):
    """Send each event of a watch again, directly behind itself, so many times."""

    times: Annotated[int, msgspec.Meta(ge=1, le=10)] = 1


class DelayEvents(_Effect, frozen=True, tag="delay-events"):
    """Send each event of a watch at least so many seconds late; order is kept."""

    seconds: Seconds


class Compact(_Effect, frozen=True, tag="compact"):
    """Forget all history before the request is served."""


class StepClock(_Effect, frozen=True, tag="step-clock"):
    """Set the server's time of day forward (or back, below zero) before the request is served."""

    seconds: Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]


Effect = (
    Delay
    | Refuse
    | DropBefore
    | DropAfter
    | HangBefore
    | HangAfter
    | StaleList
    | CutWatch
    | SilenceWatch
    | FailWatch
    | GarbleWatch
    | RepeatEvents
    | DelayEvents
    | Compact
    | StepClock
)

Verb = Literal["*", "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which requests, and what befalls them. "*" matches everything.

    `resource` is the plural ("pods"), with "/subresource" to mean only that; `name` and `agent`
    are regular expressions searched in the object's name (the URL's) and the User-Agent. `first`
    counts from 1: the first request, among those that match, that the fault meets. `times` None:
    all after that.
    """

    effect: Effect
    verb: Verb = "*"
    resource: Text = "*"
    namespace: Text = "*"
    name: Text = ""
    agent: Text = ""
    first: Annotated[int, msgspec.Meta(ge=1)] = 1
    times: Annotated[int, msgspec.Meta(ge=1)] | None = None

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


@dataclass(slots=True)
class Rule:
    """A fault in force; `met` counts the requests that matched, those before `first` included."""

    id: str
    fault: Fault
    met: int = 0


class Faults:
    """The rules in force."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._added = 0

    def __bool__(self) -> bool:
        return bool(self._rules)

    def rules(self) -> tuple[Rule, ...]:
        """Return the rules in the order in which they are asked."""
        return tuple(self._rules)

    def order(self, fault: Fault) -> Rule:
        """Put a fault in force; ValueError for one that cannot be."""
        if len(self._rules) >= MOST_RULES:
            raise ValueError(f"there are {MOST_RULES} faults already; delete some")
        # One that was made in Python has not been through the bounds yet.
        msgspec.convert(msgspec.to_builtins(fault), Fault)
        for key, text in (("name", fault.name), ("agent", fault.agent)):
            try:
                re.compile(text)
            except re.error as error:
                raise ValueError(f"{key}: not a regular expression: {error}") from None
        self._added += 1
        rule = Rule(str(self._added), fault)
        self._rules.append(rule)
        return rule

    def withdraw(self, id_: str) -> Rule:
        """Take the rule of that id out of force; LookupError when there is none."""
        rule = next((rule for rule in self._rules if rule.id == id_), None)
        if rule is None:
            raise LookupError(f"there is no fault {id_[:20]}")
        self._rules.remove(rule)
        return rule

    def add(self, fault: Fault) -> Fault:
        """Put a fault in force and return it (for `remove` and `met`)."""
        return self.order(fault).fault

    def remove(self, fault: Fault) -> None:
        """Take a fault out of force."""
        self._rules.remove(self._rule(fault))

    def clear(self) -> None:
        """Take all faults out of force."""
        self._rules.clear()

    def met(self, fault: Fault) -> int:
        """Return how many requests matched the fault so far, those before `first` included."""
        return self._rule(fault).met

    def effects(self, call: Call) -> tuple[Effect, ...]:
        """Return what befalls this request; counts it."""
        found: list[Effect] = []
        for rule in self._rules:
            fault = rule.fault
            if not fault.concerns(call):
                continue
            rule.met += 1
            number = rule.met - fault.first
            if number >= 0 and (fault.times is None or number < fault.times):
                found.append(fault.effect)
        return tuple(found)

    def _rule(self, fault: Fault) -> Rule:
        """Return the rule of this very fault, or else of one like it; LookupError when there is none."""
        same = [rule for rule in self._rules if rule.fault is fault]
        same = same or [rule for rule in self._rules if rule.fault == fault]
        if not same:
            raise LookupError("this fault is not in force")
        return same[0]


def refusal(code: int, effect: Refuse | None = None) -> ApiFailure:
    """Return the failure that is answered for a code, in the words of `effect` if it has some."""
    reason = (effect.reason if effect else "") or _REASONS.get(code, "InternalError")
    message = effect.message if effect else "ended by a fault that was ordered"
    return ApiFailure(code, reason, message, retry_after=effect.retry_after if effect else None)
