"""What `kcm`, `kcm.objects` and `kcm.testing` offer: all of it is there, and says what it is for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

import kcm
import kcm.objects
from tools.reference.api import Entry, Function, entries

OFFERED = entries()
# Fields of Kubernetes objects mean what the Kubernetes API says.
OWN = [entry for entry in OFFERED if entry.package != "kcm.objects"]


def named(entry: Entry) -> str:
    return f"{entry.package}.{entry.name}"


def of(node: ast.AST) -> str:
    assert isinstance(node, ast.ClassDef | Function)
    return ast.get_docstring(node) or ""


def callables(entry: Entry) -> Iterator[tuple[str, Function, str]]:
    """Yield what can be called, with all the text that may say something about it."""
    if isinstance(entry.node, Function):
        yield entry.name, entry.node, entry.doc
    for method in entry.methods():
        yield f"{entry.name}.{method.name}", method, of(method) + entry.doc
    if isinstance(entry.node, ast.ClassDef):
        for each in entry.node.body:
            if isinstance(each, ast.FunctionDef) and each.name == "__init__":
                yield entry.name, each, of(each) + entry.doc


@pytest.mark.parametrize("entry", OFFERED, ids=named)
def test_a_public_name_says_what_it_is_for(entry: Entry) -> None:
    assert entry.doc.strip()


@pytest.mark.parametrize("entry", OFFERED, ids=named)
def test_so_do_the_methods_of_a_public_class(entry: Entry) -> None:
    assert [method.name for method in entry.methods() if not of(method)] == []


@pytest.mark.parametrize("entry", OWN, ids=named)
def test_and_its_public_attributes(entry: Entry) -> None:
    """Below themselves, or by name in the text of the class."""
    named_there = set(re.findall(r"\w+", entry.doc))
    silent = [
        name
        for field, text in entry.fields()
        if not text and (name := ast.unparse(field.target)) not in named_there
    ]
    assert silent + [name for name in given(entry) if name not in named_there] == []


def given(entry: Entry) -> Iterator[str]:
    """Yield the public attributes that the constructor of a class sets."""
    if not isinstance(entry.node, ast.ClassDef):
        return
    for each in entry.node.body:
        if isinstance(each, ast.FunctionDef) and each.name == "__init__":
            for node in ast.walk(each):
                match node:
                    case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                        if not name.startswith("_"):
                            yield name


@pytest.mark.parametrize("entry", OFFERED, ids=named)
def test_a_number_that_is_a_time_has_its_unit(entry: Entry) -> None:
    unclear = [
        f"{name}({argument.arg})"
        for name, node, text in callables(entry)
        for argument in [*node.args.args, *node.args.kwonlyargs]
        if argument.annotation is not None
        and "float" in ast.unparse(argument.annotation)
        and argument.arg != "seconds"
        and not re.search(r"second|\bs\b|minute|times faster|Requests", text)
    ]
    assert unclear == []


@pytest.mark.parametrize("entry", OFFERED, ids=named)
def test_what_is_raised_is_told(entry: Entry) -> None:
    untold = [
        f"{name}: {error}"
        for name, node, text in callables(entry)
        for error in raised(node)
        if error not in text
    ]
    assert untold == []


def raised(node: Function) -> Iterator[str]:
    """Yield the names of the exceptions that a function itself raises."""
    for each in ast.walk(node):
        match each:
            case ast.Raise(exc=ast.Call(func=ast.Name(id=name)) | ast.Name(id=name)):
                if name[0].isupper():
                    yield name


def test_the_lists_hold_no_name_twice_and_are_sorted() -> None:
    for offered in (kcm.__all__, kcm.objects.__all__):
        assert offered == sorted(set(offered))


def test_what_is_listed_is_what_is_documented() -> None:
    for package in (kcm, kcm.objects):
        documented = sorted(entry.name for entry in OFFERED if entry.package == package.__name__)
        assert documented == package.__all__
        for name in documented:
            assert getattr(package, name) is not None
