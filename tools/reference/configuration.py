"""docs/configuration.md: every field of the configuration file, from the schema and its texts."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args, get_type_hints

import msgspec

from kcm.config import schema
from kcm.config.schema import Configuration, ControllerConfig, Section, Span

_HEAD = """\
# Configuration

Made from `kcm/config/schema.py` by `python -m tools.reference`; a test fails when it is stale.
[config/kcm.yaml](../config/kcm.yaml) is the same as a file to start from; how a file is used is in
[operations.md](operations.md#configuration).

The file is strict: an unknown key, a wrong type, a number out of bounds or a combination that cannot
work ends kcm before it has started, with exit code 2 and one line that names file, line, key and reason.
`kcm check-config F` says the same without starting. Durations are written `15s`, `1m30s`, `250ms`, or as a
number of seconds.
"""


class Row(NamedTuple):
    """One field: its key, its default as the file would say it, its bounds, its text."""

    key: str
    default: str
    bounds: str
    text: str


def configuration_page() -> str:
    """Return docs/configuration.md."""
    parts = [_HEAD, _table("The file", list(_rows(Configuration)))]
    for name, section in _sections(Configuration):
        parts.append(_table(name, list(_rows(section))))
        parts += [_table(f"{name}.{inner}", list(_rows(each))) for inner, each in _sections(section)]
    parts.append(_table("controllers.<name>", list(_rows(ControllerConfig))))
    return "".join(parts)


def _table(title: str, rows: list[Row]) -> str:
    lines = [f"| `{row.key}` | {row.default} | {row.bounds} | {row.text} |\n" for row in rows]
    return f"\n## {title}\n\n| key | default | bounds | meaning |\n|---|---|---|---|\n{''.join(lines)}"


def _sections(owner: type[Section]) -> Iterator[tuple[str, type[Section]]]:
    for field in msgspec.structs.fields(owner):
        if isinstance(field.default, Section):
            yield field.encode_name, type(field.default)


def _rows(section: type[Section]) -> Iterator[Row]:
    hints = get_type_hints(section, vars(schema), include_extras=True)
    texts = _texts(section)
    for field in msgspec.structs.fields(section):
        default = field.default
        if default is msgspec.NODEFAULT:
            default = {} if field.default_factory is dict else None
        span, bounds = _bounds(hints[field.name])
        shown = "see below" if isinstance(default, Section) else _shown(default, span)
        yield Row(field.encode_name, shown, bounds, texts[field.name])


def _texts(section: type[Section]) -> dict[str, str]:
    """Return the text below each field of a section. KeyError later for a field without one."""
    (tree,) = ast.parse(inspect.getsource(section)).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for node, below in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            match below:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    found[node.target.id] = " ".join(text.split()).replace("|", "\\|")
    return found


def _bounds(hint: Any) -> tuple[Span | None, str]:
    """Return the duration that a type is, if it is one, and its bounds for people."""
    for part in (hint, *get_args(hint)):
        for mark in getattr(part, "__metadata__", ()):
            if isinstance(mark, Span):
                return mark, f"{_duration(mark.low)} to {_duration(mark.high)}"
            if isinstance(mark, msgspec.Meta) and (mark.ge is not None or mark.le is not None):
                return None, " to ".join(f"{each:g}" for each in (mark.ge, mark.le) if each is not None)
    words = [each for each in get_args(hint) if isinstance(each, str)]
    return None, ", ".join(words)


def _shown(default: object, span: Span | None) -> str:
    match default:
        case None:
            return "left out"
        case bool():
            return str(default).lower()
        case int() | float() if span is not None:
            return _duration(default)
        case float():
            return f"{default:g}"
        case "":
            return "empty"
        case () | []:
            return "none"
        case _ if isinstance(default, tuple | list | dict) or hasattr(default, "keys"):
            return "none"
    return str(default)


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}" if unit != "d" else f"{seconds / 3600:g}h"
    return f"{seconds:g}s" if seconds == 0 or seconds >= 1 else f"{seconds * 1000:g}ms"
