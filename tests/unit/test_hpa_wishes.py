"""Annotations and schedules of autoscalers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from controllers.hpa.controller import HorizontalPodAutoscalerController
from controllers.hpa.decide import Verdict, fall_back
from controllers.hpa.evaluate import Failure
from controllers.hpa.limits import Bounds
from controllers.hpa.memory import Memory
from controllers.hpa.schedules import parse_schedule, scheduled
from controllers.hpa.settings import Settings
from controllers.hpa.wishes import PREFIX, Fallback, wishes_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN = Settings()
OWN = Bounds(1, 10)


def wish(name: str, text: str, settings: Settings = PLAIN):
    return wishes_of({PREFIX + name: text}, settings)


def test_nothing_is_asked_for_by_default() -> None:
    wishes = wishes_of({"other": "x"}, PLAIN)
    assert not any(wishes)


def test_what_can_be_asked_for() -> None:
    assert wish("paused", "true").paused
    assert wish("dry-run", "true").dry_run
    assert wish("owned-only", "true").owned_only
    assert wish("react-at-once", "true").react_at_once
    assert wish("smoothing", "90s").smoothing == timedelta(seconds=90)
    assert wish("fallback", "6 after 2m").fallback == Fallback(6, timedelta(minutes=2))
    assert wish("fallback", "6").fallback == Fallback(6, timedelta(minutes=3))
    assert (
        len(
            wish(
                "schedule", "0 8 * * 1-5 for 12h in Europe/Berlin: min=5; 0 0 * * * for 1h in UTC: max=2"
            ).schedule
        )
        == 2
    )


def test_an_annotation_wins_over_the_settings() -> None:
    settings = Settings(paused=True, smoothing="1m", owned_only=True)
    assert wishes_of({}, settings).paused
    assert wishes_of({}, settings).smoothing == timedelta(minutes=1)
    assert not wish("paused", "false", settings).paused
    assert wish("smoothing", "5s", settings).smoothing == timedelta(seconds=5)
    assert not wish("owned-only", "false", settings).owned_only


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("paused", "yes"),
        ("dry-run", "1"),
        ("owned-only", "True"),
        ("fallback", "0"),
        ("fallback", "-1"),
        ("fallback", "99999999999"),
        ("fallback", "6 after soon"),
        ("smoothing", "2h"),
        ("smoothing", "x"),
        ("schedule", "always: min=1"),
        ("schedule", "x" * 5000),
    ],
)
def test_what_cannot_be_read_is_told_and_holds_only_where_less_happens_then(name: str, text: str) -> None:
    wishes = wish(name, text)
    assert len(wishes.problems) == 1
    assert wishes.problems[0].startswith(PREFIX + name)
    assert (wishes.paused, wishes.dry_run) == (name == "paused", name == "dry-run")
    assert not any((wishes.owned_only, wishes.fallback, wishes.smoothing, wishes.schedule))


def test_settings_that_cannot_be_read_keep_the_controller_from_starting() -> None:
    with pytest.raises(ValueError, match="no time such as"):
        HorizontalPodAutoscalerController(Settings(smoothing="soon"))


OFFICE = "0 8 * * 1-5 for 12h in Europe/Berlin: min=5 max=50"


@pytest.mark.parametrize(
    ("text", "moment", "expected"),
    [
        (OFFICE, "2026-01-05T07:00:00+00:00", Bounds(5, 50)),  # Monday, 8:00 in Berlin
        (OFFICE, "2026-01-05T06:59:59+00:00", OWN),
        (OFFICE, "2026-01-05T18:59:59+00:00", Bounds(5, 50)),
        (OFFICE, "2026-01-05T19:00:00+00:00", OWN),
        (OFFICE, "2026-07-06T06:00:00+00:00", Bounds(5, 50)),  # in summer an hour earlier
        (OFFICE, "2026-01-04T10:00:00+00:00", OWN),  # Sunday
        ("0 22 * * 5 for 60h in UTC: max=2", "2026-01-05T09:00:00+00:00", Bounds(1, 2)),  # Friday to Monday
        ("0 22 * * 5 for 60h in UTC: max=2", "2026-01-05T10:00:00+00:00", OWN),
        (
            "0 0 * * 0 for 1d in UTC: min=20",
            "2026-01-04T10:00:00+00:00",
            Bounds(10, 10),
        ),  # at most the maximum
        ("0 0 * * 7 for 1d in UTC: min=3", "2026-01-04T10:00:00+00:00", Bounds(3, 10)),  # 7 is Sunday too
        ("*/15 * * * * for 5m in UTC: min=2", "2026-01-04T10:34:59+00:00", Bounds(2, 10)),
        ("*/15 * * * * for 5m in UTC: min=2", "2026-01-04T10:35:00+00:00", OWN),
        ("0 9 13 * 5 for 1h in UTC: min=2", "2026-01-09T09:30:00+00:00", Bounds(2, 10)),  # a Friday or a 13th
        ("0 9 13 * 5 for 1h in UTC: min=2", "2026-01-13T09:30:00+00:00", Bounds(2, 10)),
        ("0 9 13 * 5 for 1h in UTC: min=2", "2026-01-14T09:30:00+00:00", OWN),
        ("0 9 1-5/2 6,7 * for 1h in UTC: min=2", "2026-07-03T09:30:00+00:00", Bounds(2, 10)),
        ("30 2 * * * for 1h in Europe/Berlin: min=2", "2026-03-29T01:30:00+00:00", Bounds(2, 10)),  # skipped
        (
            "30 2 * * * for 20m in Europe/Berlin: min=2",
            "2026-10-25T00:35:00+00:00",
            Bounds(2, 10),
        ),  # repeated
        ("30 2 * * * for 20m in Europe/Berlin: min=2", "2026-10-25T01:35:00+00:00", OWN),  # … but open once
        (f"{OFFICE}; 0 0 * * * for 1d in UTC: min=2 max=4", "2026-01-05T10:00:00+00:00", Bounds(5, 50)),
        (f"{OFFICE}; 0 0 * * * for 1d in UTC: min=2 max=4", "2026-01-04T10:00:00+00:00", Bounds(2, 4)),
    ],
)
def test_when_a_window_is_open(text: str, moment: str, expected: Bounds) -> None:
    assert scheduled(parse_schedule(text), OWN, datetime.fromisoformat(moment)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "0 8 * * for 1h in UTC: min=1",
        "60 8 * * * for 1h in UTC: min=1",
        "0 24 * * * for 1h in UTC: min=1",
        "0 8 0 * * for 1h in UTC: min=1",
        "0 8 * 13 * for 1h in UTC: min=1",
        "0 8 * * 8 for 1h in UTC: min=1",
        "0 8 * * 5-1 for 1h in UTC: min=1",
        "0 8 * * */0 for 1h in UTC: min=1",
        "x 8 * * * for 1h in UTC: min=1",
        "0 8 * * * for 0h in UTC: min=1",
        "0 8 * * * for 8d in UTC: min=1",
        "0 8 * * * for 1h in Nowhere/X: min=1",
        "0 8 * * * for 1h in ../../etc/passwd: min=1",
        "0 8 * * * for 1h in UTC:",
        "0 8 * * * for 1h in UTC: min=x",
        "0 8 * * * for 1h in UTC: min=1 min=2",
        "0 8 * * * for 1h in UTC: max=0",
        "0 8 * * * for 1h in UTC: max=9999999999",
        ";".join(["0 8 * * * for 1h in UTC: min=1"] * 33),
    ],
)
def test_schedules_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_schedule(text)


FAILED = Failure("FailedComputeMetricsReplicas", "x")


def test_a_fallback_waits_and_only_ever_adds() -> None:
    fallback = Fallback(6, timedelta(minutes=3))
    failing = Verdict(None, (), Memory(), failed=FAILED, results=(FAILED,))
    first = fall_back(failing, fallback, OWN, 4, NOW)
    assert (first.desired, first.memory.failing_since) == (None, NOW)
    again = failing._replace(memory=first.memory)
    assert fall_back(again, fallback, OWN, 4, NOW + timedelta(seconds=179)).desired is None
    late = NOW + timedelta(minutes=3)
    assert fall_back(again, fallback, OWN, 4, late).desired == 6
    assert fall_back(again, fallback, OWN, 8, late).desired is None
    assert fall_back(again, fallback, Bounds(1, 5), 4, late).desired == 5
    assert fall_back(again, None, OWN, 4, late).desired is None
    mended = fall_back(Verdict(3, (), first.memory), fallback, OWN, 4, late)
    assert (mended.desired, mended.memory.failing_since) == (3, None)


def test_smoothing_takes_the_mean_of_its_window() -> None:
    memory, means = Memory(), []
    for seconds, raw in ((0, 10), (15, 2), (30, 10), (45, 3), (61, 3)):
        mean, memory = memory.smoothed(raw, NOW + timedelta(seconds=seconds), timedelta(seconds=60))
        means.append(mean)
    assert means == [10, 6, 7, 6, 5]
