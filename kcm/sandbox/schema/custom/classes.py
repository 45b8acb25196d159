"""Which characters a class of a regular expression holds: named ones, ranges, categories.

Pure tests on one character, of which `expressions` makes its tree. Classes with names (`[:alpha:]`,
`\\d`) are ASCII, as the server's engine has them; `\\pL` and the like follow Unicode.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

Test = Callable[[str], bool]

POSIX: dict[str, str] = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": "\x00-\x7f",
    "blank": "\t ",
    "cntrl": "\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@[-`{-~",
    "space": "\t\n\x0b\x0c\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
PERL = {"d": "0-9", "s": "\t\n\x0c\r ", "w": "0-9A-Za-z_"}


_SCRIPTS = {"Cyrillic": "CYRILLIC", "Greek": "GREEK", "Han": "CJK", "Latin": "LATIN"}


def ranges(text: str) -> Test:
    """Return the test of a set like "0-9A-Z_"."""
    pairs: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        if text[at + 1 : at + 2] == "-" and at + 2 < len(text):
            pairs.append((text[at], text[at + 2]))
            at += 3
        else:
            pairs.append((text[at], text[at]))
            at += 1
    return lambda char: any(low <= char <= high for low, high in pairs)


def literal(wanted: str) -> Test:
    """Return the test that one character passes."""
    return lambda char: char == wanted


def negated(test: Test) -> Test:
    """Return the test that passes where the other does not."""
    return lambda char: not test(char)


def folded(test: Test) -> Test:
    """Return the test that letters of the other case pass as well."""
    return lambda char: test(char) or test(char.lower()) or test(char.upper())


def category(name: str) -> Test | None:
    """Return the test of a Unicode category or script; None when there is no such one."""
    wanted = name.removeprefix("^")
    if wanted in _SCRIPTS:
        begin = _SCRIPTS[wanted]

        def test(char: str) -> bool:
            return unicodedata.name(char, "").startswith(begin)

    elif 1 <= len(wanted) <= 2 and wanted[0] in "CLMNPSZ":

        def test(char: str) -> bool:
            return unicodedata.category(char).startswith(wanted)

    else:
        return None
    return negated(test) if name.startswith("^") else test
