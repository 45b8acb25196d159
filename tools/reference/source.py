"""The code as syntax trees, and what its expressions are as far as that can be told without running it.

`value` knows constants, tuples and lists, f-strings and names that are assigned once in the function or
the module that an expression stands in. What it does not know is `UNKNOWN`, never a guess.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).parents[2]
# The sandbox and the test kit are no part of a daemon.
_FOLDERS = ("kcm", "controllers")
_LEFT_OUT = ("kcm/sandbox", "kcm/testing")


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()


@dataclass(frozen=True)
class Module:
    """One file. `path` is relative to the project."""

    path: str
    tree: ast.Module


@dataclass(frozen=True)
class Place:
    """Where an expression stands: its module and the functions around it, the innermost last."""

    module: Module
    functions: tuple[ast.FunctionDef | ast.AsyncFunctionDef, ...] = ()


def modules() -> Iterator[Module]:
    """Yield the daemon's modules, sorted by path."""
    for folder in _FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(_LEFT_OUT):
                yield Module(name, ast.parse(path.read_text(encoding="utf-8"), name))


def calls(module: Module) -> Iterator[tuple[ast.Call, Place]]:
    """Yield every call of a module and where it stands, in the order of the text."""
    yield from _calls(module.tree, Place(module))


def _calls(node: ast.AST, place: Place) -> Iterator[tuple[ast.Call, Place]]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        place = Place(place.module, (*place.functions, node))
    if isinstance(node, ast.Call):
        yield node, place
    for child in ast.iter_child_nodes(node):
        yield from _calls(child, place)


def called(call: ast.Call) -> str:
    """Return the last name of what is called: `b` for `a.b(…)` and for `b(…)`."""
    match call.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    """Return an argument by its place or its name."""
    if position < len(call.args):
        return call.args[position]
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def value(node: ast.expr | None, place: Place) -> Any:
    """Return what an expression is, UNKNOWN if that cannot be told."""
    match node:
        case ast.Constant(value=constant):
            return constant
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return _items(items, place)
        case ast.JoinedStr(values=parts):
            texts = [value(part, place) for part in parts]
            return UNKNOWN if UNKNOWN in texts else "".join(map(str, texts))
        case ast.FormattedValue(value=inner):
            return value(inner, place)
        case ast.Name(id=name):
            return _named(name, place)
        case ast.IfExp(body=one, orelse=other):
            return value(one, place) if value(one, place) == value(other, place) else UNKNOWN
    return UNKNOWN


def _items(items: list[ast.expr], place: Place) -> Any:
    found: list[Any] = []
    for item in items:
        if isinstance(item, ast.Starred):
            inner = value(item.value, place)
            if inner is UNKNOWN:
                return UNKNOWN
            found += inner
        else:
            found.append(value(item, place))
    return UNKNOWN if UNKNOWN in found else tuple(found)


def _named(name: str, place: Place) -> Any:
    for depth in range(len(place.functions), -1, -1):
        scope: ast.AST = place.functions[depth - 1] if depth else place.module.tree
        found = assignments(scope).get(name)
        if found is not None:
            return value(found, Place(place.module, place.functions[:depth]))
    return UNKNOWN


def assignments(scope: ast.AST) -> Mapping[str, ast.expr]:
    """Return what is assigned in a function or module itself, by name; names assigned twice are left out."""
    found: dict[str, list[ast.expr]] = {}
    open_ = list(ast.iter_child_nodes(scope))
    while open_:
        node = open_.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, []).append(node.value)
        open_ += ast.iter_child_nodes(node)
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def functions(scope: ast.AST) -> Mapping[str, ast.FunctionDef]:
    """Return the functions that are defined right in a function or module."""
    return {node.name: node for node in ast.iter_child_nodes(scope) if isinstance(node, ast.FunctionDef)}
