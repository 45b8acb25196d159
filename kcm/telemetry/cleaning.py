"""What may appear in a log line.

`clean_fields` turns what code hands to a logger into plain JSON values that are safe to show:
bounded in length, depth and number, credentials replaced, and every character that can move a
cursor, start a line or reorder text written as an escape (cluster strings carry ANSI codes;
reference: reliability 5, "Logs/events"). Never raises, whatever it is given. Does not find
credentials that look like nothing in particular under a key that says nothing. Owns no state.
"""

from __future__ import annotations

import math
import re
import traceback
from collections.abc import Mapping
from enum import Enum

REDACTED = "REDACTED"
LONGEST_TEXT = 2048
LONGEST_TRACEBACK = 8192
MOST_ITEMS = 32
DEEPEST = 4

_SECRET_KEY = re.compile(
    r"token|authorization|passw|secret|credential|cookie|bearer|api[-_]?key|private[-_]?key|key[-_]?data",
    re.IGNORECASE,
)
_POINTER = re.compile(r"(file|path|name|ref)$", re.IGNORECASE)
# A fast look for anything that could be a secret, so that ordinary text costs one search.
_SUSPICIOUS = re.compile(r"bearer|basic|eyJ|PRIVATE KEY|token|passw|secret|://[^/\s]*@", re.IGNORECASE)
_SECRETS = (
    (
        re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(-----END [A-Z ]{0,40}-----|$)", re.DOTALL),
        REDACTED,
    ),
    (re.compile(r"\b(bearer|basic)(\s+|%20)[^\s\"',;]+", re.IGNORECASE), rf"\1 {REDACTED}"),
    (re.compile(r"\beyJ[\w-]{8,}(\.[\w-]*){0,2}"), REDACTED),
    (
        re.compile(
            r"((?:token|password|passwd|secret)[\w-]{0,20}[\"']?\s*[=:]\s*[\"']?)(?!(?:bearer|basic)\b)[^\s\"',;&}]+",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"://[^/\s@]+@"), f"://{REDACTED}@"),
)
# Control characters, DEL, C1, soft hyphen, zero width and bidi controls, line separators,
# byte order mark, lone surrogates, tags: what a terminal obeys or a reader cannot see.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]


def is_secret_name(name: str) -> bool:
    """Return whether a field of this name holds a credential, not only says where one is."""
    return bool(_SECRET_KEY.search(name)) and not _POINTER.search(name)


def clean_text(text: str, longest: int = LONGEST_TEXT) -> str:
    """Return `text` on one line, without credentials, at most about `longest` characters."""
    return _escaped(_redacted(_cut(text, longest)))


def clean_fields(fields: Mapping[str, object]) -> dict[str, Plain]:
    """Return the fields as plain values; those whose key names a credential are replaced."""
    return {_clean_key(name): _clean_member(name, value, 0) for name, value in _some(fields)}


def clean_traceback(error: BaseException) -> list[str]:
    """Return the lines of the error's traceback, each cleaned; the newest frames if it is long."""
    try:
        text = "".join(traceback.format_exception(error, limit=-24))
    except Exception:  # noqa: BLE001 - a broken __str__ must not turn a log line into a crash
        return [f"{type(error).__name__} (its text cannot be shown)"]
    kept = text if len(text) <= LONGEST_TRACEBACK else "…" + text[-LONGEST_TRACEBACK:]
    return [_escaped(line) for line in _redacted(kept).splitlines()]


def _some(fields: Mapping[str, object]) -> list[tuple[str, object]]:
    pairs = [(str(name), value) for name, value in fields.items()]
    if len(pairs) <= MOST_ITEMS:
        return pairs
    return [*pairs[:MOST_ITEMS], ("left_out", len(pairs) - MOST_ITEMS)]


def _clean_key(name: str) -> str:
    return _escaped(_cut(name, 64))


def _clean_member(name: str, value: object, depth: int) -> Plain:
    # Numbers pass: `tokens=5` is a bucket's level, and no credential is a number.
    if is_secret_name(name) and not isinstance(value, bool | int | float | None):
        return REDACTED
    return _clean_value(value, depth)


def _clean_value(value: object, depth: int = 0) -> Plain:
    match value:
        case None | bool():
            return value
        case Enum():
            return _clean_value(value.value, depth)
        case str():
            return clean_text(value)
        case int():
            # A number beyond 64 bits is some decoder's accident; its digits would only be long.
            return int(value) if value.bit_length() <= 63 else f"number of {value.bit_length()} bits"
        case float():
            return float(value) if math.isfinite(value) else str(value)
        case bytes():
            return clean_text(value[: LONGEST_TEXT + 1].decode("utf-8", "backslashreplace"))
        case BaseException():
            return clean_text(_text_of(value, f"{type(value).__name__}: "))
        case dict() if depth < DEEPEST:
            return {_clean_key(k): _clean_member(k, v, depth + 1) for k, v in _some(value)}
        case _ if type(value) in (list, tuple, set, frozenset) and depth < DEEPEST:
            return _clean_items(value, depth)
    return clean_text(_text_of(value))


def _clean_items(values: object, depth: int) -> Plain:
    items = list(values)  # type: ignore[call-overload]  # the caller has checked the type
    kept = [_clean_value(item, depth + 1) for item in items[:MOST_ITEMS]]
    return kept if len(items) <= MOST_ITEMS else [*kept, f"… {len(items) - MOST_ITEMS} more"]


def _text_of(value: object, prefix: str = "") -> str:
    try:
        return prefix + str(value)
    except Exception:  # noqa: BLE001 - a broken __str__ must not turn a log line into a crash
        return f"{prefix}{type(value).__name__} (cannot be shown)"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text)} characters)"


def _redacted(text: str) -> str:
    if not _SUSPICIOUS.search(text):
        return text
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _escaped(text: str) -> str:
    # isascii and isprintable are C loops: ordinary text never meets the pattern.
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    character = found.group()
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
