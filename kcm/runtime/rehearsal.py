"""A dry run's stand-in for the applier: plans are told, none is carried out.

    rehearsal = Rehearsal("replicaset", tell, metrics, log)
    applier = rehearsal.begin(key)      # one for each reconcile

Guarantees: nothing is written; a plan that would write ends its reconcile with `Rehearsed`, since
all that a controller decided behind it would rest on an answer that never came; a plan is told
when a key's last reconcile did not have it, and not again as long as it comes back unchanged, so
that a create that is not sent is one record and no stream of them; what a controller calls routine
(readings, words, repeated events) is not told, so that there is silence beside another manager that
came to the same. What is told names objects, fields, numbers and reasons, never texts out of objects:
those may be secrets. Owns what each key had in its last two reconciles; memory is bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from kcm.base.errors import KcmError
from kcm.objects.resource import Key, ResourceType
from kcm.runtime.plan import Action, Applied, Emit, Outcome, Patch, Plan, Scale
from kcm.telemetry.logging import Logger
from kcm.telemetry.metrics import Metrics

# A key whose plan was not sent is looked at again after so many seconds, besides its events.
RECHECK_SECONDS = 30.0
# As many steps of a plan are told one by one; the rest is a number.
MOST_STEPS = 20
MOST_KEYS = 50_000
_MOST_FIELDS = 8
_DEEPEST = 4


class Rehearsed(KcmError):
    """The plan was told instead of carried out; the reconcile ends here."""


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


class Rehearsal:
    """Takes the plans of one controller."""

    def __init__(
        self, controller: str, tell: Callable[[Planned], None], metrics: Metrics, log: Logger
    ) -> None:
        self._controller = controller
        self._tell = tell
        self._log = log
        self._told: OrderedDict[Key, frozenset[tuple[Step, ...]]] = OrderedDict()
        self._plans = metrics.counter(
            "kcm_dry_run_plans_total", "Plans that were told instead of carried out.", ("controller",)
        ).labels(controller)

    def begin(self, key: Key) -> RehearsedReconcile:
        """Return what applies the plans of one reconcile of `key`."""
        before = self._told.pop(key, frozenset())
        return RehearsedReconcile(self, key, before)

    def note(self, key: Key, plan: Plan, before: frozenset[tuple[Step, ...]]) -> None:
        """Tell of a plan, unless the key's last reconcile had it too."""
        steps = tuple(map(step_of, plan.actions[:MOST_STEPS]))
        self._told[key] = self._told.pop(key, frozenset()) | {steps}
        if len(self._told) > MOST_KEYS:
            self._told.popitem(last=False)
        if steps in before:
            return
        self._plans.inc()
        planned = Planned(self._controller, str(key), steps, len(plan.actions))
        self._log.info("plan not sent", key=planned.key, actions=list(map(str, steps)), total=planned.total)
        self._tell(planned)


class RehearsedReconcile:
    """The applier of one reconcile of a dry run."""

    def __init__(self, rehearsal: Rehearsal, key: Key, before: frozenset[tuple[Step, ...]]) -> None:
        self._rehearsal = rehearsal
        self._key = key
        self._before = before

    async def apply(self, plan: Plan) -> Outcome:
        """Tell of the plan. `Rehearsed` unless no decision can rest on it: events, and what is routine."""
        news = tuple(action for action in plan.actions if not _routine(action))
        if news:
            self._rehearsal.note(self._key, msgspec.structs.replace(plan, actions=news), self._before)
        if all(isinstance(action, Emit) for action in news):
            return Outcome(done=tuple(map(Applied, plan.actions)))
        raise Rehearsed("dry run: the plan was not sent")


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
