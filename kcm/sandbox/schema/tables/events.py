"""The table of Events, for both groups."""

from __future__ import annotations

from datetime import datetime

from kcm.sandbox.schema.tables.columns import Json, Printer, column, count, name_of, part, since, text, wide


def _cells(event: Json, now: datetime) -> list[object]:
    about = part(event, "involvedObject") or part(event, "regarding")
    source = part(event, "source") or part(event, "deprecatedSource")
    series = part(event, "series")
    first = (
        text(event, "firstTimestamp") or text(event, "deprecatedFirstTimestamp") or text(event, "eventTime")
    )
    last = text(event, "lastTimestamp") or text(event, "deprecatedLastTimestamp")
    seen = count(event, "count") or count(event, "deprecatedCount")
    last = text(series, "lastObservedTime") or last or first
    controller = text(event, "reportingComponent") or text(event, "reportingController")
    where = text(source, "host") or text(event, "reportingInstance")
    component = text(source, "component") or controller
    return [
        since(last, now),
        text(event, "type"),
        text(event, "reason"),
        _object(about),
        text(about, "fieldPath"),
        ", ".join(filter(None, (component, where))),
        (text(event, "message") or text(event, "note")).strip(),
        since(first, now),
        count(series, "count") or seen or 1,
        name_of(event),
    ]


def _object(about: Json) -> str:
    kind, name = text(about, "kind").lower(), text(about, "name")
    return f"{kind}/{name}" if name else kind


EVENTS = Printer(
    (
        column("Last Seen"),
        column("Type"),
        column("Reason"),
        column("Object"),
        wide("Subobject"),
        wide("Source"),
        column("Message"),
        wide("First Seen"),
        column("Count", "integer", priority=1),
        column("Name", format="name", priority=1),
    ),
    _cells,
)
