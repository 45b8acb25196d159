"""Two ways to write a log record: JSON for machines, aligned text for people.

Guarantees: one record is one line (in text, a traceback follows on lines that are all
indented with a bar, so that nothing in it can pass for a record); every value has been
cleaned. JSON keys: time, level, process, component, message, then the record's own fields; a
field that takes one of those names gets an underscore appended. Owns no state.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import msgspec

from kcm.telemetry.cleaning import Plain, clean_fields, clean_text, clean_traceback

Format = Callable[[logging.LogRecord], str]

_RESERVED = frozenset({"time", "level", "process", "component", "message", "traceback"})
_LEVELS = {"DEBUG": "debug", "INFO": "info", "WARNING": "warning", "ERROR": "error", "CRITICAL": "error"}
_COLOURS = {"debug": "2", "info": "32", "warning": "33", "error": "1;31"}
_MARKS = {"debug": "DEBUG", "info": "INFO ", "warning": "WARN ", "error": "ERROR"}
_COMPONENT_WIDTH = 20
_MESSAGE_WIDTH = 28

_encoder = msgspec.json.Encoder()


def json_format(process: str) -> Format:
    """Return the format that writes one JSON object a line."""

    def write(record: logging.LogRecord) -> str:
        row: dict[str, Plain] = {
            "time": _moment(record).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "level": _LEVELS.get(record.levelname, "info"),
            "process": process,
            "component": _component(record),
            "message": _message(record),
        }
        for name, value in clean_fields(_fields(record)).items():
            row[f"{name}_" if name in _RESERVED else name] = value
        trace = _trace(record)
        if trace:
            row["traceback"] = "\n".join(trace)
        return _encoder.encode(row).decode()

    return write


def text_format(process: str, colour: bool) -> Format:
    """Return the format for a terminal: time, level, component, message, key=value."""
    owner = "" if process == "manager" else f"{process}:"

    def paint(code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colour else text

    def write(record: logging.LogRecord) -> str:
        level = _LEVELS.get(record.levelname, "info")
        component = f"{owner}{_component(record)}"
        fields = clean_fields(_fields(record))
        message = _message(record)
        head = [
            paint("2", _moment(record).astimezone().strftime("%H:%M:%S.%f")[:-3]),
            paint(_COLOURS[level], _MARKS[level]),
            paint("36", component.ljust(_COMPONENT_WIDTH)),
            message.ljust(_MESSAGE_WIDTH) if fields else message,
        ]
        head += [f"{paint('2', name + '=')}{_shown(value)}" for name, value in fields.items()]
        lines = [" ".join(head), *(f"    {paint('2', '|')} {line}" for line in _trace(record))]
        return "\n".join(lines)

    return write


def _moment(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _component(record: logging.LogRecord) -> str:
    return clean_text(record.name.removeprefix("kcm."), 64)


def _message(record: logging.LogRecord) -> str:
    try:
        return clean_text(record.getMessage())
    except Exception as error:  # noqa: BLE001 - a wrong format argument must not lose the record
        return clean_text(f"{record.msg} (arguments do not fit: {error})")


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    fields: Mapping[str, object] = getattr(record, "fields", {})
    return fields


def _trace(record: logging.LogRecord) -> list[str]:
    error = _fields(record).get("exception")
    if error is None and record.exc_info:
        error = record.exc_info[1]
    return clean_traceback(error) if isinstance(error, BaseException) else []


def _shown(value: Plain) -> str:
    """Return a value as people read it: quoted only where its end would not be seen."""
    match value:
        case str() if value and not any(mark in value for mark in ' ="'):
            return value
        case str():
            return '"' + value.replace('"', "'") + '"'
        case bool():
            return "true" if value else "false"
        case None:
            return "none"
        case float():
            return f"{value:.6g}"
    return _encoder.encode(value).decode()
