"""What an autoscaler may ask for beyond the API, each off by default (reference: hpa 15).

Read from annotations under `autoscaling.kcm.dev/`; what an annotation does not say, the
controller's settings say for all. Guarantees: what cannot be read is reported and does not
count, except that a `paused` or `dry-run` which cannot be read holds: whoever wrote it wanted
less to happen. Pure; the same texts are read once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import NamedTuple, TypeVar

from controllers.hpa.schedules import Schedule, parse_schedule
from controllers.hpa.settings import Settings
from controllers.hpa.values import MOST_REPLICAS

PREFIX = "autoscaling.kcm.dev/"
NAMES = ("paused", "dry-run", "fallback", "schedule", "smoothing", "owned-only", "react-at-once")

_LONGEST_SMOOTHING = timedelta(hours=1)
_DURATION = re.compile(r"(?P<number>\d{1,5})(?P<unit>[smh])")
_UNITS = {"s": 1, "m": 60, "h": 3600}
_FALLBACK = re.compile(r"(?P<replicas>\d{1,10})(?: +after +(?P<after>\d{1,5}[smh]))?")
_FALLBACK_AFTER = timedelta(minutes=3)

T = TypeVar("T")


class Fallback(NamedTuple):
    """At least so many replicas once a metric could not be read for so long."""

    replicas: int
    after: timedelta


class Wishes(NamedTuple):
    """What is asked for; `problems` are texts about annotations that cannot be read."""

    paused: bool = False
    dry_run: bool = False
    fallback: Fallback | None = None
    schedule: Schedule = ()
    smoothing: timedelta = timedelta(0)
    owned_only: bool = False
    react_at_once: bool = False
    problems: tuple[str, ...] = ()


def wishes_of(annotations: Mapping[str, str], settings: Settings) -> Wishes:
    """Return what an autoscaler asks for."""
    return _read(tuple(annotations.get(PREFIX + name) for name in NAMES), settings)


def default_wishes(settings: Settings) -> Wishes:
    """Return what the settings ask for all autoscalers; ValueError when they cannot be read."""
    wishes = _read((None,) * len(NAMES), settings)
    if wishes.problems:
        raise ValueError("; ".join(wishes.problems))
    return wishes


@lru_cache(maxsize=1024)
def _read(texts: tuple[str | None, ...], settings: Settings) -> Wishes:
    given = dict(zip(NAMES, texts, strict=True))
    problems: list[str] = []

    def read(name: str, default: str, parse: Callable[[str], T], otherwise: T) -> T:
        text = given[name] if given[name] is not None else default
        if text is None or not text.strip():
            return otherwise
        try:
            return parse(text.strip())
        except ValueError as error:
            problems.append(f"{PREFIX}{name}: {error}")
            return otherwise

    def switch(name: str, default: bool, *, in_doubt: bool = False) -> bool:
        return read(name, "true" if default else "", _switch, in_doubt if given[name] else default)

    return Wishes(
        paused=switch("paused", settings.paused, in_doubt=True),
        dry_run=switch("dry-run", settings.dry_run, in_doubt=True),
        fallback=read("fallback", settings.fallback, _fallback, None),
        schedule=read("schedule", settings.schedule, parse_schedule, ()),
        smoothing=read("smoothing", settings.smoothing, _smoothing, timedelta(0)),
        owned_only=switch("owned-only", settings.owned_only),
        react_at_once=switch("react-at-once", settings.react_at_once),
        problems=tuple(problems),
    )


def _switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{text[:20]!r} is neither true nor false")
    return text == "true"


def _fallback(text: str) -> Fallback | None:
    found = _FALLBACK.fullmatch(text)
    if found is None or not 1 <= int(found["replicas"]) <= MOST_REPLICAS:
        raise ValueError(f"{text[:40]!r} is not of the form '<replicas> after <time>', such as '6 after 3m'")
    return Fallback(int(found["replicas"]), _duration(found["after"]) if found["after"] else _FALLBACK_AFTER)


def _smoothing(text: str) -> timedelta:
    window = _duration(text)
    if window > _LONGEST_SMOOTHING:
        raise ValueError(f"{text[:20]!r} is longer than an hour")
    return window


def _duration(text: str) -> timedelta:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:20]!r} is no time such as 90s, 3m or 1h")
    return timedelta(seconds=int(found["number"]) * _UNITS[found["unit"]])
