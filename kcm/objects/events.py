"""Events: what controllers tell people, on its way and as both API groups store it.

`Emitted` travels between kcm's processes, so it bounds what it takes; `Event` and `CoreEvent` are
only ever written. Times are text as the API writes them. Owns nothing.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from kcm.objects.metadata import Spec
from kcm.objects.resource import Key, Resource


class ObjectReference(Spec, frozen=True):
    """`v1.ObjectReference`."""

    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    resource_version: str = ""


def reference_to(target: Resource[Any]) -> ObjectReference:
    """Return the reference that an Event about `target` carries."""
    return ObjectReference(
        api_version=target.api,
        kind=target.kind,
        namespace=target.metadata.namespace,
        name=target.metadata.name,
        uid=target.metadata.uid,
        resource_version=target.metadata.resource_version,
    )


class Emitted(Spec, frozen=True):
    """An event that a controller has emitted, on its way to whoever records events.

    `time` is when, in seconds since 1970. `times`: so many occurrences, of which this is the last;
    `mixed`: their notes differed. `component` is who tells it, `instance` which process of it.
    """

    about: ObjectReference
    type: Literal["Normal", "Warning"]
    reason: Annotated[str, Meta(min_length=1, max_length=128)]
    note: Annotated[str, Meta(max_length=1024)]
    action: Annotated[str, Meta(min_length=1, max_length=128)]
    component: Annotated[str, Meta(min_length=1, max_length=128)]
    instance: Annotated[str, Meta(min_length=1, max_length=128)]
    time: Annotated[float, Meta(ge=0, le=1e11)]
    times: Annotated[int, Meta(ge=1, le=10**9)] = 1
    mixed: bool = False

    @property
    def key(self) -> Key:
        """Name the object that this is about; objects of different kinds may share a key."""
        return Key(self.about.namespace, self.about.name)


class EventSeries(Spec, frozen=True):
    """How often an event was seen (two times or more), and when last (`metav1.MicroTime`)."""

    count: int
    last_observed_time: str


class Event(Resource[None], frozen=True, kw_only=True):
    """An event of `events.k8s.io/v1`. It has no spec; `kind` of what it is about is in `regarding`."""

    api, kind, plural = "events.k8s.io/v1", "Event", "events"

    spec: None = None
    event_time: str
    reporting_controller: str
    reporting_instance: str
    action: str
    reason: str
    regarding: ObjectReference
    note: str
    type: str
    series: EventSeries | None = None


class EventSource(Spec, frozen=True):
    """`v1.EventSource`."""

    component: str


class CoreEvent(Resource[None], frozen=True, kw_only=True):
    """An event of the core group, with a count. Times are `metav1.Time`."""

    api, kind, plural = "v1", "Event", "events"

    spec: None = None
    involved_object: ObjectReference
    reason: str
    message: str
    source: EventSource
    first_timestamp: str
    last_timestamp: str
    count: int
    type: str
    reporting_component: str
    reporting_instance: str
