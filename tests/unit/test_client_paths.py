"""No name, however hostile, leads a request elsewhere or smuggles in a second one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcm.base.errors import TerminalError
from kcm.client import paths
from kcm.client.transport import NotSent, Request
from kcm.client.wire import Heads
from kcm.objects import Pod

PODS = Pod.resource_type()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a%2fb", "../secrets", "x" * 254, "\ud800"])
def test_what_is_not_one_segment_is_refused(name: str) -> None:
    with pytest.raises(TerminalError):
        paths.item(PODS, "ns", name)


@given(st.text(max_size=300))
def test_an_accepted_name_is_one_segment_of_visible_ascii(name: str) -> None:
    try:
        path = paths.item(PODS, "ns", name)
    except TerminalError:
        return
    assert path.count("/") == 6
    assert path.isascii()
    assert all("!" <= letter <= "~" and letter not in "?#" for letter in path)


def test_a_namespaced_object_without_namespace_is_refused() -> None:
    with pytest.raises(TerminalError):
        paths.item(PODS, "", "a")


def test_queries_are_encoded_and_empty_parameters_left_out() -> None:
    assert paths.with_query("/p", {"labelSelector": "a=b&c d", "limit": ""}) == "/p?labelSelector=a%3Db%26c+d"


@pytest.mark.parametrize("target", ["/a b", "/a\r\nX: y", "no-slash", "/é"])
def test_a_target_that_would_break_the_request_line_is_refused(target: str) -> None:
    with pytest.raises(NotSent):
        Heads("", ()).render(Request("GET", target))


def test_a_header_with_a_line_break_is_refused_without_showing_its_value() -> None:
    with pytest.raises(NotSent) as refusal:
        Heads("", (("Authorization", "Bearer secret\r\nX: y"),))
    assert "secret" not in str(refusal.value)


def test_a_request_is_one_piece_with_its_length() -> None:
    heads = Heads("/prefix", (("Host", "h"),))
    data = heads.render(Request("POST", "/x", (("A", "b"),), b"{}"))
    assert data == b"POST /prefix/x HTTP/1.1\r\nHost: h\r\nA: b\r\nContent-Length: 2\r\n\r\n{}"
    assert b"Content-Length" not in heads.render(Request("GET", "/x"))
