"""docs/api.md: every public name with its signature and its text, from the code.

Public is what `kcm` and `kcm.objects` list, and of `kcm.testing` what `KIT` names. `entries` is also
what a test holds docstrings to.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tools.reference.source import ROOT

Function = ast.FunctionDef | ast.AsyncFunctionDef

# The test kit, by module: its names are imported from there.
KIT: Mapping[str, tuple[str, ...]] = {
    "kcm.testing.control_plane": ("ControlPlane", "Refused"),
    "kcm.testing.plugin": ("control_plane", "control_planes", "session_control_planes", "run_world"),
    "kcm.testing.waiting": ("TimedOut",),
    "kcm.testing.objects": ("existing", "being_deleted", "steps"),
    "kcm.testing.virtual": ("run", "VirtualClock"),
    "kcm.testing.world": ("World", "Daemon", "replica_set", "deployment"),
    "kcm.testing.crashes": ("crash_after_every_write", "quiet"),
    "kcm.testing.ownership": ("AtMost",),
}
_GROUPS: Mapping[str, tuple[str, ...]] = {
    "Controllers": ("Controller", "BlockingController", "Rate", "Context", "BlockingContext", "Cache", "Key"),
    "What wakes a controller": ("primary", "owns", "watches", "discovers", "ObjectGraph", "emitted"),
    "Predicates": (
        "Predicate",
        "generation_changed",
        "labels_changed",
        "annotations_changed",
        "resource_version_changed",
        "all_of",
        "any_of",
        "not_",
        "anything",
    ),
    "Plans": ("Plan", "Pace", "Outcome", "Action", "Create", "Apply", "Delete", "Target", "writes"),
    "Results": ("Result", "Done", "RequeueAfter", "Waiting"),
    "Finalizers": ("with_finalizer", "add_finalizer", "remove_finalizer"),
    "Errors": (
        "KcmError",
        "RetryAfter",
        "TerminalError",
        "DeadlineExceeded",
        "ReconcileEnded",
        "Undeclared",
        "ApiError",
        "AlreadyExists",
        "Conflict",
        "FieldsTaken",
        "Invalid",
        "NamespaceTerminating",
        "NotFound",
        "TooManyRequests",
        "TransportError",
    ),
    "Owners": ("claim", "owned", "adoptions", "releases", "claim_error", "reason_not_to_adopt"),
}
_HEAD = """\
# API

Made from the docstrings by `python -m tools.reference`; a test fails when it is stale, or when a public name
says nothing. How it fits together is in [controllers.md](controllers.md) and [testing.md](testing.md).

Everything in `kcm` and `kcm.objects` is meant to stay; until 1.0 a name may change, with a note in the
changelog.
"""
_ATTRIBUTES = "\n| attribute | type | default |\n|---|---|---|\n"


@dataclass(frozen=True)
class Entry:
    """A public name: where it is imported from, and the text that defines it."""

    package: str
    name: str
    node: ast.ClassDef | Function | ast.Assign

    @property
    def doc(self) -> str:
        """Return its docstring; of an alias, which has no place for one, what it stands for."""
        if isinstance(self.node, ast.Assign):
            return f"`{ast.unparse(self.node.value)}`"
        return ast.get_docstring(self.node) or ""

    def methods(self) -> Iterator[Function]:
        """Yield the public methods of a class, properties too, in the order of the text."""
        if isinstance(self.node, ast.ClassDef):
            for each in self.node.body:
                if isinstance(each, Function) and not each.name.startswith("_"):
                    yield each

    def fields(self) -> Iterator[tuple[ast.AnnAssign, str]]:
        """Yield the public attributes that a class declares, each with the text below it."""
        if not isinstance(self.node, ast.ClassDef):
            return
        body = self.node.body
        for each, below in zip(body, [*body[1:], ast.Pass()], strict=True):
            if isinstance(each, ast.AnnAssign) and not ast.unparse(each.target).startswith("_"):
                match below:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        yield each, " ".join(text.split())
                    case _:
                        yield each, ""


def entries() -> list[Entry]:
    """Return all public names, package by package. KeyError for one that its module does not define."""
    found = []
    for package in ("kcm", "kcm.objects"):
        path = f"{package.replace('.', '/')}/__init__.py"
        found += [Entry(package, name, node) for name, node in _offered(path)]
    for module, names in KIT.items():
        nodes = _defined(module)
        found += [Entry(module, name, nodes[name]) for name in names]
    return found


def _offered(path: str) -> Iterator[tuple[str, ast.ClassDef | Function | ast.Assign]]:
    tree = _tree(path)
    listed = next(
        each.value for each in tree.body if isinstance(each, ast.Assign) and _name_of(each) == "__all__"
    )
    names = set(ast.literal_eval(listed))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("kcm."):
            for alias in node.names:
                if alias.name in names:
                    yield alias.name, _definition(node.module, alias.name)


def _definition(module: str, name: str) -> ast.ClassDef | Function | ast.Assign:
    """Return what defines a name, through the modules that only hand it on."""
    nodes = _defined(module)
    if name in nodes:
        return nodes[name]
    for node in _tree(_path(module)).body:
        if isinstance(node, ast.ImportFrom) and node.module and name in (alias.name for alias in node.names):
            return _definition(node.module, name)
    raise KeyError(f"{module}.{name}")


def _defined(module: str) -> dict[str, ast.ClassDef | Function | ast.Assign]:
    found: dict[str, ast.ClassDef | Function | ast.Assign] = {}
    for node in _tree(_path(module)).body:
        if isinstance(node, ast.ClassDef | Function):
            found[node.name] = node
        elif isinstance(node, ast.Assign) and (name := _name_of(node)):
            found[name] = node
    return found


def _name_of(node: ast.Assign) -> str:
    first = node.targets[0]
    return first.id if isinstance(first, ast.Name) else ""


def _path(module: str) -> str:
    base = module.replace(".", "/")
    return f"{base}.py" if (ROOT / f"{base}.py").exists() else f"{base}/__init__.py"


def _tree(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), path)


def api_page() -> str:
    """Return docs/api.md. KeyError when a group has a name that is gone."""
    by_name = {entry.name: entry for entry in entries() if entry.package == "kcm"}
    placed = {name for names in _GROUPS.values() for name in names}
    groups = {**_GROUPS, "Others": tuple(name for name in sorted(by_name) if name not in placed)}
    parts = [_HEAD]
    for title, names in groups.items():
        parts += [f"\n## kcm: {title}\n"] if names else []
        parts += [_entry(by_name[name]) for name in names]
    parts += _objects([entry for entry in entries() if entry.package == "kcm.objects"])
    parts.append("\n## kcm.testing\n")
    parts += [_entry(entry, entry.package) for entry in entries() if entry.package in KIT]
    return "".join(parts)


def _objects(found: Iterable[Entry]) -> Iterator[str]:
    """Yield the types as a table, because their fields are those of the Kubernetes API, and the functions."""
    yield "\n## kcm.objects: types\n\n"
    yield "The fields are those of the Kubernetes API that readers asked for so far; others are dropped.\n"
    yield "For more, declare a type of your own.\n\n"
    yield "| type | what | fields |\n|---|---|---|\n"
    rest = []
    for entry in sorted(found, key=lambda each: each.name):
        methods = list(entry.methods())
        if isinstance(entry.node, ast.ClassDef) and not methods and entry.name != "Resource":
            fields = ", ".join(f"`{ast.unparse(field.target)}`" for field, _ in entry.fields())
            yield f"| `{entry.name}` | {_first(entry.doc)} | {fields} |\n"
        else:
            rest.append(entry)
    yield "\n## kcm.objects: functions, and types that do something\n"
    yield from map(_entry, rest)


def _first(doc: str) -> str:
    return " ".join(doc.split("\n\n")[0].split()).replace("|", "\\|")


def _entry(entry: Entry, module: str = "") -> str:
    """Return one name's part of the page."""
    node = entry.node
    place = f"\n`from {module} import {entry.name}`\n" if module else ""
    text = f"\n### {entry.name}\n{place}"
    if isinstance(node, Function):
        return f"{text}\n```python\n{_signature(node)}\n```\n\n{_prose(entry.doc)}"
    text += f"\n{_prose(entry.doc)}"
    if isinstance(node, ast.ClassDef):
        text += _fields(entry)
        for method in entry.methods():
            own = _signature(method, inside=True)
            text += f"\n```python\n{own}\n```\n\n{_prose(ast.get_docstring(method) or '')}"
    return text


