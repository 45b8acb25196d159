"""What controllers decided lately: the last decisions of all hosts, or the last plans of a dry run.

Hosts report decisions with their heartbeats, and a dry run's plans once per change; nothing else is
kept. Guarantees: so many per controller, so that a busy one does not crowd the others out, and newest
first; what goes on for the same reason within a minute is one line with a count; texts are as safe to
show as those in logs; what a host has no room for is counted. Owns both lists.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from itertools import chain

import msgspec

from kcm.base.clock import Clock
from kcm.host.messages import Decided, NotSent
from kcm.runtime.decisions import MOST_ENTRIES, MOST_KEYS, Decision
from kcm.runtime.rehearsal import Planned
from kcm.serving.status import DecisionStatus, PlanStatus
from kcm.telemetry.cleaning import clean_text

MOST_PLANS = 100
MOST_DECISIONS = 200
MOST_OF_ONE = 60
MOST_CONTROLLERS = 500
# What is repeated sooner is the same line: for the same key, and for whatever key.
TOGETHER_SECONDS = 60.0
BURST_SECONDS = 5.0
_LONGEST = 300


class Chronicle:
    """The last decisions and plans."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._plans: deque[PlanStatus] = deque(maxlen=MOST_PLANS)
        self._decisions: OrderedDict[str, deque[DecisionStatus]] = OrderedDict()
        self.left_out = 0

    def take(self, told: Decided | NotSent) -> None:
        """Keep what a host has told; the oldest makes room."""
        match told:
            case NotSent(planned):
                self._keep_plan(planned)
            case Decided(decisions, left_out):
                self.left_out += max(0, left_out)
                # More than a journal holds, no host of ours sends.
                for decision in decisions[: 2 * MOST_ENTRIES]:
                    self._keep(_shown(decision))

    def plans(self) -> tuple[PlanStatus, ...]:
        """Return the plans that are kept, newest first."""
        return tuple(self._plans)

    def decisions(self) -> tuple[DecisionStatus, ...]:
        """Return the decisions that are kept, newest first."""
        every = chain.from_iterable(self._decisions.values())
        return tuple(sorted(every, key=lambda decision: decision.at, reverse=True)[:MOST_DECISIONS])

    def _keep_plan(self, planned: Planned) -> None:
        actions = tuple(map(str, planned.steps))
        now = self._clock.wall()
        self._plans.appendleft(PlanStatus(now, planned.controller, planned.key, actions, planned.total))

    def _keep(self, new: DecisionStatus) -> None:
        kept = self._decisions.get(new.controller)
        if kept is None:
            if len(self._decisions) >= MOST_CONTROLLERS:
                self._decisions.popitem(last=False)
            kept = self._decisions[new.controller] = deque(maxlen=MOST_OF_ONE)
        for old in kept:
            if _goes_on(old, new):
                kept.remove(old)
                kept.appendleft(_together(old, new))
                return
        kept.appendleft(new)


def _goes_on(old: DecisionStatus, new: DecisionStatus) -> bool:
    """Say whether a decision goes on: the same deed for the same reason with the same outcome."""
    if (old.action, old.result, old.error) != (new.action, new.result, new.error):
        return False
    if old.replicas != new.replicas:
        return False
    if _resource(old) != _resource(new):
        return False
    quiet = (new.at - old.at).total_seconds()
    if new.action == "patch status":
        # Each time in other words.
        return old.keys == new.keys and quiet <= TOGETHER_SECONDS
    same = old.keys == new.keys and (old.wanted > 1 or old.object == new.object)
    return old.because == new.because and quiet <= (TOGETHER_SECONDS if same else BURST_SECONDS)


def _together(old: DecisionStatus, new: DecisionStatus) -> DecisionStatus:
    keys = tuple(dict.fromkeys((*new.keys, *old.keys)))[:MOST_KEYS]
    wanted = old.wanted + new.wanted
    return msgspec.structs.replace(
        new,
        keys=keys,
        object=_resource(new) if wanted > 1 else new.object,
        times=old.times + new.times,
        wanted=wanted,
        done=old.done + new.done,
        since=old.since or old.at,
    )


def _resource(decision: DecisionStatus) -> str:
    """Return the resource of the object that is named, or of those that are counted."""
    return decision.object.partition(" ")[0]


def _shown(decision: Decision) -> DecisionStatus:
    return DecisionStatus(
        at=decision.at,
        controller=clean_text(decision.controller, _LONGEST),
        keys=tuple(clean_text(key, _LONGEST) for key in decision.keys[:MOST_KEYS]),
        action=clean_text(decision.action, _LONGEST),
        object=clean_text(decision.object, _LONGEST),
        because=clean_text(decision.because, _LONGEST),
        result=decision.result,
        error=clean_text(decision.error, _LONGEST),
        times=decision.times,
        wanted=decision.wanted,
        done=decision.done,
        replicas=decision.replicas,
    )
