"""Names, label keys and label values, with the server's sentences about each.

Functions return the sentences that apply, none when the text is well formed. Length is
counted in bytes; the texts are bounded before any pattern runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

NameRule = Callable[[str], tuple[str, ...]]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_QUALIFIED})?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_PERCENT = "[0-9]+%"


def _pattern_error(rule: str, pattern: str, *examples: str) -> str:
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{rule} (e.g. {shown}regex used for validation is '{pattern}')"


SUBDOMAIN_ERROR = _pattern_error(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character",
    _SUBDOMAIN,
    "example.com",
)
LABEL_ERROR = _pattern_error(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character",
    _LABEL,
    "my-name",
    "123-abc",
)
LABEL_1035_ERROR = _pattern_error(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
    "start with an alphabetic character, and end with an alphanumeric character",
    _LABEL_1035,
    "my-name",
    "abc-123",
)
QUALIFIED_ERROR = _pattern_error(
    "must consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character",
    _QUALIFIED,
    "MyName",
    "my.name",
    "123-abc",
)
VALUE_ERROR = _pattern_error(
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character",
    _VALUE,
    "MyValue",
    "my_value",
    "12345",
)
CONFIG_KEY_ERROR = _pattern_error(
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    _CONFIG_KEY,
    "key.name",
    "KEY_NAME",
    "key-name",
)
PERCENT_ERROR = _pattern_error(
    "a valid percent string must be a numeric string followed by an ending '%'", _PERCENT, "1%", "93%"
)


def _too_long(limit: int) -> str:
    return f"must be no more than {limit} bytes"


def _rule(pattern: str, limit: int, sentence: str) -> NameRule:
    compiled = re.compile(pattern)

    @lru_cache(maxsize=4096)
    def check(name: str) -> tuple[str, ...]:
        if len(name.encode()) > limit:
            return (_too_long(limit),)
        return () if compiled.fullmatch(name) else (sentence,)

    return check


subdomain = _rule(_SUBDOMAIN, 253, SUBDOMAIN_ERROR)
_label = _rule(_LABEL, 63, LABEL_ERROR)
label_1035 = _rule(_LABEL_1035, 63, LABEL_1035_ERROR)
label_value = _rule(_VALUE, 63, VALUE_ERROR)
config_key = _rule(_CONFIG_KEY, 253, CONFIG_KEY_ERROR)
percent = _rule(_PERCENT, 16, PERCENT_ERROR)
_name_part = _rule(_QUALIFIED, 63, QUALIFIED_ERROR)


def label(name: str) -> tuple[str, ...]:
    """Return what is wrong with a name that stands for one part of a host name."""
    found = _label(name)
    return ("must not contain dots",) if found == (LABEL_ERROR,) and not subdomain(name) else found


@lru_cache(maxsize=4096)
def qualified(name: str) -> tuple[str, ...]:
    """Return what is wrong with a label key or another `prefix/name`."""
    prefix, slash, rest = name.rpartition("/")
    found: list[str] = []
    if "/" in prefix:
        return (f"a qualified name {QUALIFIED_ERROR} with an optional DNS subdomain prefix and '/'",)
    if slash:
        found += [
            f"prefix part {problem}" for problem in (subdomain(prefix) if prefix else ("must be non-empty",))
        ]
    found += [f"name part {problem}" for problem in (_name_part(rest) if rest else ("must be non-empty",))]
    return tuple(found)


def path_segment(name: str) -> tuple[str, ...]:
    """Return what keeps a name from being a part of a path: all that the names of roles are held to."""
    if name in (".", ".."):
        return (f"may not be '{name}'",)
    return tuple(f"may not contain '{sign}'" for sign in ("/", "%") if sign in name)


def prefix_of(rule: NameRule) -> NameRule:
    """Return the rule for `generateName`: what it starts must be able to become a name."""

    def check(name: str) -> tuple[str, ...]:
        return rule(name[:-1] + "a" if name.endswith("-") else name)

    return check


def port_name(name: str) -> tuple[str, ...]:
    """Return what is wrong with the name of a port."""
    if len(name) > 15:
        return ("must be no more than 15 characters",)
    found = []
    if not re.fullmatch("[-a-z0-9]+", name):
        found.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", name):
        found.append("must contain at least one letter (a-z)")
    if "--" in name:
        found.append("must not contain consecutive hyphens")
    if name.startswith("-") or name.endswith("-"):
        found.append("must not begin or end with a hyphen")
    return tuple(found)
