"""Puts the values of a document into Structs, strictly.

`bind` walks a `Node` and a Struct type together, so that every error names the key's whole path
and line, and an unknown key the one that was probably meant. Guarantees: nothing unknown is
ignored, no type is guessed ("5" is not 5), durations and numbers are within their bounds.
A host uses it too, for a controller's own settings. Does not check fields against each other.
Owns no state.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec

from kcm.base.errors import ConfigurationError
from kcm.config.durations import format_duration, parse_duration
from kcm.config.nodes import Node, join_path, node_of
from kcm.config.schema import Span

S = TypeVar("S", bound=msgspec.Struct)

_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


# What YAML 1.1 took for true and false, and people still write.
_NOT_BOOL = frozenset({"yes", "no", "on", "off"})


def bind(struct: type[S], values: Node | Mapping[str, object], where: str, key: str = "") -> S:
    """Return `struct` filled from `values`; ConfigurationError naming `where`, line, key and reason."""
    node = values if isinstance(values, Node) else node_of(values)
    return _struct(struct, node, where, key)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " (did you mean x?)" or a list of what is known, to follow an error's text."""
    names = sorted(known)
    if near := get_close_matches(name, names, n=1, cutoff=0.6):
        return f"; did you mean {near[0]}?"
    # A different spelling of the same words: web_port, webPort, web-port.
    plain = {_bare(candidate): candidate for candidate in names}
    if _bare(name) in plain:
        return f"; did you mean {plain[_bare(name)]}?"
    return f"; known: {', '.join(names)}" if 0 < len(names) <= 24 else ""


def _bare(name: str) -> str:
    return re.sub(r"[-_.]", "", name).lower()


def _struct(struct: type[S], node: Node, where: str, path: str) -> S:
    # A section whose lines are all commented out reads as null.
    values = {} if node.value is None else node.value
    if not isinstance(values, Mapping):
        raise _wrong(where, node, path, f"expected a section of keys, found {_found(node)}")
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for name, value in values.items():
        if name not in fields:
            raise _wrong(where, value, join_path(path, name), "is unknown" + did_you_mean(name, fields))
    given: dict[str, object] = {}
    for name, field in fields.items():
        if name in values:
            given[field.name] = _value(field.type, values[name], where, join_path(path, name))
        elif field.required:
            raise _wrong(where, node, join_path(path, name), "is missing")
    try:
        return struct(**given)
    except (ValueError, TypeError) as error:
        raise _wrong(where, node, path, _one_line(error)) from error


def _value(wanted: Any, node: Node, where: str, path: str) -> object:
    plain_type, span = _unwrapped(wanted)
    if get_origin(plain_type) in (Union, UnionType) and type(None) in get_args(plain_type):
        return None if node.value is None else _value(_without_none(plain_type), node, where, path)
    if isinstance(plain_type, type) and issubclass(plain_type, msgspec.Struct):
        return _struct(plain_type, node, where, path)
    if get_origin(plain_type) in (Mapping, dict):
        return _mapping(get_args(plain_type), node, where, path)
    if get_origin(plain_type) in (tuple, list) and isinstance(node.value, tuple):
        for index, item in enumerate(node.value):
            _value(get_args(plain_type)[0], item, where, f"{path}[{index}]")
    if span is not None:
        return _duration(span, node, where, path)
    return _leaf(wanted, plain_type, node, where, path)


def _mapping(options: tuple[Any, ...], node: Node, where: str, path: str) -> Mapping[str, object]:
    values = {} if node.value is None else node.value
    if not isinstance(values, Mapping):
        raise _wrong(where, node, path, f"expected keys with values, found {_found(node)}")
    key_type, value_type = options or (str, Any)
    for name, value in values.items():
        _leaf(key_type, str, Node(name, value.line), where, join_path(path, name))
    return {name: _value(value_type, value, where, join_path(path, name)) for name, value in values.items()}


def _duration(span: Span, node: Node, where: str, path: str) -> float:
    try:
        seconds = parse_duration(node.plain())
    except ValueError as error:
        raise _wrong(where, node, path, str(error)) from error
    if not span.low <= seconds <= span.high:
        bounds = f"between {format_duration(span.low)} and {format_duration(span.high)}"
        raise _wrong(where, node, path, f"must be {bounds}, found {format_duration(seconds)}")
    return seconds


def _leaf(wanted: Any, plain_type: Any, node: Node, where: str, path: str) -> object:
    plain = node.plain()
    try:
        value: object = msgspec.convert(plain, wanted)
    except msgspec.ValidationError as error:
        raise _wrong(where, node, path, _reason(error, wanted, plain_type, node)) from error
    if isinstance(value, float) and not math.isfinite(value):
        raise _wrong(where, node, path, "must be a finite number")
    return value


def _reason(error: msgspec.ValidationError, wanted: Any, plain_type: Any, node: Node) -> str:
    text = _one_line(error)
    if isinstance(node.value, str) and (choices := _choices(plain_type)):
        return f"{node.value[:64]!r} is none of {', '.join(choices)}"
    if "matching regex" in text:
        shown = repr(node.value[:64]) if isinstance(node.value, str) else _found(node)
        return f"{shown} is not valid here; expected {_expected(wanted)}"
    if get_origin(plain_type) in (tuple, list) and not isinstance(node.value, tuple):
        return f"expected a list, found {_found(node)}"
    named = next((_NAMES[t] for t in (plain_type, *get_args(plain_type)) if t in _NAMES), "")
    bound = re.search(r"(>=|<=|of length)[^-]*", text)
    if named and not bound:
        return f"expected {named}, found {_found(node)}"
    if bound and named:
        limit = bound.group().strip().replace(">=", "at least").replace("<=", "at most")
        return f"must be {limit}, found {_found(node)}"
    return text.replace("`", "")


def _expected(wanted: Any) -> str:
    """Return in words what a pattern asks for."""
    marks = (mark.description for mark in get_args(wanted)[1:] if isinstance(mark, msgspec.Meta))
    return next(filter(None, marks), "a name of lower-case letters, digits and -")


def _choices(plain_type: Any) -> tuple[str, ...]:
    return tuple(option for option in get_args(plain_type) if isinstance(option, str))


def _found(node: Node) -> str:
    match node.value:
        case None:
            return "nothing"
        case bool():
            return str(node.value).lower()
        case str():
            hint = "; write true or false" if node.value.lower() in _NOT_BOOL else ""
            return f"the text {node.value[:64]!r}{hint}"
        case int() | float():
            return str(node.value)
        case tuple():
            return "a list"
    return "a section of keys"


def _unwrapped(wanted: Any) -> tuple[Any, Span | None]:
    """Return the type inside Annotated, and its Span if it is a duration."""
    if get_origin(wanted) is not Annotated:
        return wanted, None
    plain_type, *marks = get_args(wanted)
    return plain_type, next((mark for mark in marks if isinstance(mark, Span)), None)


def _without_none(plain_type: Any) -> Any:
    return Union[tuple(option for option in get_args(plain_type) if option is not type(None))]  # noqa: UP007 - built at run time


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _wrong(where: str, node: Node, key: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"{where}:{node.line}" if node.line else where, key, reason)
