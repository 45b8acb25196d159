"""Rules for Events of both groups; those of events.k8s.io are stricter (reference: apiserver §5).

An Event with an eventTime is of the new style, whichever group it is read through: a legacy one
may be counted up through events.k8s.io without growing the fields that it never had.
"""

from __future__ import annotations

from kcm.sandbox.schema.validation import names
from kcm.sandbox.schema.validation.failures import invalid, required
from kcm.sandbox.schema.validation.parts import IMMUTABLE, Errors, Json, part, text

_LONGEST_NAME = 128
_LONGEST_NOTE = 1024
_HOMES = frozenset(("default", "kube-system"))
_IMMUTABLE = (
    "regarding",
    "reason",
    "note",
    "deprecatedSource",
    "deprecatedFirstTimestamp",
    "deprecatedLastTimestamp",
    "deprecatedCount",
    "type",
    "eventTime",
    "action",
    "related",
    "reportingController",
    "reportingInstance",
)


def check_event(event: Json) -> Errors:
    """A new Event as it is written through either group."""
    yield from _check_home(event)
    if _is_new_style(event):
        yield from _check_new_style(event)


def check_event_update(new: Json, old: Json) -> Errors:
    """Through events.k8s.io only the series and metadata of an Event change."""
    yield from _check_home(new)
    if not _is_new_style(new):
        return
    if new.get("eventTime"):
        yield from _check_new_style(new)
    for name in _IMMUTABLE:
        if new.get(name) != old.get(name):
            yield invalid(name, new.get(name), IMMUTABLE)


def _is_new_style(event: Json) -> bool:
    return text(event, "apiVersion").startswith("events.k8s.io/")


def _check_home(event: Json) -> Errors:
    about = "regarding" if _is_new_style(event) else "involvedObject"
    namespace, elsewhere = text(part(event, "metadata"), "namespace"), text(part(event, about), "namespace")
    # An object without a namespace has its events in one that always exists.
    if elsewhere != namespace if elsewhere else namespace not in _HOMES:
        yield invalid(f"{about}.namespace", elsewhere, "does not match event.namespace")


def _check_new_style(event: Json) -> Errors:
    if not event.get("eventTime"):
        yield required("eventTime")
    controller = text(event, "reportingController")
    if not controller:
        yield required("reportingController")
    for problem in names.qualified(controller) if controller else ():
        yield invalid("reportingController", controller, problem)
    for name in ("reportingInstance", "action", "reason"):
        value = text(event, name)
        if not value:
            yield required(name)
        elif len(value) > _LONGEST_NAME:
            yield invalid(name, value, f"can have at most {_LONGEST_NAME} characters")
    if len(text(event, "note")) > _LONGEST_NOTE:
        yield invalid("note", text(event, "note"), f"can have at most {_LONGEST_NOTE} characters")
    if text(event, "type") not in ("Normal", "Warning"):
        yield invalid("type", text(event, "type"), f"has invalid value: {text(event, 'type')}")
