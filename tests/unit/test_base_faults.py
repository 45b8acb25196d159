"""What other people's code raised, told by us: never an error of its own, and with the place that helps."""

from __future__ import annotations

import asyncio
import json

import pytest

from kcm.base.faults import LONGEST, message_of, place_of, place_of_function, said
from kcm.objects import Selector


class Nameless(Exception):
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise KeyboardInterrupt

    __repr__ = __str__


@pytest.mark.parametrize(
    ("thing", "text"),
    [
        pytest.param(KeyError("x"), "KeyError('x')", id="an error"),
        pytest.param(None, "None", id="anything"),
        pytest.param(Nameless(), "Nameless (whose text cannot be had: KeyboardInterrupt)", id="nameless"),
    ],
)
def test_everything_can_be_said(thing: object, text: str) -> None:
    assert said(thing) == text
    assert len(said("x" * 10_000)) == LONGEST


def test_a_message_is_the_error_s_own_or_what_can_be_had() -> None:
    assert message_of(ValueError("no")) == "no"
    assert message_of(ValueError()) == "ValueError()"
    assert message_of(Nameless()).startswith("Nameless (")


def raised(work: object) -> BaseException:
    try:
        work()  # type: ignore[operator] # a function
    except Exception as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError("nothing was raised")


def test_the_place_is_the_innermost_line_of_somebody_s_own() -> None:
    def reads() -> None:
        json.loads("{")

    def selects() -> None:
        Selector.parse("a=b=c")

    for work in (reads, selects):
        name = work.__name__
        assert place_of(raised(work)).startswith("test_base_faults.py:")
        assert place_of(raised(work)).endswith(f" in {name}")


def test_of_several_errors_the_first_that_leads_to_somebody_tells() -> None:
    async def fails() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep("x"))  # type: ignore[arg-type] # on purpose

    group = raised(lambda: asyncio.run(fails()))
    assert isinstance(group, ExceptionGroup)
    (leaf,) = group.exceptions
    assert place_of(leaf).startswith("tasks.py:")
    assert place_of(leaf, group).endswith(" in fails")
    assert place_of(ValueError("never raised")) == ""


def test_a_function_has_a_place_too() -> None:
    assert place_of_function(raised).startswith("test_base_faults.py:")
    assert place_of_function(len) == "<built-in function len>"
