"""Which events are written, and when: a pure machine (reference: runtime §6).

Three memories, each bounded to `REMEMBERED` entries. *Similar* events differ in their notes only:
from the tenth note within ten minutes of the one before on, they are told as one combined event.
A *story* is one event as people see it, and how often it has happened. A *bucket* per teller,
object and type pays for writes: 25, then one per five minutes.

A new story is written at once, its second occurrence as a series of two; later ones only count,
and the count is written every half hour and when nothing has happened for six minutes, after
which the story is forgotten. With `eager` every occurrence is written that the bucket pays for.
What cannot be paid is not lost: the count goes on and is written with the next write.

Unlike the recorder of Go's client for this API group, two events with different notes are two
stories until they are combined: people want to read which pods were made. Times are seconds of a
clock that the caller names, except in `Story`, which keeps those of the events. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from controllers.eventrecorder.memory import Recent
from kcm.objects import Emitted, Key

REMEMBERED = 4096
BURST = 25
REFILL_SECONDS = 300.0
MOST_NOTES = 10
SIMILAR_SECONDS = 600.0
IDLE_SECONDS = 360.0
RENEW_SECONDS = 1800.0
COMBINED = "(combined from similar events): "
LONGEST_NOTE = 1024

About = tuple[str, str, str, str, str]


class Kind(NamedTuple):
    """What similar events have in common."""

    component: str
    instance: str
    about: About
    type: str
    reason: str
    action: str


class StoryKey(NamedTuple):
    """Names a story; `note` None: the combined one of its kind."""

    kind: Kind
    note: str | None


@dataclass(slots=True)
class Story:
    """One event as people see it. `told`: the count that the server has, 0 when it has no such event."""

    key: StoryKey
    event: Emitted
    count: int = 0
    told: int = 0
    told_at: float = 0.0
    seen_at: float = 0.0
    name: str = ""

    @property
    def note(self) -> str:
        """Return what the event says."""
        if self.key.note is not None:
            return self.event.note
        return f"{COMBINED}{self.event.note}"[:LONGEST_NOTE]


class Tell(NamedTuple):
    """A story is to be written: created with this count (`times`), or updated to it."""

    story: Story
    times: int


@dataclass(slots=True)
class _Similar:
    last: float = 0.0
    notes: dict[str, None] = field(default_factory=dict)

    def combine(self, note: str, now: float) -> bool:
        """Take a note; say whether it is one too many."""
        if now - self.last > SIMILAR_SECONDS:
            self.notes.clear()
        self.last = now
        self.notes[note] = None
        if len(self.notes) < MOST_NOTES:
            return False
        del self.notes[next(iter(self.notes))]
        return True


@dataclass(slots=True)
class _Bucket:
    tokens: float = float(BURST)
    at: float = 0.0

    def pay(self, now: float) -> bool:
        self.tokens = min(float(BURST), self.tokens + (now - self.at) / REFILL_SECONDS)
        self.at = now
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


class Correlator:
    """Takes events, says what to write. `told` and `forget` report what became of that."""

    def __init__(self, *, eager: bool = False) -> None:
        self.combined = 0
        self.unpaid = 0
        self._eager = eager
        self._similar: Recent[Kind, _Similar] = Recent(REMEMBERED, _Similar)
        self._buckets: Recent[tuple[str, About, str], _Bucket] = Recent(REMEMBERED, _Bucket)
        self._stories: dict[StoryKey, Story] = {}
        self._by_object: dict[Key, dict[StoryKey, None]] = {}

    def __len__(self) -> int:
        return len(self._stories)

    def take(self, event: Emitted, now: float) -> Tell | None:
        """Take one event; return what is to be written because of it, if anything is."""
        kind = _kind_of(event)
        combined = self._similar.touch(kind).combine(event.note, now) or event.mixed
        self.combined += event.times if combined else 0
        story = self._story(StoryKey(kind, None if combined else event.note), event)
        story.event = event
        story.count += event.times
        story.seen_at = now
        if story.told > 1 and not self._eager:
            return None
        if not self._buckets.touch((event.component, kind.about, event.type)).pay(now):
            return None
        return Tell(story, story.count)

    def sweep(self, key: Key, now: float) -> Iterator[Tell]:
        """Yield what is due of an object's stories; those that are over are forgotten."""
        for story_key in tuple(self._by_object.get(key, ())):
            story = self._stories[story_key]
            over = now - story.seen_at >= IDLE_SECONDS
            if over:
                self._drop(story)
            if story.count > story.told > 0 and (over or now - story.told_at >= RENEW_SECONDS):
                yield Tell(story, story.count)

    def due_in(self, key: Key, now: float) -> float | None:
        """Return in how many seconds an object's stories are to be swept; None when it has none."""
        whens = [self._due(self._stories[each]) for each in self._by_object.get(key, ())]
        return max(0.0, min(whens) - now) if whens else None

    def told(self, tell: Tell, now: float) -> None:
        """Note that the server has what was to be told."""
        tell.story.told = tell.times
        tell.story.told_at = now

    def forget(self, story: Story) -> None:
        """Forget a story that the server does not want."""
        if self._stories.get(story.key) is story:
            story.told = story.count
            self._drop(story)

    def _due(self, story: Story) -> float:
        idle = story.seen_at + IDLE_SECONDS
        return min(idle, story.told_at + RENEW_SECONDS) if story.count > story.told > 0 else idle

    def _story(self, key: StoryKey, event: Emitted) -> Story:
        story = self._stories.pop(key, None) or Story(key, event)
        self._stories[key] = story
        self._by_object.setdefault(event.key, {})[key] = None
        if len(self._stories) > REMEMBERED:
            self._drop(next(iter(self._stories.values())))
        return story

    def _drop(self, story: Story) -> None:
        if not story.told:
            self.unpaid += story.count
        del self._stories[story.key]
        of_object = self._by_object[story.event.key]
        del of_object[story.key]
        if not of_object:
            del self._by_object[story.event.key]


def _kind_of(event: Emitted) -> Kind:
    about = event.about
    return Kind(
        event.component,
        event.instance,
        # Not the resourceVersion: it differs each time, and no two events would be alike.
        (about.api_version, about.kind, about.namespace, about.name, about.uid),
        event.type,
        event.reason,
        event.action,
    )