def _fields(entry: Entry) -> str:
    found = list(entry.fields())
    texts = any(text for _, text in found)
    rows = [
        f"| `{ast.unparse(field.target)}` | `{_bare(field.annotation)}` | {_default(field)} |"
        + (f" {text} |\n" if texts else "\n")
        for field, text in found
    ]
    head = "\n| attribute | type | default | |\n|---|---|---|---|\n" if texts else _ATTRIBUTES
    return head + "".join(rows) if rows else ""


def _bare(annotation: ast.expr) -> str:
    text = ast.unparse(annotation)
    inner = text.removeprefix("ClassVar[").removesuffix("]") if text.startswith("ClassVar[") else text
    return inner.replace("|", "\\|")


def _default(field: ast.AnnAssign) -> str:
    return f"`{ast.unparse(field.value)}`" if field.value is not None else "–"


def _signature(node: Function, *, inside: bool = False) -> str:
    """Return how it is called; of a method, its decorator if that matters, and no `self`."""
    arguments = node.args
    if inside and arguments.args and arguments.args[0].arg in ("self", "cls"):
        arguments = ast.arguments(**{**dict(ast.iter_fields(arguments)), "args": arguments.args[1:]})
    kind = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    if any(ast.unparse(each) == "property" for each in node.decorator_list):
        return f"{node.name}: {_returned(node)}"
    line = f"{kind} {node.name}({ast.unparse(arguments)}) -> {_returned(node)}"
    if len(line) > 100:
        inner = ",\n".join(textwrap.indent(each, "    ") for each in _arguments(arguments))
        line = f"{kind} {node.name}(\n{inner},\n) -> {_returned(node)}"
    return line


def _returned(node: Function) -> str:
    return ast.unparse(node.returns) if node.returns is not None else "None"


def _arguments(arguments: ast.arguments) -> Iterator[str]:
    positional = [*arguments.posonlyargs, *arguments.args]
    missing = len(positional) - len(arguments.defaults)
    for number, each in enumerate(positional):
        default = arguments.defaults[number - missing] if number >= missing else None
        yield _argument(each, default)
    if arguments.vararg is not None:
        yield "*" + _argument(arguments.vararg, None)
    elif arguments.kwonlyargs:
        yield "*"
    for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _argument(each, value)
    if arguments.kwarg is not None:
        yield "**" + _argument(arguments.kwarg, None)


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    return ast.unparse(argument) + (f" = {ast.unparse(default)}" if default is not None else "")


def _prose(doc: str) -> str:
    return f"{doc.strip()}\n" if doc.strip() else ""
