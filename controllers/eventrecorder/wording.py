"""Stories as the two API groups write them (reference: runtime §6).

Pure. Guarantees what the server demands: the namespace of the object, or `default`; a name that
is a DNS subdomain, unique by the time in nanoseconds; for the new API an eventTime, instance,
action and reason, and none of the fields that belong to the old one; a series counts from two.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from controllers.eventrecorder.correlator import Tell
from kcm.objects import CoreEvent, Event, EventSeries, EventSource, Metadata, Resource

LONGEST_NAME = 253
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class Wording(Protocol):
    """How one API group tells a story."""

    def whole(self, tell: Tell) -> Resource[None]:
        """Return the event to create."""
        ...

    def change(self, tell: Tell) -> Mapping[str, Any]:
        """Return the merge patch that brings an event up to date."""
        ...


class SeriesWording:
    """events.k8s.io/v1: an event, and a series once it has repeated."""

    def whole(self, tell: Tell) -> Event:
        """Return the event to create."""
        story, event = tell.story, tell.story.event
        return Event(
            metadata=_metadata(tell),
            event_time=_micro_time(event.time),
            reporting_controller=event.component,
            reporting_instance=event.instance,
            action=event.action,
            reason=event.reason,
            regarding=event.about,
            note=story.note,
            type=event.type,
            series=EventSeries(tell.times, _micro_time(event.time)) if tell.times > 1 else None,
        )

    def change(self, tell: Tell) -> Mapping[str, Any]:
        """Return the merge patch that brings an event up to date: all but its series is immutable."""
        observed = _micro_time(tell.story.event.time)
        return {"series": {"count": tell.times, "lastObservedTime": observed}}


class CountWording:
    """v1: an event with a count, which tools older than the new API read too."""

    def whole(self, tell: Tell) -> CoreEvent:
        """Return the event to create."""
        story, event = tell.story, tell.story.event
        return CoreEvent(
            metadata=_metadata(tell),
            involved_object=event.about,
            reason=event.reason,
            message=story.note,
            source=EventSource(event.component),
            first_timestamp=_time(event.time),
            last_timestamp=_time(event.time),
            count=tell.times,
            type=event.type,
            reporting_component=event.component,
            reporting_instance=event.instance,
        )

    def change(self, tell: Tell) -> Mapping[str, Any]:
        """Return the merge patch that brings an event up to date; a combined one tells its last note."""
        last = _time(tell.story.event.time)
        return {"count": tell.times, "lastTimestamp": last, "message": tell.story.note}


def event_name(object_name: str, nanoseconds: int, salt: str) -> str:
    """Return the name of an event about an object; one without it when the two are no valid name.

    Names of cluster-wide objects may have colons, and the longest leave no room for the time.
    """
    name = f"{object_name}.{nanoseconds:x}"
    if len(name) <= LONGEST_NAME and _SUBDOMAIN.fullmatch(name):
        return name
    digest = hashlib.blake2b(f"{object_name}/{nanoseconds}/{salt}".encode(), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:]}"


def _metadata(tell: Tell) -> Metadata:
    return Metadata(name=tell.story.name, namespace=tell.story.event.about.namespace or "default")


def _micro_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
