"""A dry run's stand-in for the applier: plans are told, none is carried out.

    rehearsal = Rehearsal("replicaset", tell, metrics, log)
    applier = rehearsal.begin(key)      # one for each reconcile

Guarantees: nothing is written; a plan that would write ends its reconcile with `Rehearsed`, since
all that a controller decided behind it would rest on an answer that never came; a plan is told
when it has stood for `SETTLE_SECONDS`, which it does not where another manager carries it out, and
not again as long as it comes back unchanged, so that a create that is not sent is one record and no
stream of them; what a controller calls routine (readings, words, repeated events) is not told, so
that there is silence beside another manager that came to the same. What is told names objects,
fields, numbers and reasons, never texts out of objects: those may be secrets. Owns what each key
had lately; memory is bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from kcm.base.clock import Clock
from kcm.base.errors import KcmError
from kcm.objects.resource import Key, ResourceType
from kcm.runtime.plan import Action, Applied, Emit, Outcome, Patch, Plan, Scale
from kcm.telemetry.logging import Logger
from kcm.telemetry.metrics import Metrics

# A key whose plan was not sent is looked at again after so many seconds, besides its events.
RECHECK_SECONDS = 30.0
# A plan is told when it has come back unchanged for so long: until then a manager at work may carry it out.
SETTLE_SECONDS = 5.0
# What a key has not had for so long is forgotten: longer than the period of controllers that look at times.
FORGET_SECONDS = 1.5 * RECHECK_SECONDS
# As many steps of a plan are told one by one; the rest is a number.
MOST_STEPS = 20
MOST_KEYS = 50_000
MOST_PLANS_OF_A_KEY = 50
_MOST_FIELDS = 8
_DEEPEST = 4


class Rehearsed(KcmError):
    """The plan was not carried out; the reconcile ends here. After `recheck` seconds the key is due again."""

    def __init__(self, recheck: float) -> None:
        super().__init__("dry run: the plan was not sent")
        self.recheck = recheck


class Step(msgspec.Struct, frozen=True):
    """One action that was not taken: what would be done to which object, and why."""

    verb: str
    object: str
    because: str
    fields: str = ""

    def __str__(self) -> str:
        fields = f" [{self.fields}]" if self.fields else ""
        return f"{self.verb} {self.object}{fields}: {self.because}"


class Planned(msgspec.Struct, frozen=True):
    """A plan that was not carried out. `total` counts all its steps, of which the first are here."""

    controller: str
    key: str
    steps: tuple[Step, ...]
    total: int


class Standing(NamedTuple):
    """Since when a plan is there and when it was there last (monotonic seconds), and whether it was told."""

    since: float
    seen: float
    told: bool


Plans = Mapping[tuple[Step, ...], Standing]


class Rehearsal:
    """Takes the plans of one controller."""

    def __init__(
        self, controller: str, tell: Callable[[Planned], None], metrics: Metrics, log: Logger, clock: Clock
    ) -> None:
        self._controller = controller
        self._tell = tell
        self._log = log
        self._clock = clock
        self._plans_of: OrderedDict[Key, Plans] = OrderedDict()
        self._plans = metrics.counter(
            "kcm_dry_run_plans_total", "Plans that were told instead of carried out.", ("controller",)
        ).labels(controller)

    def begin(self, key: Key) -> RehearsedReconcile:
        """Return what applies the plans of one reconcile of `key`."""
        forgotten = self._clock.monotonic() - FORGET_SECONDS
        before = {
            steps: standing
            for steps, standing in self._plans_of.pop(key, {}).items()
            if standing.seen >= forgotten
        }
        if before:
            self._plans_of[key] = before
        return RehearsedReconcile(self, key, before)

    def note(self, key: Key, plan: Plan, before: Plans, settle: float) -> float:
        """Tell of a plan that has stood for `settle` seconds, once; return when to look again, in seconds."""
        now = self._clock.monotonic()
        steps = tuple(map(step_of, plan.actions[:MOST_STEPS]))
        standing = before.get(steps, Standing(now, now, told=False))._replace(seen=now)
        wait = standing.since + settle - now
        if wait <= 0 and not standing.told:
            self._say(key, plan, steps)
            standing = standing._replace(told=True)
        plans = [*self._plans_of.pop(key, {}).items()][-MOST_PLANS_OF_A_KEY:]
        self._plans_of[key] = {**dict(plans), steps: standing}
        if len(self._plans_of) > MOST_KEYS:
            self._plans_of.popitem(last=False)
        return wait if wait > 0 else RECHECK_SECONDS

    def _say(self, key: Key, plan: Plan, steps: tuple[Step, ...]) -> None:
        self._plans.inc()
        planned = Planned(self._controller, str(key), steps, len(plan.actions))
        self._log.info("plan not sent", key=planned.key, actions=list(map(str, steps)), total=planned.total)
        self._tell(planned)


class RehearsedReconcile:
    """The applier of one reconcile of a dry run."""

    def __init__(self, rehearsal: Rehearsal, key: Key, before: Plans) -> None:
        self._rehearsal = rehearsal
        self._key = key
        self._before = before

    async def apply(self, plan: Plan) -> Outcome:
        """Note the plan. `Rehearsed` unless no decision can rest on it: events, and what is routine."""
        news = tuple(action for action in plan.actions if not _routine(action))
        only_told = all(isinstance(action, Emit) for action in news)
        recheck = RECHECK_SECONDS
        if news:
            told = msgspec.structs.replace(plan, actions=news)
            settle = 0.0 if only_told else SETTLE_SECONDS
            recheck = self._rehearsal.note(self._key, told, self._before, settle)
        if only_told:
            return Outcome(done=tuple(map(Applied, plan.actions)))
        raise Rehearsed(recheck)


def _routine(action: Action) -> bool:
    return isinstance(action, Patch | Emit) and action.routine


def step_of(action: Action) -> Step:
    """Return what an action would do, as data for people."""
    if isinstance(action, Emit):
        about = action.about
        where = f"{about.namespace}/{about.name}" if about.namespace else about.name
        return Step("emit", f"{action.type} event about {about.kind} {where}", action.reason)
    verb = type(action).__name__.lower()
    fields = ""
    match action:
        case Patch(target=target, changes=changes, subresource=subresource):
            resource, key = target.resource, target.key
            verb = f"patch {subresource}" if subresource else verb
            fields = _fields(changes)
        case Scale(target=target, replicas=replicas):
            resource, key = target.resource, target.key
            fields = f"spec.replicas={replicas}"
        case _:
            resource, key = _about(action)
    return Step(verb, f"{resource} {key}", action.because, fields)


def _about(action: Any) -> tuple[ResourceType, Key]:
    """Return what a create, an apply or a delete is about."""
    target = getattr(action, "target", None)
    if target is not None:
        return target.resource, target.key
    return action.object.resource_type(), action.object.key


def _fields(changes: Mapping[str, Any] | tuple[Mapping[str, Any], ...]) -> str:
    """Return which fields a patch sets; of their values only numbers, true, false and null."""
    if isinstance(changes, tuple):
        found = [f"{change.get('op')} {change.get('path')}" for change in changes]
    else:
        found = list(_leaves(msgspec.to_builtins(changes), "", 0))
    more = f", and {len(found) - _MOST_FIELDS} more" if len(found) > _MOST_FIELDS else ""
    return ", ".join(found[:_MOST_FIELDS]) + more


def _leaves(value: object, path: str, depth: int) -> Iterator[str]:
    match value:
        case dict() if value and depth < _DEEPEST:
            for name, member in value.items():
                yield from _leaves(member, f"{path}.{name}" if path else str(name), depth + 1)
        case None:
            yield f"{path}=null"
        case bool():
            yield f"{path}={str(value).lower()}"
        case int() | float():
            yield f"{path}={value}"
        case _:
            yield path
