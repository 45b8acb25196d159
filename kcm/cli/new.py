"""`kcm new my-operator`: a project that passes its own tests.

Copies the templates in `project/`, with the names filled in, and derives the definition of the type
and the roles from the code it has just written. Guarantees: nothing that exists is overwritten; a
project that could not be written whole is taken away again. Owns nothing.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module, invalidate_caches, resources
from importlib.resources.abc import Traversable
from pathlib import Path

import yaml

from kcm import __version__
from kcm.base.errors import ConfigurationError
from kcm.cli.rbac import roles_text
from kcm.config.schema import NAME
from kcm.objects.definitions import definition_of

SUFFIX = ".txt"


def new(options: argparse.Namespace) -> int:
    """Write the project; return the exit code."""
    target = Path(options.directory or options.name)
    write_project(options.name, target, options.group)
    print(
        f"{target} is ready:\n\n"
        f"  cd {target}\n"
        f"  pip install -e '.[test]'\n"
        f"  pytest\n"
        f"  kcm sandbox --config kcm.yaml\n\n"
        f"README.md says the rest."
    )
    return 0


def write_project(name: str, target: Path, group: str = "example.dev") -> None:
    """Write a project called `name` into the folder `target`, which must not exist or be empty."""
    words = _words(name, group)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigurationError(str(target), "", "exists already and is not empty; choose another name")
    try:
        for path, text in _files(resources.files("kcm.cli") / "project", words):
            file = target / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        _write_manifests(target, words)
    except BaseException as error:
        shutil.rmtree(target, ignore_errors=True)
        if isinstance(error, OSError):
            raise ConfigurationError(str(target), "", f"cannot be written: {error.strerror}") from error
        raise


def _words(name: str, group: str) -> Mapping[str, str]:
    """Return what the templates' placeholders stand for."""
    module = name.replace("-", "_")
    if not re.fullmatch(NAME, name) or not module.isidentifier():
        raise ConfigurationError(
            name, "", "expected a name such as my-operator: lower-case letters, digits, -"
        )
    if module in sys.stdlib_module_names or module in ("kcm", "controllers"):
        raise ConfigurationError(name, "", f"Python has a module {module} already; choose another name")
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+", group):
        raise ConfigurationError("--group", "", f"{group[:64]!r} is no domain such as example.dev")
    own = name.removesuffix("-operator").removesuffix("-controller")
    # What my-operator is about, nobody knows; its template is about greetings.
    kind = "Greeting" if own == "my" else "".join(part.capitalize() for part in own.split("-"))
    return {
        "__name__": name,
        "__module__": module,
        "__Kind__": kind,
        "__kind__": kind.lower(),
        "__plural__": kind.lower() + ("es" if kind.endswith(("s", "x", "ch", "sh")) else "s"),
        "__group__": group,
        "__version__": __version__,
    }


def _files(folder: Traversable, words: Mapping[str, str], path: str = "") -> Iterator[tuple[str, str]]:
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.is_dir():
            yield from _files(entry, words, f"{path}{entry.name}/")
        elif entry.name.endswith(SUFFIX):
            yield (
                _filled(path + entry.name.removesuffix(SUFFIX), words),
                _filled(entry.read_text("utf-8"), words),
            )


def _filled(text: str, words: Mapping[str, str]) -> str:
    return re.sub("|".join(map(re.escape, words)), lambda found: words[found.group()], text)


def _write_manifests(target: Path, words: Mapping[str, str]) -> None:
    """Derive definition and roles from the code that was written."""
    sys.path.insert(0, str(target.resolve()))
    try:
        invalidate_caches()
        module = import_module(f"{words['__module__']}.controller")
        type_ = getattr(module, words["__Kind__"])
        controller = getattr(module, f"{words['__Kind__']}Controller")
        definition = yaml.safe_dump(definition_of(type_), sort_keys=False, allow_unicode=True, width=100)
    finally:
        sys.path.remove(str(target.resolve()))
        for each in [each for each in sys.modules if each.partition(".")[0] == words["__module__"]]:
            del sys.modules[each]
    name = words["__name__"]
    (target / "deploy" / "crd.yaml").write_text(f"---\n{definition}", encoding="utf-8")
    text = roles_text([controller], name, name, name)
    (target / "deploy" / "roles.yaml").write_text(text, encoding="utf-8")
