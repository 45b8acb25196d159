"""RFC 3339 times as the Kubernetes API writes them.

`metav1.Time` has whole seconds, `metav1.MicroTime` microseconds; both end in Z. Guarantees
that text from outside is bounded before it is parsed and that what is returned is aware UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime

_LONGEST = 64


def format_time(moment: datetime) -> str:
    """Return `moment` as metav1.Time: whole seconds, cut off, with Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_micro_time(moment: datetime) -> str:
    """Return `moment` as metav1.MicroTime: six digits of fraction, with Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    """Return the moment that an RFC 3339 text names; ValueError when it is none."""
    if len(text) > _LONGEST:
        raise ValueError(f"not a time: {len(text)} characters long")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"not a time: {text!r} has no offset")
    return moment.astimezone(UTC)
