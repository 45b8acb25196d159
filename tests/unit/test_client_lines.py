"""Lines come out whole, whatever pieces they came in."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcm.client.lines import LineSplitter, LineTooLong


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=20))
def test_cutting_a_stream_elsewhere_gives_the_same_lines(data: bytes, cuts: list[int]) -> None:
    splitter = LineSplitter(1000)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    got: list[bytes] = []
    for start, end in pairwise(places):
        got += splitter.feed(data[start:end])
    *whole, rest = data.split(b"\n")
    assert got == [line for line in whole if line]
    assert splitter.unfinished == bool(rest)


def test_a_line_over_the_cap_is_refused_before_it_is_whole() -> None:
    splitter = LineSplitter(10)
    splitter.feed(b"12345678")
    with pytest.raises(LineTooLong):
        splitter.feed(b"9ab")


def test_a_line_in_very_many_pieces_is_put_together_once() -> None:
    splitter = LineSplitter(10_000_000)
    for _ in range(100_000):
        assert splitter.feed(b"x" * 10) == []
    assert splitter.feed(b"\n") == [b"x" * 1_000_000]
