"""What `kcm` and `kcm.objects` offer: all of it is there, and says what it is for."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import kcm
import kcm.objects

OFFERED = [("kcm", name) for name in kcm.__all__] + [("kcm.objects", name) for name in kcm.objects.__all__]
# Names of types, which have no place for a text of their own.
ALIASES = {"Action", "Predicate", "Result"}


def named(home: str, name: str) -> Any:
    return getattr(kcm if home == "kcm" else kcm.objects, name)


@pytest.mark.parametrize(("home", "name"), OFFERED)
def test_a_public_name_says_what_it_is_for(home: str, name: str) -> None:
    found = named(home, name)
    if name in ALIASES:
        return
    doc = found.__dict__.get("__doc__") if isinstance(found, type) else inspect.getdoc(found)
    assert doc
    assert doc.strip()


@pytest.mark.parametrize(("home", "name"), OFFERED)
def test_so_do_the_methods_of_a_public_class(home: str, name: str) -> None:
    found = named(home, name)
    if not isinstance(found, type) or not found.__module__.startswith("kcm."):
        return
    methods = {name: value for name, value in vars(found).items() if not name.startswith("_")}
    plain = {name: value for name, value in methods.items() if inspect.isfunction(inspect.unwrap(value))}
    silent = [name for name, value in plain.items() if not inspect.getdoc(value)]
    assert not silent


def test_the_lists_hold_no_name_twice_and_are_sorted() -> None:
    for offered in (kcm.__all__, kcm.objects.__all__):
        assert offered == sorted(set(offered))
