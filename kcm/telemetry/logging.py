"""Log records with keys, on the standard library's logging.

    log = logger("cache.reflector")
    log.info("watch closed", resource="pods", after=12.1)

Guarantees: a call never waits for the stream, and never raises because of what it is given; a
record that is below the level costs a comparison; what is written is bounded, redacted and
escaped (see `kcm.telemetry.cleaning`). Until `configure` is called records go to no stream, but
reach whatever handlers a test or an embedding program has installed. Every process configures
itself; all share stderr. The standard library owns the tree of loggers; this module owns the
one handler and its writer.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
from typing import Any, Literal, TextIO

from kcm.telemetry.formats import Format, json_format, text_format
from kcm.telemetry.tracing import TRACE_ID, current
from kcm.telemetry.writer import LineWriter

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
# Libraries whose info and debug records describe themselves, not the cluster.
_NOISY = ("aiohttp", "asyncio", "concurrent", "kubernetes", "multiprocess", "urllib3")
_CLOSE_TIMEOUT = 1.0

logging.getLogger("kcm").addHandler(logging.NullHandler())


class Logger:
    """A component's voice. `bind` returns one that adds fields to every record."""

    __slots__ = ("_bound", "_log")

    def __init__(self, log: logging.Logger, bound: dict[str, object] | None = None) -> None:
        self._log = log
        self._bound = bound or {}

    def bind(self, **fields: object) -> Logger:
        """Return a logger that adds these fields to each of its records."""
        return Logger(self._log, {**self._bound, **fields})

    def debug(self, message: str, /, **fields: object) -> None:
        """Log what only a developer of kcm wants to see."""
        self._write(logging.DEBUG, message, fields)

    def info(self, message: str, /, **fields: object) -> None:
        """Log a change that an operator may want to see."""
        self._write(logging.INFO, message, fields)

    def warning(self, message: str, /, **fields: object) -> None:
        """Log what kcm copes with but someone should know."""
        self._write(logging.WARNING, message, fields)

    def error(self, message: str, /, **fields: object) -> None:
        """Log what failed. `exception=error` adds the error's traceback."""
        self._write(logging.ERROR, message, fields)

    def enabled(self, level: Literal["debug", "info", "warning", "error"]) -> bool:
        """Return whether a record of this level would be written."""
        return self._log.isEnabledFor(LEVELS[level])

    def _write(self, level: int, message: str, fields: dict[str, object]) -> None:
        if not self._log.isEnabledFor(level):
            return
        merged = {**self._bound, **fields} if self._bound else fields
        if span := current():
            merged = {**merged, "trace": span.traceparent[TRACE_ID]}
        # A percent sign in `message` is text: with no arguments logging does not format it.
        record = self._log.makeRecord(self._log.name, level, "", 0, message, (), None)
        record.fields = merged
        self._log.handle(record)


def logger(component: str) -> Logger:
    """Return the logger of a component, for instance "cache.reflector"."""
    return Logger(logging.getLogger(f"kcm.{component}"))


class _Handler(logging.Handler):
    """Formats in the caller, so that a value is seen as it is now; writes in the writer's thread."""

    def __init__(self, writer: LineWriter, form: Format) -> None:
        super().__init__()
        self.writer = writer
        self._form = form

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.writer.put(self._form(record))
        except Exception:  # noqa: BLE001 - logging must not break what it reports on
            self.writer.dropped += 1


_handler: _Handler | None = None
_levels_before: dict[str, int] = {}


def configure(
    level: str = "info",
    format: Literal["auto", "json", "text"] = "auto",
    process: str = "manager",
    stream: TextIO | None = None,
) -> None:
    """Send this process's records to `stream` (stderr); calling it again replaces the set-up.

    "auto" is text on a terminal and JSON elsewhere. Colour is used on a terminal only, and not
    when NO_COLOR is set. ValueError for an unknown level or format.
    """
    global _handler
    if level not in LEVELS:
        raise ValueError(f"unknown log level {level!r}: one of {', '.join(LEVELS)}")
    if format not in ("auto", "json", "text"):
        raise ValueError(f"unknown log format {format!r}: one of auto, json, text")
    shutdown()
    target = sys.stderr if stream is None else stream
    terminal = target.isatty()
    form = (
        text_format(process, terminal and _wants_colour())
        if format == "text" or (format == "auto" and terminal)
        else json_format(process)
    )
    _handler = _Handler(LineWriter(target, lambda count: form(_dropped_record(count))), form)
    logging.getLogger().addHandler(_handler)
    _set_level("", LEVELS[level])
    for name in _NOISY:
        _set_level(name, max(logging.WARNING, LEVELS[level]))
    logging.captureWarnings(True)
    atexit.unregister(shutdown)
    atexit.register(shutdown)


def set_level(level: str) -> None:
    """Change the least level of this process's records. ValueError for an unknown level.

    Does nothing before `configure`: whoever else reads the records has set a level of their own.
    """
    if level not in LEVELS:
        raise ValueError(f"unknown log level {level!r}: one of {', '.join(LEVELS)}")
    if _handler is None:
        return
    logging.getLogger().setLevel(LEVELS[level])
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, LEVELS[level]))


def dropped() -> int:
    """Return how many records this process gave up because the stream did not take them."""
    return _handler.writer.dropped if _handler else 0


def shutdown() -> None:
    """Write out what is queued (within a second) and go back to the state before `configure`."""
    global _handler
    if _handler is None:
        return
    logging.getLogger().removeHandler(_handler)
    logging.captureWarnings(False)
    while _levels_before:
        name, before = _levels_before.popitem()
        logging.getLogger(name).setLevel(before)
    _handler.writer.close(_CLOSE_TIMEOUT)
    _handler = None


def _set_level(name: str, level: int) -> None:
    log = logging.getLogger(name)
    _levels_before[name] = log.level
    log.setLevel(level)


def _wants_colour() -> bool:
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _dropped_record(count: int) -> logging.LogRecord:
    fields: dict[str, Any] = {"fields": {"count": count}}
    return logging.makeLogRecord(
        {
            "name": "kcm.telemetry",
            "levelname": "WARNING",
            "msg": "log lines dropped, stderr is slow",
            **fields,
        }
    )
