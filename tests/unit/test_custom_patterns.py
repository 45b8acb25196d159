"""Patterns and formats of custom resources: they match as the server's engine does, in bounded time."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcm.sandbox.schema.custom.automaton import Automaton
from kcm.sandbox.schema.custom.expressions import PatternError
from kcm.sandbox.schema.custom.formats import has_format


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("b", "abc", True),
        ("^b", "abc", False),
        ("c$", "abc", True),
        ("c$", "abc\n", False),
        (r"^\d{2,3}$", "12", True),
        (r"^\d{2,3}$", "1234", False),
        ("^[[:alpha:]_-]+$", "a_b-c", True),
        ("^(?:a|bc)*$", "abca", True),
        ("(?i)^ABC$", "abc", True),
        (r"\bfoo\b", "a foo b", True),
        (r"\bfoo\b", "afoo", False),
        (r"^\x41\.\Qa.b\E$", "A.a.b", True),
        (r"^\pL+$", "äb", True),
        ("^[^a-c]$", "d", True),
        ("^a{2$", "a{2", True),
        ("^.$", "\n", False),
        ("(?s)^.$", "\n", True),
        ("^(a+)+$", "a" * 20_000 + "b", False),
    ],
)
def test_patterns_match_as_the_servers_engine_does(pattern, text, expected):
    assert Automaton(pattern).matches(text) is expected


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "missing closing ): `(`"),
        ("[a", "missing closing ]: `[a`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        (r"\y", r"invalid escape sequence: `\y`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("a)", "unexpected ): `a)`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
    ],
)
def test_what_is_no_pattern_is_refused_in_the_engines_words(pattern, message):
    with pytest.raises(PatternError, match=re.escape(f"error parsing regexp: {message}")):
        Automaton(pattern)


def test_a_pattern_cannot_grow_without_end():
    with pytest.raises(PatternError, match="too large"):
        Automaton("((a{100}){100}){100}")


ATOMS = [
    "a",
    "b",
    ".",
    "[ab]",
    "[^a]",
    r"\d",
    r"\w",
    "a*",
    "b+",
    "(a|b)*",
    "(ab)?",
    "^",
    r"\b",
    "a{2,3}",
    "(?:b|)",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(ATOMS), min_size=1, max_size=6), st.text("abx1 \n", max_size=8))
def test_patterns_match_what_another_engine_matches(atoms, text):
    pattern = "".join(atoms)
    try:
        expected = re.compile(pattern, re.ASCII).search(text) is not None
    except re.error:
        return
    assert Automaton(pattern).matches(text) is expected


def test_no_pattern_takes_long():
    begun = time.process_time()
    assert not Automaton("^(([a-z])+.)+[A-Z]([a-z])+$").matches("a" * 100_000)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date-time", "2020-01-01T00:00:00Z", "yesterday"),
        ("date", "2020-12-31", "2020-13-01"),
        ("duration", "1h30m", "5x"),
        ("ipv4", "10.0.0.1", "10.0.0"),
        ("ipv6", "fe80::1", "10.0.0.1"),
        ("cidr", "10.0.0.0/8", "10.0.0.0"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "x"),
        ("byte", "aGk=", "@@"),
        ("email", "a@b.example", "x"),
        ("hostname", "a.example.com", "-a"),
        ("mac", "00:1b:44:11:3a:b7", "00:1b"),
        ("uri", "https://example.com/x", "no uri"),
        ("hexcolor", "#ffcc00", "#ff"),
    ],
)
def test_formats_are_told_apart(name, good, bad):
    assert has_format(name, good)
    assert not has_format(name, bad)
