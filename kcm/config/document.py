"""YAML, reduced to what a configuration needs, with the line of every value.

`read_document` parses one YAML document into `Node`s. It takes mappings with text keys, lists,
text, numbers, true/false and null; "yes", "on" and times stay text, as in YAML 1.2. Guarantees:
no object is ever constructed from a tag; size, depth and number of nodes are bounded, also
after anchors are expanded (alias bombs); a key that stands twice is refused, not overwritten.
Owns no state.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import yaml

from kcm.base.errors import ConfigurationError
from kcm.config.nodes import Node, Value, join_path

MOST_BYTES = 64 * 1024
MOST_NODES = 20_000
DEEPEST = 32
LONGEST_NUMBER = 20


def read_document(data: bytes, where: str) -> Node:
    """Return the document; ConfigurationError naming `where` and the line when it is not usable."""
    if len(data) > MOST_BYTES:
        raise ConfigurationError(where, "", f"is larger than {MOST_BYTES // 1024} KiB")
    try:
        root = yaml.compose(data.decode("utf-8-sig"), Loader=_Loader)
    except UnicodeDecodeError as error:
        raise ConfigurationError(where, "", f"is not UTF-8 text (byte {error.start})") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        problem = " ".join(filter(None, (error.context, error.problem)))
        raise ConfigurationError(_place(where, line), "", f"is not valid YAML: {problem}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(where, "", f"is not valid YAML: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise ConfigurationError(where, "", "is nested too deeply") from error
    if root is None:
        raise ConfigurationError(where, "", "is empty")
    return _Reader(where).read(root, "", 0)


class _Loader(yaml.SafeLoader):
    """Composes nodes only, with the scalar types of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's name


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("int", r"[-+]?[0-9]{1,18}", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), [*_first.replace("\0", ""), ""]
    )


class _Reader:
    """Turns composed nodes into `Node`s, counting them."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._seen = 0

    def read(self, node: yaml.Node, path: str, depth: int) -> Node:
        line = node.start_mark.line + 1
        self._seen += 1
        if self._seen > MOST_NODES or depth > DEEPEST:
            raise self._error(line, path, "is too large once its anchors are expanded, or nested too deeply")
        match node:
            case yaml.MappingNode() if node.tag.endswith(":map"):
                return Node(dict(self._members(node, path, depth)), line)
            case yaml.SequenceNode() if node.tag.endswith(":seq"):
                items = enumerate(node.value)
                return Node(tuple(self.read(item, f"{path}[{i}]", depth + 1) for i, item in items), line)
            case yaml.ScalarNode():
                return Node(self._scalar(node, path), line)
        raise self._error(line, path, f"the tag {node.tag[:64]} is not taken")

    def _members(self, node: yaml.MappingNode, path: str, depth: int) -> Iterator[tuple[str, Node]]:
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(line, path, "a key must be text")
            key = key_node.value
            here = join_path(path, key)
            if key in seen:
                raise self._error(line, here, f"stands twice, first on line {seen[key]}")
            seen[key] = line
            yield key, Node(self.read(value_node, here, depth + 1).value, line)

    def _scalar(self, node: yaml.ScalarNode, path: str) -> Value:
        try:
            return _scalar_value(node.tag.rpartition(":")[2], node.value)
        except ValueError:
            line = node.start_mark.line + 1
            raise self._error(line, path, f"{node.value[:64]!r} is not taken as {node.tag[:64]}") from None

    def _error(self, line: int, path: str, reason: str) -> ConfigurationError:
        return ConfigurationError(_place(self._where, line), path, reason)


def _scalar_value(kind: str, text: str) -> Value:
    """Return the scalar; ValueError for a kind that is not taken or text that does not fit it."""
    match kind:
        case "str":
            return text
        case "null":
            return None
        case "bool" if text.lower() in ("true", "false"):
            return text.lower() == "true"
        case "int" if len(text) <= LONGEST_NUMBER:
            return int(text)
        case "float" if math.isfinite(number := float(text)):
            return number
    raise ValueError(text)


def _place(where: str, line: int) -> str:
    return f"{where}:{line}" if line else where
