"""docs/logs.md: every log record of a daemon, from the calls that write them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from tools.reference.source import UNKNOWN, Module, Place, argument, called, calls, modules, value

LEVELS = ("info", "warning", "error")
# Who is handed a logger, and by whom it was made.
_GIVEN = {
    "kcm/cache/reflector.py": "cache.reflector",
    "kcm/election/elector.py": "election",
    "kcm/runtime/": "controller.<name>",
    "controllers/": "controller.<name>",
}
_THE_LOG_ITSELF = ("kcm/telemetry/logging.py", "kcm/telemetry/writer.py")
_VARIES = "(says what it is about)"
_HEAD = """\
# Log records

Made from the code by `python -m tools.reference`; a test fails when it is stale.

One JSON object a line: `time`, `level`, `process` (manager, or the name of a host), `component`, `message`
and fields of the record's own. Component and message together name the event: they are an interface,
change only with a note in the changelog, and are what to search for and to alert on. Fields may be
added. Records of level debug are for developers and not listed.

| component | message | level | fields |
|---|---|---|---|
"""


class Record(NamedTuple):
    """One kind of record."""

    component: str
    message: str
    level: str
    fields: tuple[str, ...]


def records() -> list[Record]:
    """Return all kinds, sorted, each once; the fields of all places that write it together."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for module in modules():
        if module.path not in _THE_LOG_ITSELF:
            for each in _written(module):
                found.setdefault(each[:3], set()).update(each.fields)
    return sorted(Record(*key, tuple(sorted(fields))) for key, fields in found.items())


def _written(module: Module) -> Iterator[Record]:
    made = _made(module)
    for call, place in calls(module):
        if called(call) not in LEVELS or not isinstance(call.func, ast.Attribute):
            continue
        owner = _last(call.func.value)
        if owner not in ("log", "_log"):
            continue
        # One that is handed on within its module keeps its component.
        own = made.get(owner) or (next(iter(made.values())) if len(made) == 1 else None)
        component, fields = own or (_given(module, call), ())
        message = value(argument(call, 0, "message"), place)
        named = [keyword.arg for keyword in call.keywords if keyword.arg]
        text = _VARIES if message is UNKNOWN else message
        yield Record(component, text, called(call), (*fields, *named))


def _made(module: Module) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return component and bound fields of the loggers that a module makes for itself, by name."""
    found = {}
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Assign):
            continue
        fields: list[str] = []
        made = node.value
        while isinstance(made, ast.Call) and called(made) == "bind" and isinstance(made.func, ast.Attribute):
            fields += [keyword.arg for keyword in made.keywords if keyword.arg]
            made = made.func.value
        if isinstance(made, ast.Call) and called(made) == "logger":
            component = value(argument(made, 0, "component"), Place(module))
            found[_last(node.targets[0])] = (component, tuple(fields))
    return found


def _given(module: Module, call: ast.Call) -> str:
    for start, component in _GIVEN.items():
        if module.path.startswith(start):
            return component
    raise ValueError(f"{module.path}:{call.lineno}: whose logger is this? see tools/reference/logs.py")


def _last(node: ast.expr) -> str:
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def logs_page() -> str:
    """Return docs/logs.md."""
    rows = (
        f"| `{component}` | {message} | {level} | {', '.join(f'`{name}`' for name in fields)} |\n"
        for component, message, level, fields in records()
    )
    return _HEAD + "".join(rows)
