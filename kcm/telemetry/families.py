"""Samples of metrics as values, and their form on the way from a host to the manager.

`encode_families` writes JSON, `decode_families` reads it and checks all of it: sizes, names,
labels, finite numbers, counters that are not negative. Guarantees: what `decode_families`
returns can be rendered as Prometheus text without escaping surprises and without unbounded
growth; anything else is a ValueError that says which family. Owns no state.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

MOST_BYTES = 2 * 1024 * 1024
MOST_FAMILIES = 400
MOST_SAMPLES = 20_000
MOST_LABELS = 12
MOST_LABEL_TEXT = 256
MOST_HELP = 512

KINDS = frozenset({"counter", "gauge", "histogram"})

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,127}")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,63}")
_SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}

Labels = tuple[tuple[str, str], ...]


class Sample(NamedTuple):
    """One number: `name` is the family's name with its suffix, `labels` in declared order."""

    name: str
    labels: Labels
    value: float


class Family(msgspec.Struct, frozen=True, array_like=True):
    """All samples of one metric; `name` is the name as written on the TYPE line."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(tuple[Family, ...])


def possible_name(name: str) -> bool:
    """Return whether Prometheus takes it as the name of a metric."""
    return _NAME.fullmatch(name) is not None


@lru_cache(1024)
def possible_label(label: str) -> bool:
    """Return whether Prometheus takes it as the name of a label."""
    return _LABEL.fullmatch(label) is not None


def encode_families(families: Sequence[Family]) -> bytes:
    """Return the families as JSON."""
    return _encoder.encode(tuple(families))


def decode_families(data: bytes) -> tuple[Family, ...]:
    """Return the checked families of a snapshot; ValueError when it is not one."""
    if len(data) > MOST_BYTES:
        raise ValueError(f"metrics snapshot has {len(data)} bytes, at most {MOST_BYTES} are taken")
    try:
        families = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"metrics snapshot cannot be read: {error}") from error
    if len(families) > MOST_FAMILIES:
        raise ValueError(f"metrics snapshot has {len(families)} families, at most {MOST_FAMILIES} are taken")
    if sum(len(family.samples) for family in families) > MOST_SAMPLES:
        raise ValueError(f"metrics snapshot has more than {MOST_SAMPLES} samples")
    if len({family.name for family in families}) != len(families):
        raise ValueError("metrics snapshot names a family twice")
    for family in families:
        _check(family)
    return families


def _check(family: Family) -> None:
    if not possible_name(family.name):
        raise ValueError(f"metrics snapshot has a family with the impossible name {family.name[:40]!r}")
    if family.kind not in KINDS:
        raise ValueError(f"metric {family.name} has the unknown type {family.kind[:40]!r}")
    if len(family.help) > MOST_HELP:
        raise ValueError(f"metric {family.name} has a help text of {len(family.help)} characters")
    names = {family.name + suffix for suffix in _SUFFIXES[family.kind]}
    for name, labels, value in family.samples:
        if name not in names:
            raise ValueError(f"metric {family.name} has a sample with the foreign name {name[:40]!r}")
        if not math.isfinite(value):
            raise ValueError(f"metric {family.name} has a sample that is no finite number")
        if value < 0 and family.kind == "counter":
            raise ValueError(f"metric {family.name} counts below zero")
        _check_labels(family.name, labels)


def _check_labels(name: str, labels: Labels) -> None:
    if len(labels) > MOST_LABELS or len({label for label, _ in labels}) != len(labels):
        raise ValueError(f"metric {name} has too many labels, or one twice")
    for label, value in labels:
        if not possible_label(label) or len(value) > MOST_LABEL_TEXT:
            raise ValueError(f"metric {name} has a label that cannot be used: {label[:40]!r}")
