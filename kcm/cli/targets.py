"""What a person means by `my_controller.py`, `package.module` or `module:Class`.

For `kcm run` a controller is found in the text of its module, which is not imported: no controller
code runs in the manager. Guarantees: what is found can be imported by this process and by the hosts
it starts; a name that means nothing, or several things, is a `ConfigurationError` that says which.
Owns nothing; adds the module's folder to the import path.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import NamedTuple

import msgspec

from kcm.base.errors import ConfigurationError
from kcm.config.schema import NAME, Configuration, ControllerConfig

RECORDER = "eventrecorder"

_BASES = ("Controller", "BlockingController")


class FirstTry(NamedTuple):
    """A controller that is run without being installed or configured: its name, and "module:Class"."""

    name: str
    implementation: str


def find_controller(target: str) -> FirstTry:
    """Return the controller that a file or module holds; with `:Class` behind it, that one."""
    module, wanted = importable(target)
    found = _controllers_in(_source_of(target, module), target)
    if wanted and wanted not in found:
        # Derived from a base of its own, perhaps: its host will tell.
        return FirstTry(_dashed(wanted), f"{module}:{wanted}")
    if not wanted and len(found) != 1:
        some = f"has {len(found)} controllers: name one, as {target}:{next(iter(found))}" if found else ""
        raise ConfigurationError(target, "", some or "has no class derived from kcm.Controller")
    name = wanted or next(iter(found))
    if not re.fullmatch(NAME, found[name]):
        reason = f"{name}.name is {found[name][:64]!r}: expected lower-case letters, digits and -, at most 63"
        raise ConfigurationError(target, "", reason)
    return FirstTry(found[name], f"{module}:{name}")


def importable(target: str) -> tuple[str, str]:
    """Return the module and the class ("" if none is named) that a target means; make it importable."""
    place, _, name = target.partition(":")
    if not place.endswith(".py"):
        if not all(part.isidentifier() for part in place.split(".")):
            raise ConfigurationError(target, "", "expected a file such as my_controller.py, or module:Class")
        _look_in(Path.cwd())
        return place, name
    path = Path(place)
    if not path.is_file():
        raise ConfigurationError(target, "", f"there is no file {place}")
    if not path.stem.isidentifier():
        raise ConfigurationError(target, "", "to be imported, its name must be letters, digits and _ only")
    folder, module = _outside_of_packages(path.resolve())
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in ("kcm", "controllers"):
        raise ConfigurationError(target, "", f"Python has a module {top} already; rename the file")
    _look_in(folder)
    return module, name


def _outside_of_packages(path: Path) -> tuple[Path, str]:
    """Return the folder from which a file can be imported, and its name as seen from there.

    Where Python looked into a package itself, a types.py in it would stand in the place of Python's own.
    """
    folder, module = path.parent, path.stem
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        folder, module = folder.parent, f"{folder.name}.{module}"
    return folder, module


def with_first_try(
    configuration: Configuration, first: FirstTry, *, own_lease: bool, recorded: bool
) -> Configuration:
    """Return the configuration with that controller in it.

    `own_lease`: it competes for a Lease of its own, since others that run other controllers must not
    keep it waiting. `recorded`: who writes down its events runs in its process, and falls with it: a file
    that does not work is the end of `kcm run`.
    """
    replace = msgspec.structs.replace
    known = dict(configuration.controllers)
    mine = known.get(first.name) or ControllerConfig()
    known[first.name] = replace(mine, implementation=first.implementation)
    if recorded:
        recorder = known.get(RECORDER) or ControllerConfig()
        # A recorder with limits of its own keeps a host of its own, or they would be nobody's.
        own = RECORDER if RECORDER in configuration.hosts.limits_of else ""
        known[RECORDER] = replace(recorder, process=recorder.process or own or mine.process or first.name)
    election = configuration.leader_election
    if own_lease:
        election = replace(election, resource_name=f"kcm-{first.name}")
    return replace(configuration, controllers=known, leader_election=election)


def _look_in(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    # The fork server, from which hosts come, is a process of its own.
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if str(folder) not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *filter(None, paths)])


def _source_of(target: str, module: str) -> str:
    """Return the text of a module without running anything of it, nor of its packages."""
    search: list[str] | None = None
    parts = module.split(".")
    for number, part in enumerate(parts):
        spec = PathFinder.find_spec(part if number == 0 else ".".join(parts[: number + 1]), search)
        if spec is None:
            raise ConfigurationError(target, "", f"there is no module {module} where Python looks")
        search = list(spec.submodule_search_locations or ())
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise ConfigurationError(target, "", f"module {module} has no source; name its class")
    try:
        return Path(spec.origin).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(target, "", f"cannot be read: {error}") from None


def _controllers_in(source: str, target: str) -> dict[str, str]:
    """Return the names of the controllers by class, in the order of the text."""
    try:
        tree = ast.parse(source, filename=os.path.basename(target))
    except (SyntaxError, ValueError, RecursionError) as error:
        raise ConfigurationError(target, "", f"is not valid Python: {error}") from None
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef))
    return {
        node.name: _name_in(node) or _dashed(node.name)
        for node in classes
        if any(_base_name(base) in _BASES for base in node.bases)
    }


def _base_name(base: ast.expr) -> str:
    match base:
        case ast.Subscript(value):
            return _base_name(value)
        case ast.Name(name) | ast.Attribute(attr=name):
            return name
    return ""


def _name_in(node: ast.ClassDef) -> str:
    for statement in node.body:
        match statement:
            case ast.Assign([ast.Name("name")], ast.Constant(str() as name)):
                return name
            case ast.AnnAssign(target=ast.Name("name"), value=ast.Constant(str() as name)):
                return name
    return ""


def _dashed(name: str) -> str:
    """Return "backup-policy" for "BackupPolicyController"."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+", name.removesuffix("Controller") or name)
    return "-".join(words).lower() or "mine"
