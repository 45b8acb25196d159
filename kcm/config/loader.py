"""Reads the configuration file.

`load` returns a whole, checked `Configuration` or raises ConfigurationError with file, line,
key path and reason: there is no half-good configuration. Only the file counts, no environment
variable. Whether the controllers that it names exist is checked by `kcm.config.selection`,
and a controller's settings by the controller's host.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kcm.base.errors import ConfigurationError
from kcm.config.binding import bind
from kcm.config.document import MOST_BYTES, read_document
from kcm.config.nodes import Node
from kcm.config.rules import broken_rules
from kcm.config.schema import API_VERSION, KIND, Configuration
from kcm.config.selection import Installed, select


def load(path: str | Path) -> Configuration:
    """Return the file's configuration; ConfigurationError when it cannot be used."""
    return parse(read_text(path), str(path))


def read_text(path: str | Path) -> bytes:
    """Return the file's bytes, one more than are taken at most; ConfigurationError when it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(str(path), "", f"cannot be read: {error.strerror or error}") from error


def parse(data: bytes, where: str) -> Configuration:
    """Return the configuration that the text of a file holds; `where` names it in errors."""
    document = read_document(data, where)
    _check_identity(document, where)
    configuration = bind(Configuration, document, where)
    check_rules(configuration, where, document)
    return configuration


def check_rules(configuration: Configuration, where: str, document: Node | None = None) -> None:
    """Raise ConfigurationError for the first rule between fields that is broken.

    To be called again after flags have changed a configuration.
    """
    for broken in broken_rules(configuration):
        node = document.at(broken.key) if document else None
        raise ConfigurationError(f"{where}:{node.line}" if node else where, broken.key, broken.reason)


def check_config(path: str | Path, installed: Sequence[Installed] | None = None) -> Configuration:
    """Do what `kcm check-config` does: `load`, and if `installed` is given, check the names too."""
    configuration = load(path)
    if installed is not None:
        select(configuration, installed, where=str(path))
    return configuration


def _check_identity(document: Node, where: str) -> None:
    """Say what file is expected before complaining about the keys of quite another file."""
    for key, wanted in (("apiVersion", API_VERSION), ("kind", KIND)):
        node = document.at(key)
        if node is None:
            raise ConfigurationError(where, key, f"is missing; write {key}: {wanted}")
        if node.value != wanted:
            found = node.value if isinstance(node.value, str) else "something else"
            raise ConfigurationError(
                f"{where}:{node.line}", key, f"must be {wanted}, found {str(found)[:64]!r}"
            )
