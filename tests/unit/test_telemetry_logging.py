"""Log records: what they look like, what they hide, and that they never stop the caller."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import pty
import re
import threading
from collections.abc import Iterator
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcm.objects.resource import Key
from kcm.telemetry import logging as kcm_logging
from kcm.telemetry.cleaning import clean_fields, clean_text
from kcm.telemetry.formats import json_format, text_format
from kcm.telemetry.logging import configure, dropped, logger, shutdown
from kcm.telemetry.writer import LineWriter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    shutdown()


def lines_of(stream: io.StringIO) -> list[str]:
    shutdown()
    return stream.getvalue().splitlines()


def json_of(stream: io.StringIO) -> dict[str, object]:
    (line,) = lines_of(stream)
    read: dict[str, object] = json.loads(line)
    return read


def test_a_record_is_one_json_object_with_its_keys() -> None:
    stream = io.StringIO()
    configure(process="replicaset", stream=stream)
    logger("cache.reflector").info("watch closed", resource="pods", after=12.1, clean=True, key=Key("a", "b"))
    record = json_of(stream)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", str(record.pop("time")))
    assert record == {
        "level": "info",
        "process": "replicaset",
        "component": "cache.reflector",
        "message": "watch closed",
        "resource": "pods",
        "after": 12.1,
        "clean": True,
        "key": "a/b",
    }


def test_on_a_terminal_a_record_is_aligned_text() -> None:
    stream = io.StringIO()
    configure(format="text", stream=stream)
    logger("election").warning("renewal failed", attempt=2, why="no route", empty="", missing=None, pod="a/b")
    (line,) = lines_of(stream)
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3} WARN  election             renewal failed               "
        r'attempt=2 why="no route" empty="" missing=none pod=a/b',
        line,
    )


def test_text_names_the_process_unless_it_is_the_manager() -> None:
    stream = io.StringIO()
    configure(format="text", process="hpa", stream=stream)
    logger("runtime").info("ready")
    assert "INFO  hpa:runtime" in lines_of(stream)[0]


def test_auto_is_text_on_a_terminal_and_json_elsewhere() -> None:
    for stream, first in ((Terminal(), "\x1b"), (io.StringIO(), "{")):
        configure(stream=stream)
        logger("x").info("hello")
        assert lines_of(stream)[0].startswith(first)


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colour_can_be_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    stream = Terminal()
    configure(stream=stream)
    logger("x").error("hello", a=1)
    assert "\x1b" not in lines_of(stream)[0]


def test_text_that_is_not_on_a_terminal_has_no_colour() -> None:
    stream = io.StringIO()
    configure(format="text", stream=stream)
    logger("x").error("hello", a=1)
    assert "\x1b" not in lines_of(stream)[0]


def test_levels_hold_back_what_is_below() -> None:
    stream = io.StringIO()
    configure(level="warning", stream=stream)
    log = logger("x")
    log.debug("no")
    log.info("no")
    log.warning("yes")
    assert [log.enabled("info"), log.enabled("error")] == [False, True]
    assert json_of(stream)["message"] == "yes"


def test_a_wrong_level_or_format_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown log level 'loud': one of debug"):
        configure(level="loud")
    with pytest.raises(ValueError, match="unknown log format"):
        configure(format="xml")  # type: ignore[arg-type]  # what an unchecked caller could pass


def test_shutdown_leaves_levels_and_handlers_as_they_were() -> None:
    def state() -> list[object]:
        loggers = [logging.getLogger(name) for name in ("", "asyncio", "kubernetes", "kcm")]
        return [(log.level, tuple(log.handlers)) for log in loggers]

    before = state()
    configure(level="debug", stream=io.StringIO())
    configure(level="error", stream=io.StringIO())
    shutdown()
    assert state() == before


def test_bound_fields_are_in_every_record_and_can_be_overridden() -> None:
    stream = io.StringIO()
    configure(stream=stream)
    logger("x").bind(key="a/b", try_=1).bind(try_=2).info("hello", try_=3)
    record = json_of(stream)
    assert (record["key"], record["try_"]) == ("a/b", 3)


def test_a_field_cannot_replace_what_identifies_the_record() -> None:
    stream = io.StringIO()
    configure(stream=stream)
    logger("x").info("hello", level="fatal", message="other", name="n", self="s")
    record = json_of(stream)
    assert (record["level"], record["message"], record["name"], record["self"]) == ("info", "hello", "n", "s")
    assert (record["level_"], record["message_"]) == ("fatal", "other")


def test_an_exception_is_a_line_and_under_its_name_a_traceback() -> None:
    stream = io.StringIO()
    configure(stream=stream)
    try:
        raise ValueError("bad\x1b[2J")
    except ValueError as error:
        logger("x").error("failed", exception=error, cause=error)
    record = json_of(stream)
    assert record["exception"] == record["cause"] == "ValueError: bad\\u001b[2J"
    assert str(record["traceback"]).startswith("Traceback (most recent call last):\n")
    assert "\x1b" not in str(record["traceback"])


def test_no_line_of_a_traceback_can_pass_for_a_record() -> None:
    stream = io.StringIO()
    configure(format="text", stream=stream)
    logger("x").error("failed", exception=ValueError("bad\n12:00:00.000 INFO election won"))
    first, *rest = lines_of(stream)
    assert "ValueError: bad\\n12:00" in first
    assert rest
    assert all(line.startswith("    | ") for line in rest)


def test_other_peoples_loggers_come_out_the_same_way() -> None:
    stream = io.StringIO()
    configure(stream=stream)
    logging.getLogger("my_plugin").info("rendered %s in %d ms", "a", 3)
    logging.getLogger("aiohttp.access").info("noise")
    record = json_of(stream)
    assert (record["component"], record["message"]) == ("my_plugin", "rendered a in 3 ms")


def test_wrong_arguments_of_other_peoples_records_are_no_loss() -> None:
    record = logging.makeLogRecord({"name": "my_plugin", "msg": "rendered %d", "args": ("a",)})
    for form in (json_format("manager"), text_format("manager", colour=False)):
        assert "rendered %d (arguments do not fit: " in form(record)


def test_before_configure_records_are_for_the_tests(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    logger("x").warning("seen", pod="a")
    assert caplog.records[0].getMessage() == "seen"
    assert caplog.records[0].fields == {"pod": "a"}  # type: ignore[attr-defined]  # added by our logger
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("token", "abc123"),
        ("authorization", "Bearer abc123"),
        ("client_secret", "abc123"),
        ("Password", b"abc123"),
        ("api_key", ["abc123"]),
        ("clientKeyData", "abc123"),
        ("header", "Authorization: Bearer abc123"),
        ("header", "Basic abc123=="),
        ("error", ValueError("GET https://user:abc123@host/path failed")),
        ("body", '{"password": "abc123", "a": 1}'),
        ("query", "token=abc123&x=1"),
        ("env", {"outer": {"TOKEN": "abc123"}}),
        ("env", [{"TOKEN": "abc123"}]),
        ("jwt", "got eyJhbGciOiJSUzI1NiJ9.eyJabc123456.abc123"),
        ("pem", "-----BEGIN RSA PRIVATE KEY-----\nabc123\n-----END RSA PRIVATE KEY-----"),
        ("pem", "-----BEGIN PRIVATE KEY-----\nabc123 cut"),
    ],
)
def test_credentials_are_not_logged(field: str, value: object) -> None:
    shown = json.dumps(clean_fields({field: value}))
    assert "abc123" not in shown
    assert "REDACTED" in shown


def test_ordinary_words_are_not_taken_for_credentials() -> None:
    plain = {
        "tokens": 5,
        "secretName": "tls",
        "token_file": "/run/token",
        "message": "the basics of a token",
        "path": "/api/v1/secrets/x",
        "url": "https://host:6443/api",
    }
    assert clean_fields(plain) == plain


@pytest.mark.parametrize(
    "bad",
    [
        *("\n", "\r", "\x1b", "\x00", "\x7f", "\x85", "\x9b", "\ud800", "\ufeff", "\U000e0041"),
        *("\u200b", "\u2028", "\u2029", "\u202e", "\u2066"),
    ],
)
def test_characters_that_a_terminal_obeys_are_escaped(bad: str) -> None:
    shown = clean_text(f"a{bad}b")
    assert bad not in shown
    assert shown.startswith("a\\")
    assert shown.endswith("b")


def test_people_may_write_in_any_language() -> None:
    assert clean_text("größe 東京 שלום 🙂") == "größe 東京 שלום 🙂"


def test_lengths_depths_and_numbers_are_bounded() -> None:
    deep: list[object] = []
    for _ in range(100):
        deep = [deep]
    fields = {
        "long": "x" * 10**6,
        "many": list(range(10**4)),
        "deep": deep,
        "big": 10**6000,
        "nan": float("nan"),
    }
    fields |= {f"f{number}": number for number in range(1000)}
    shown = clean_fields(fields)
    assert len(json.dumps(shown)) < 10_000
    assert shown["big"] == "number of 19932 bits"
    assert shown["nan"] == "nan"
    assert shown["left_out"] == 1005 - 32


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no")


class Colour(Enum):
    RED = "red"


def test_a_value_that_cannot_be_shown_costs_only_itself() -> None:
    assert clean_fields({"a": Unspeakable(), "b": Colour.RED, "c": b"\xff", "d": Key("n", "x")}) == {
        "a": "Unspeakable (cannot be shown)",
        "b": "red",
        "c": "\\xff",
        "d": "n/x",
    }


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), anything), st.text(st.characters(exclude_categories=())))
def test_whatever_is_logged_is_one_line_of_valid_json(fields: dict[str, object], message: str) -> None:
    stream = io.StringIO()
    configure(stream=stream)
    logger("x").bind(**fields).info(message)
    shutdown()
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert json.loads(text)["level"] == "info"
    assert text[:-1].isprintable() or not re.search(
        r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", text[:-1]
    )


def test_a_blocked_stream_stops_nobody_and_the_loss_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr(kcm_logging, "_CLOSE_TIMEOUT", 0.01)
    with os.fdopen(writing, "w") as stream:
        configure(stream=stream)
        log = logger("x")
        for _ in range(6_000):
            log.info("x" * 2_000)
        lost = dropped()
        assert 2_000 < lost < 5_000
        read = b""
        while read.count(b"\n") < 6_000 - lost + 1:
            read += os.read(reading, 1 << 20)
    *records, last = [json.loads(line) for line in read.splitlines()]
    assert len(records) == 6_000 - lost
    assert (last["message"], last["count"]) == ("log lines dropped, stderr is slow", lost)
    os.close(reading)


class Disk(io.StringIO):
    """Says when it has refused a write."""

    def __init__(self) -> None:
        super().__init__()
        self.full = True
        self.refused = threading.Semaphore(0)

    def write(self, text: str) -> int:
        if self.full:
            self.refused.release()
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_what_a_full_disk_refused_is_said_when_there_is_room_again() -> None:
    disk = Disk()
    writer = LineWriter(disk, lambda count: f"{count} dropped")
    for _ in range(3):
        writer.put("lost")
        assert disk.refused.acquire(timeout=60)
    disk.full = False
    writer.put("kept")
    writer.close(60)
    assert disk.getvalue().split() == ["kept", "3", "dropped"]
    assert writer.dropped == 3


def test_a_full_disk_keeps_no_thread_busy_and_no_end_waiting() -> None:
    disk = Disk()
    writer = LineWriter(disk, lambda count: f"{count} dropped")
    writer.put("lost")
    writer.close(60)
    assert disk.refused.acquire(timeout=60)
    assert not disk.refused.acquire(blocking=False)
    assert writer.dropped == 1


def test_a_stream_that_is_gone_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        configure(stream=stream)
        logger("x").info("hello")
        shutdown()


def test_a_real_terminal_gets_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as stream:
        configure(stream=stream)
        logger("x").error("hello")
        shutdown()
        assert b"\x1b[1;31mERROR\x1b[0m" in os.read(master, 4096)
    os.close(master)
