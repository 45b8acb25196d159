"""Bounds that go with the time of day: `minReplicas` and `maxReplicas` by cron-like windows.

    0 8 * * 1-5 for 12h in Europe/Berlin: min=5 max=50; 0 0 * * 6,0 for 24h in UTC: max=2

A window opens at each minute that its five fields name (minute, hour, day of month, month, day
of week; lists, ranges, steps, `*`), in its own time zone, and stays open for its length. Where
windows overlap, the first one in the text that sets a bound wins. A start that the clocks skip
in spring opens when they are past it; one that they repeat in autumn opens once, the first
time. Guarantees bounded effort: at most eight days of starts are looked at. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from controllers.hpa.limits import Bounds
from controllers.hpa.values import MOST_REPLICAS

_MOST_WINDOWS = 32
_LONGEST_TEXT = 4096
_LONGEST = timedelta(days=7)
_WINDOW = re.compile(
    r"(?P<cron>\S+ +\S+ +\S+ +\S+ +\S+) +for +(?P<length>\d{1,5}[smhd])"
    r" +in +(?P<zone>[\w/+-]{1,64}): *(?P<bounds>.*)"
)
_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BOUND = re.compile(r"(?P<name>min|max)=(?P<count>\d{1,10})")
_PART = re.compile(r"(?:\*|(?P<low>\d{1,2})(?:-(?P<high>\d{1,2}))?)(?:/(?P<step>\d{1,2}))?")


class Cron(NamedTuple):
    """When a window opens. `days` and `weekdays` None: every one; both given: either."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int] | None
    months: frozenset[int]
    weekdays: frozenset[int] | None


class Window(NamedTuple):
    """One line of a schedule."""

    cron: Cron
    length: timedelta
    zone: ZoneInfo
    least: int | None
    most: int | None


Schedule = tuple[Window, ...]


def parse_schedule(text: str) -> Schedule:
    """Return the windows of a text; ValueError says which one cannot be read, and why."""
    if len(text) > _LONGEST_TEXT:
        raise ValueError(f"longer than {_LONGEST_TEXT} characters")
    windows = tuple(_window(part.strip()) for part in text.split(";") if part.strip())
    if len(windows) > _MOST_WINDOWS:
        raise ValueError(f"more than {_MOST_WINDOWS} windows")
    return windows


def scheduled(schedule: Schedule, bounds: Bounds, now: datetime) -> Bounds:
    """Return the bounds that hold now; a minimum above the maximum is brought down to it."""
    open_now = [window for window in schedule if is_open(window, now)]
    least = next((each.least for each in open_now if each.least is not None), bounds.least)
    most = next((each.most for each in open_now if each.most is not None), bounds.most)
    return Bounds(min(least, most), most)


def is_open(window: Window, now: datetime) -> bool:
    """Say whether a window is open at `now`."""
    local = now.astimezone(window.zone)
    first = (now - window.length).astimezone(window.zone).date() - timedelta(days=1)
    for back in range((local.date() - first).days + 1):
        day = datetime.combine(local.date() - timedelta(days=back), time())
        if not _matches(window.cron, day):
            continue
        for start in _starts(window, day):
            if start <= now < start + window.length:
                return True
    return False


def _starts(window: Window, day: datetime) -> Iterator[datetime]:
    """Return the moments of a day at which a window opens, in UTC."""
    for hour in window.cron.hours:
        for minute in window.cron.minutes:
            yield day.replace(hour=hour, minute=minute, tzinfo=window.zone).astimezone(UTC)


def _matches(cron: Cron, day: datetime) -> bool:
    if day.month not in cron.months:
        return False
    by_day = cron.days is None or day.day in cron.days
    by_weekday = cron.weekdays is None or day.isoweekday() % 7 in cron.weekdays
    if cron.days is not None and cron.weekdays is not None:
        return by_day or by_weekday
    return by_day and by_weekday


def _window(text: str) -> Window:
    found = _WINDOW.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:80]!r} is not of the form '<cron> for <length> in <zone>: min=<n> max=<n>'")
    length = timedelta(seconds=int(found["length"][:-1]) * _UNITS[found["length"][-1]])
    if not timedelta(0) < length <= _LONGEST:
        raise ValueError(f"{found['length']!r}: a window is open for more than nothing and at most 7 days")
    try:
        zone = ZoneInfo(found["zone"])
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{found['zone']!r} is not a time zone") from None
    bounds = {}
    for part in found["bounds"].split():
        bound = _BOUND.fullmatch(part)
        if bound is None or bound["name"] in bounds or int(bound["count"]) > MOST_REPLICAS:
            raise ValueError(f"{part[:40]!r} is not min=<number> or max=<number>, each once")
        bounds[bound["name"]] = int(bound["count"])
    if not bounds:
        raise ValueError(f"{text[:80]!r} sets neither min nor max")
    if bounds.get("max") == 0:
        raise ValueError("max=0: to stop scaling, pause the autoscaler")
    return Window(_cron(found["cron"]), length, zone, bounds.get("min"), bounds.get("max"))


def _cron(text: str) -> Cron:
    fields = text.split()
    minutes, hours, days, months, weekdays = (
        _field(field, low, high) for field, (low, high) in zip(fields, _FIELDS, strict=True)
    )
    return Cron(
        tuple(sorted(minutes)),
        tuple(sorted(hours)),
        None if fields[2] == "*" else days,
        months,
        None if fields[4] == "*" else frozenset(day % 7 for day in weekdays),
    )


def _field(text: str, low: int, high: int) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        found = _PART.fullmatch(part)
        if found is None:
            raise ValueError(f"{part[:20]!r} is no part of a cron field")
        first, last = low, high
        if found["low"] is not None:
            first = int(found["low"])
            last = int(found["high"]) if found["high"] else (high if found["step"] else first)
        step = int(found["step"] or 1)
        if not (low <= first <= last <= high and step > 0):
            raise ValueError(f"{part[:20]!r} is not within {low} to {high}")
        values.update(range(first, last + 1, step))
    return frozenset(values)
