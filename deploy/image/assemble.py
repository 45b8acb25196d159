"""Collect what kcm needs to run, and nothing else, under a new root: no shell, no package manager.

    python assemble.py VENV ROOT

Copies the virtual environment, the interpreter that it stands on with its standard library, every
shared library that any of them is linked with (the loader is asked), certificates of authorities,
and files that name users. Everything keeps its path. To be run with the interpreter that the
environment was made with. For the build stage of the Dockerfile; needs Linux and `ldd`.
"""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

# What only developers, or people at a screen, use; of the environment, a second client (aio).
LEFT_OUT = frozenset(
    (
        *("__pycache__", "test", "tests", "idlelib", "turtledemo", "tkinter", "lib2to3", "ensurepip"),
        *("site-packages", "pip", "setuptools", "pydoc_data"),
    )
)
# Loaded by name, so that nothing is linked with them: names of hosts and users.
BY_NAME = ("libnss_files.so.2", "libnss_dns.so.2")
USERS = {
    "etc/passwd": "root:x:0:0::/:/sbin/nologin\nkcm:x:65532:65532::/:/sbin/nologin\n",
    "etc/group": "root:x:0:\nkcm:x:65532:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}


def assemble(venv: Path, root: Path) -> None:
    """Fill `root`, which must not exist yet."""
    root.mkdir(parents=True)
    standard = Path(sysconfig.get_path("stdlib"))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    interpreter = Path(sys.base_prefix, "bin", version)
    copy(interpreter.resolve(), root)
    link(interpreter, root)
    for tree in (standard, venv):
        shutil.copytree(
            tree, under(root, tree), symlinks=True, ignore=left_out(venv), ignore_dangling_symlinks=True
        )
    link(venv / "bin" / "python", root)
    needed = sorted(shared_libraries(binaries(root), root))
    for library in needed:
        copy(library, root)
    make_known(needed, root)
    authorities = ssl.get_default_verify_paths().cafile
    if authorities:
        copy(Path(authorities).resolve(), root)
        link(Path(authorities), root)
    for name, text in USERS.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    for empty in ("tmp", "proc", "dev", "etc/kcm"):
        (root / empty).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)


def left_out(venv: Path) -> Callable[[str, list[str]], set[str]]:
    """Return what shutil.copytree asks: which names of a folder are not wanted."""

    def unwanted(folder: str, names: list[str]) -> set[str]:
        inside = Path(folder).is_relative_to(venv)
        drop = {"__pycache__", "pip", "setuptools", "aio"} if inside else LEFT_OUT
        return {name for name in names if name in drop or (not inside and name.startswith("config-"))}

    return unwanted


def links(path: Path) -> Iterator[Path]:
    """Yield a path and where it leads, link by link."""
    while path.is_symlink():
        yield path
        path = path.parent / os.readlink(path)


def link(path: Path, root: Path) -> None:
    """Make the links that lead from a path to its file, if there are any."""
    for each in links(path):
        target = under(root, each)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_symlink() and not target.exists():
            target.symlink_to(os.readlink(each))


def under(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def copy(path: Path, root: Path) -> None:
    target = under(root, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copy2(path, target)


def binaries(root: Path) -> Iterator[Path]:
    """Yield the files of the new root that a loader would load, by their own first bytes."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as file:
                    if file.read(4) == b"\x7fELF":
                        yield path


def shared_libraries(files: Iterable[Path], root: Path) -> set[Path]:
    """Return the libraries outside of `root` that the files are linked with, under every name they have."""
    found: set[Path] = set()
    for path in files:
        original = Path("/") / path.relative_to(root)
        said = subprocess.run(["ldd", str(original)], capture_output=True, text=True, check=False).stdout
        found |= {Path(name) for name in re.findall(r"(/\S+) \(0x", said)}
    for folder in {path.parent for path in found}:
        found |= {folder / name for name in BY_NAME if (folder / name).exists()}
    return {path for path in found if not under(root, path).exists()}


def make_known(libraries: Iterable[Path], root: Path) -> None:
    """Link what lies outside the loader's own folders into one of them: a new root has no loader's cache.

    Without it an interpreter that was linked with one in /usr/local/lib may not start.
    """
    libraries = tuple(libraries)
    own = next(path.parent for path in libraries if path.name == "libc.so.6")
    always = {Path("/lib"), Path("/usr/lib"), Path("/lib64"), own, Path("/usr") / own.relative_to("/")}
    for library in libraries:
        known = under(root, own / library.name)
        if library.parent not in always and not known.exists():
            known.symlink_to(library)


if __name__ == "__main__":
    assemble(Path(sys.argv[1]).resolve(), Path(sys.argv[2]))
