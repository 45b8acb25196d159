"""The string formats that the server checks; others in a schema mean nothing.

`has_format` answers whether a text has a format. Pure. Guarantees: linear in the text, which is
refused unseen beyond `LONGEST` characters where a format has no length of its own.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import date
from urllib.parse import urlsplit

from kcm.base.timestamps import parse_time

LONGEST = 4096

_DURATION = re.compile(r"[-+]?(?:(?:\d{1,18}\.?\d{0,18}|\.\d{1,18})(?:ns|us|µs|μs|ms|s|m|h))+", re.ASCII)
_WORDY_DURATION = re.compile(
    r"\d{1,18}(?:\.\d{1,18})?\s*(?:ns|nanos?|us|micros?|µs|ms|millis?|s|secs?|seconds?|m|mins?|minutes?|"
    r"h|hrs?|hours?|d|days?|w|wks?|weeks?)",
    re.ASCII | re.IGNORECASE,
)
_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,18})?(?:[Zz]|[-+]\d{2}:?\d{2})?")
_HOST_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_UUID = "[0-9a-f]{8}-?[0-9a-f]{4}-?%s-?%s-?[0-9a-f]{12}"
_ANY_GROUP, _VARIANT = "[0-9a-f]{4}", "[89ab][0-9a-f]{3}"


def _matches(pattern: str, flags: re.RegexFlag = re.ASCII) -> Callable[[str], bool]:
    expression = re.compile(pattern, flags)
    return lambda text: expression.fullmatch(text) is not None


def _accepts(read: Callable[[str], object]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            read(text)
        except (ValueError, OverflowError, binascii.Error):
            return False
        return True

    return check


def _read_date(text: str) -> object:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        raise ValueError(text)
    return date.fromisoformat(text)


def _read_date_time(text: str) -> object:
    if not _DATE_TIME.fullmatch(text):
        raise ValueError(text)
    whole = re.sub(r"\.\d+", "", text.upper().replace(" ", "T"))
    return parse_time(whole if whole[-1] == "Z" or whole[-6] in "+-" else f"{whole}Z")


def _read_network(text: str) -> object:
    if "/" not in text:
        raise ValueError(text)
    return ipaddress.ip_interface(text)


def _is_uri(text: str) -> bool:
    """Say whether a URI is absolute or a rooted path."""
    if not text or any(char.isspace() or ord(char) < 32 for char in text):
        return False
    try:
        return bool(urlsplit(text).scheme) or text.startswith("/")
    except ValueError:
        return False


def _is_email(text: str) -> bool:
    local, at, host = text.rpartition("@")
    return bool(at and local and host) and not any(char in " \t\r\n<>()," for char in local + host)


def _is_hostname(text: str) -> bool:
    labels = text.removesuffix(".").split(".")
    return len(text) <= 253 and all(_HOST_LABEL.fullmatch(label) for label in labels)


def _is_isbn10(text: str) -> bool:
    digits = text.replace("-", "").replace(" ", "")
    if not re.fullmatch(r"\d{9}[\dXx]", digits, re.ASCII):
        return False
    values = [10 if char in "Xx" else int(char) for char in digits]
    return sum((10 - index) * value for index, value in enumerate(values)) % 11 == 0


def _is_isbn13(text: str) -> bool:
    digits = text.replace("-", "").replace(" ", "")
    if not re.fullmatch(r"\d{13}", digits, re.ASCII):
        return False
    return sum(int(char) * (3 if index % 2 else 1) for index, char in enumerate(digits)) % 10 == 0


def _is_credit_card(text: str) -> bool:
    digits = re.sub(r"[^0-9]+", "", text)
    return bool(
        re.fullmatch(
            r"4\d{12}(?:\d{3})?|5[1-5]\d{14}|6(?:011|5\d\d)\d{12}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}"
            r"|(?:2131|1800|35\d{3})\d{11}",
            digits,
            re.ASCII,
        )
    )


_FORMATS: Mapping[str, Callable[[str], bool]] = {
    "bsonobjectid": _matches("[0-9a-fA-F]{24}"),
    "uri": _is_uri,
    "email": _is_email,
    "hostname": _is_hostname,
    "ipv4": _accepts(ipaddress.IPv4Address),
    "ipv6": lambda text: ":" in text and _accepts(ipaddress.IPv6Address)(text),
    "cidr": _accepts(_read_network),
    "mac": _matches(r"(?:[0-9a-fA-F]{2}[:-]){5}(?:[0-9a-fA-F]{2}[:-]){0,14}[0-9a-fA-F]{2}"),
    "uuid": _matches(_UUID % (_ANY_GROUP, _ANY_GROUP), re.IGNORECASE),
    "uuid3": _matches(_UUID % ("3[0-9a-f]{3}", _ANY_GROUP), re.IGNORECASE),
    "uuid4": _matches(_UUID % ("4[0-9a-f]{3}", _VARIANT), re.IGNORECASE),
    "uuid5": _matches(_UUID % ("5[0-9a-f]{3}", _VARIANT), re.IGNORECASE),
    "isbn": lambda text: _is_isbn10(text) or _is_isbn13(text),
    "isbn10": _is_isbn10,
    "isbn13": _is_isbn13,
    "creditcard": _is_credit_card,
    "ssn": _matches(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "hexcolor": _matches("#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "rgbcolor": _matches(r"rgb\(\s*(?:\d{1,3}\s*,\s*){2}\d{1,3}\s*\)"),
    "byte": _accepts(lambda text: base64.b64decode(text, validate=True)),
    "password": lambda _: True,
    "date": _accepts(_read_date),
    "duration": lambda text: bool(
        text == "0" or _DURATION.fullmatch(text) or _WORDY_DURATION.fullmatch(text)
    ),
    "datetime": _accepts(_read_date_time),
    "k8sshortname": _matches("[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"),
    "k8slongname": lambda text: (
        len(text) <= 253
        and all(re.fullmatch("[a-z0-9](?:[-a-z0-9]*[a-z0-9])?", part) for part in text.split("."))
    ),
}
_UNBOUNDED = frozenset(("byte", "password"))


def is_checked(name: str) -> bool:
    """Say whether the format means anything to the server."""
    return name.replace("-", "") in _FORMATS


def has_format(name: str, text: str) -> bool:
    """Say whether a text has the format; one that is not checked has all texts."""
    normal = name.replace("-", "")
    check = _FORMATS.get(normal)
    if check is None:
        return True
    if len(text) > LONGEST and normal not in _UNBOUNDED:
        return False
    return check(text)
