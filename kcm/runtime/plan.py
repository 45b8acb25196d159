"""Plans: intended writes as data.

A reconcile decides on a `Plan` and only `Context.apply` carries it out. Because a plan is a
value, a dry run prints it, a test compares it, and a crash test stops between any two of its
actions. Guarantees: an action holds all that the write needs, preconditions included, so that
repeating it is safe. A plan does nothing by itself and owns no state.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal

import msgspec

from kcm.objects.events import ObjectReference, reference_to
from kcm.objects.resource import Key, Resource, ResourceType

PatchKind = Literal["merge", "strategic", "json"]
Propagation = Literal["", "Orphan", "Background", "Foreground"]


class Pace(Enum):
    """How the actions of one plan follow each other.

    IN_ORDER: one after the other, stopping at the first failure.
    TOGETHER: all at once, each tried whatever happens to the others.
    SLOW_START: batches of 1, 2, 4, 8…, and once as many went well as are sent at a time, all the
    rest; a failure ends the plan with what is under way, so that a quota or a broken webhook sees
    few requests (reference: workloads 1.5).
    """

    IN_ORDER = "in-order"
    TOGETHER = "together"
    SLOW_START = "slow-start"


class Target(msgspec.Struct, frozen=True):
    """The object that an action is about: its `resource` and `key`, and what it was when it was seen.

    `uid` and `resource_version` are preconditions; "" asks for none.
    """

    resource: ResourceType
    key: Key
    uid: str = ""
    resource_version: str = ""


class Create(msgspec.Struct, frozen=True):
    """Create `object`, whose name is already chosen: sent again, it cannot make a second one.

    `because`: for people and logs, as in every action.
    """

    object: Resource[Any]
    because: str


class Patch(msgspec.Struct, frozen=True):
    """Change a part of an object. `exact` also demands the resourceVersion that was seen.

    `routine`: it brings readings and words up to date, no decision is behind it; a dry run does not tell it.
    """

    target: Target
    changes: Mapping[str, Any] | tuple[Mapping[str, Any], ...]
    because: str
    kind: PatchKind = "merge"
    subresource: str = ""
    exact: bool = False
    routine: bool = False


class Apply(msgspec.Struct, frozen=True):
    """Have the fields of `object`, and no others, be so in the name of a field manager (server-side apply).

    Creates the object if there is none. Sent again, it changes nothing. `force` takes fields of other
    managers over. `because`: for people and logs.
    """

    object: Resource[Any]
    manager: str
    because: str
    force: bool = False


class Scale(msgspec.Struct, frozen=True):
    """Set spec.replicas through the scale subresource, of the very object that was seen."""

    target: Target
    replicas: int
    because: str


class Delete(msgspec.Struct, frozen=True):
    """Delete exactly the `target` that was seen: uid and resourceVersion are preconditions.

    `propagation`: what becomes of what it owns; "" is what the server does unasked. `because`: for people
    and logs.
    """

    target: Target
    because: str
    propagation: Propagation = ""


class Emit(msgspec.Struct, frozen=True):
    """Tell people what happened, as an Event about an object. `action` "": the same as the reason.

    `routine`: it repeats what the object says already; a dry run does not tell it.
    """

    about: ObjectReference
    type: Literal["Normal", "Warning"]
    reason: str
    note: str
    action: str = ""
    routine: bool = False


Action = Create | Patch | Apply | Scale | Delete | Emit


class Plan(msgspec.Struct, frozen=True):
    """Its `actions`, at which `pace` they follow each other, and when to look again.

    `recheck_in`: seconds, None: no need. It is for the reconcile that made the plan to return.
    """

    actions: tuple[Action, ...] = ()
    pace: Pace = Pace.IN_ORDER
    recheck_in: float | None = None

    def __add__(self, other: Plan) -> Plan:
        """Return both plans as one: this one's pace, the earlier of the two rechecks."""
        times = [time for time in (self.recheck_in, other.recheck_in) if time is not None]
        return Plan(self.actions + other.actions, self.pace, min(times, default=None))

    def __bool__(self) -> bool:
        return bool(self.actions)

    def at_pace(self, pace: Pace) -> Plan:
        """Return the same actions at another pace."""
        return Plan(self.actions, pace, self.recheck_in)

    @staticmethod
    def nothing() -> Plan:
        """Return the plan of someone who has reached what they want."""
        return Plan()

    @staticmethod
    def create(new: Resource[Any], *, because: str) -> Plan:
        """Plan to create `new`; it must carry its name and, if it has an owner, the owner reference."""
        return Plan((Create(new, because),))

    @staticmethod
    def patch(
        seen: Resource[Any],
        changes: Mapping[str, Any],
        *,
        because: str,
        kind: PatchKind = "merge",
        exact: bool = False,
    ) -> Plan:
        """Plan to change a part of `seen`; it fails if the object was replaced by another of its name."""
        return Plan((Patch(target_of(seen), changes, because, kind, "", exact),))

    @staticmethod
    def apply(wanted: Resource[Any], *, manager: str, because: str, force: bool = False) -> Plan:
        """Plan a server-side apply of `wanted`, an object made for it: name, labels, and the fields to own.

        What `manager` applied before and `wanted` leaves out goes away; so does a field that has its
        type's default, which is not written. Fields of another manager are a `FieldsTaken`, or with
        `force` are taken over. `status` is left out; it has a manager of its own.
        """
        return Plan((Apply(wanted, manager, because, force),))

    @staticmethod
    def patch_status(
        seen: Resource[Any],
        changes: Mapping[str, Any],
        *,
        because: str,
        kind: PatchKind = "merge",
        annotations: Mapping[str, str | None] | None = None,
        exact: bool = True,
        routine: bool = False,
    ) -> Plan:
        """Plan to change `seen`'s status; it fails if anything else changed the object since.

        `changes` is the content of `status`. `annotations` ride along, where a type keeps what
        its controller found there without counting a new generation (reference: workloads 2.11).
        Not `exact`: an edit that came in between is no obstacle, another object of the name is. `routine`:
        see `Patch`.
        """
        body: dict[str, Any] = {"status": changes}
        if annotations:
            body["metadata"] = {"annotations": annotations}
        return Plan((Patch(target_of(seen), body, because, kind, "status", exact, routine),))

    @staticmethod
    def delete(seen: Resource[Any], *, because: str, propagation: Propagation = "") -> Plan:
        """Plan to delete `seen` as it was seen, and what it owns as `propagation` says."""
        return Plan((Delete(target_of(seen), because, propagation),))

    @staticmethod
    def scale(seen: Resource[Any] | Target, replicas: int, *, because: str) -> Plan:
        """Plan to set the replicas of `seen` through its scale subresource; of any type, by a `Target`."""
        return Plan((Scale(seen if isinstance(seen, Target) else target_of(seen), replicas, because),))

    @staticmethod
    def emit(
        about: Resource[Any],
        type_: Literal["Normal", "Warning"],
        reason: str,
        note: str,
        action: str = "",
        *,
        routine: bool = False,
    ) -> Plan:
        """Plan an Event about an object; see `Context.emit`, and `Emit` for `routine`."""
        return Plan((Emit(reference_to(about), type_, reason, note, action, routine),))


class Applied(msgspec.Struct, frozen=True):
    """An action that took effect, and the object it left behind (None: gone, or not cached here)."""

    action: Action
    object: Resource[Any] | None = None


class Failed(msgspec.Struct, frozen=True):
    """An action that did not take effect, or whose effect is not known."""

    action: Action
    error: Exception


class Outcome(msgspec.Struct, frozen=True):
    """What became of a plan's actions, in the order in which they ended.

    `done` took effect, `failed` did not or nobody knows, `skipped` were never sent.
    """

    done: tuple[Applied, ...] = ()
    failed: tuple[Failed, ...] = ()
    skipped: tuple[Action, ...] = ()

    def raise_failure(self) -> None:
        """Raise the first failure, if there was one."""
        for failure in self.failed:
            raise failure.error


def target_of(seen: Resource[Any]) -> Target:
    """Return what names `seen` and the state it was in."""
    metadata = seen.metadata
    return Target(seen.resource_type(), seen.key, metadata.uid, metadata.resource_version)
