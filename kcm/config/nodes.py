"""Configuration values that know on which line they stand.

Apart from `kcm.config.document`, so that a host can bind a controller's settings without
loading a YAML parser. Values are frozen; nothing here checks them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Value = None | bool | int | float | str | tuple["Node", ...] | Mapping[str, "Node"]


@dataclass(frozen=True, slots=True)
class Node:
    """A value and the line on which it stands (0: in no file). Mappings keep their key's line."""

    value: Value
    line: int = 0

    def plain(self) -> Any:
        """Return the value as Python's own dicts, lists and scalars."""
        match self.value:
            case tuple():
                return [item.plain() for item in self.value]
            case Mapping():
                return {key: item.plain() for key, item in self.value.items()}
        return self.value

    def at(self, path: str) -> Node | None:
        """Return the node at a path such as "client.qps", if it was written."""
        node: Node | None = self
        for part in path.split("."):
            if node is None or not isinstance(node.value, Mapping):
                return None
            node = node.value.get(part)
        return node


def node_of(value: object) -> Node:
    """Return Python values as nodes; TypeError for what no document can hold."""
    match value:
        case None | bool() | int() | float() | str():
            return Node(value)
        case list() | tuple():
            return Node(tuple(node_of(item) for item in value))
        case Mapping():
            return Node({str(key): node_of(item) for key, item in value.items()})
    raise TypeError(f"no configuration value: {type(value).__name__}")


def join_path(path: str, key: str) -> str:
    """Return the path of a key for error texts: one line, whatever somebody used as a key."""
    shown = key if key.isprintable() and len(key) <= 64 else repr(key[:64])[1:-1]
    return f"{path}.{shown}" if path else shown
