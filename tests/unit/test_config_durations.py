"""Durations as text and as seconds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcm.config.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("15s", 15),
        ("1m30s", 90),
        ("250ms", 0.25),
        ("1.5s", 1.5),
        ("1h", 3600),
        ("1h1ms", 3600.001),
        ("0s", 0),
        (" 5s ", 5),
        (7, 7),
        (0.5, 0.5),
        (0, 0),
    ],
)
def test_a_duration_is_read(value: object, seconds: float) -> None:
    assert parse_duration(value) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "s",
        "15",
        "3d",
        "-1s",
        "1s1m",
        "1m1m",
        "1e3s",
        "1 s",
        "٣s",
        "9" * 400 + "s",
        -1,
        True,
        None,
        [],
        1e999,
        float("nan"),
        10**400,
        "1.5m",
    ],
)
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(value)


@given(st.integers(0, 10**9))
def test_what_is_shown_is_read_back(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)
