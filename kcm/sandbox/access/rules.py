"""What one RBAC rule allows, and whether one set of rules covers another.

`Rule` is a `rbac/v1` PolicyRule as sets; `Wish` is what somebody wants to do. Pure. Guarantees:
`*` and `*/subresource`, resource names, URLs that end in `*` mean what they mean to a Kubernetes
1.36 server; reading a rule from JSON never fails, because validation is the schema's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

EVERY = "*"
_Texts = tuple[str, ...]


class Wish(NamedTuple):
    """What somebody wants to do: a verb on a resource or, when `path` is set, on a URL."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def combined(self) -> str:
        """Return the resource as rules name it: `deployments/scale`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, its lists in the order in which they were written."""

    verbs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    @staticmethod
    def read(rule: Mapping[str, Any]) -> Rule:
        """Return a stored PolicyRule."""
        return Rule(
            _texts(rule.get("verbs")),
            _texts(rule.get("apiGroups")),
            _texts(rule.get("resources")),
            _texts(rule.get("resourceNames")),
            _texts(rule.get("nonResourceURLs")),
        )

    def shown(self) -> dict[str, list[str]]:
        """Return the rule as JSON has it, without its empty lists."""
        lists = {
            "verbs": self.verbs,
            "apiGroups": self.groups,
            "resources": self.resources,
            "resourceNames": self.names,
            "nonResourceURLs": self.urls,
        }
        return {name: list(values) for name, values in lists.items() if values}

    def allows(self, wish: Wish) -> bool:
        """Say whether the rule allows the wish."""
        return self.concerns(wish) and (bool(wish.path) or not self.names or wish.name in self.names)

    def concerns(self, wish: Wish) -> bool:
        """Say whether the rule allows the wish for some name."""
        if wish.verb not in self.verbs and EVERY not in self.verbs:
            return False
        if wish.path:
            return any(_url_covers(url, wish.path) for url in self.urls)
        if wish.group not in self.groups and EVERY not in self.groups:
            return False
        return self._has(wish.combined, wish.subresource)

    def _has(self, combined: str, subresource: str) -> bool:
        if combined in self.resources or EVERY in self.resources:
            return True
        return bool(subresource) and f"*/{subresource}" in self.resources

    def covers(self, atom: Rule) -> bool:
        """Say whether the rule gives all that an atom gives (see `atoms`)."""
        if not _includes(self.verbs, atom.verbs):
            return False
        if atom.urls:
            return all(any(_url_covers(own, url) for own in self.urls) for url in atom.urls)
        if not _includes(self.groups, atom.groups):
            return False
        (resource,) = atom.resources
        if not self._has(resource, resource.partition("/")[2]):
            return False
        return not self.names or (bool(atom.names) and set(atom.names) <= set(self.names))

    def atoms(self) -> Iterator[Rule]:
        """Yield the parts that grant one verb on one resource, with at most one name, or on one URL."""
        for group in self.groups:
            for resource in self.resources:
                for verb in self.verbs:
                    for name in self.names or ("",):
                        yield Rule((verb,), (group,), (resource,), (name,) if name else ())
        for url in self.urls:
            for verb in self.verbs:
                yield Rule((verb,), urls=(url,))


def _texts(found: object) -> tuple[str, ...]:
    return tuple(str(one) for one in found) if isinstance(found, list | tuple) else ()


def _includes(own: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    return EVERY in own or set(wanted) <= set(own)


def _url_covers(own: str, url: str) -> bool:
    return own in (EVERY, url) or (own.endswith(EVERY) and url.startswith(own.rstrip(EVERY)))


FULL_AUTHORITY = (Rule((EVERY,), (EVERY,), (EVERY,)), Rule((EVERY,), urls=(EVERY,)))


def missing(held: Iterable[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """Return the atoms of `wanted` that no rule of `held` covers; empty when all are held."""
    owned = tuple(held)
    return [atom for rule in wanted for atom in rule.atoms() if not any(own.covers(atom) for own in owned)]


def unused(granted: Iterable[Rule], wishes: Iterable[Wish]) -> list[Rule]:
    """Return the atoms of `granted` that allow none of the wishes: what could be taken away."""
    done = tuple(wishes)
    atoms = [atom for rule in granted for atom in rule.atoms()]
    return [atom for atom in atoms if not any(atom.allows(wish) for wish in done)]


def describe(atoms: Iterable[Rule]) -> list[str]:
    """Return atoms as the server's escalation error lists them: joined by resource, sorted."""
    lines: list[Rule] = []
    joined: dict[tuple[_Texts, _Texts, _Texts], list[str]] = {}
    for atom in atoms:
        if atom.urls:
            lines.append(atom)
        else:
            joined.setdefault((atom.groups, atom.resources, atom.names), []).extend(atom.verbs)
    lines += [
        Rule(tuple(verbs), groups, resources, names) for (groups, resources, names), verbs in joined.items()
    ]
    return sorted({_compact(line) for line in lines})


def _compact(rule: Rule) -> str:
    parts = (
        ("APIGroups", rule.groups),
        ("Resources", rule.resources),
        ("NonResourceURLs", rule.urls),
        ("ResourceNames", rule.names),
        ("Verbs", rule.verbs),
    )
    return "{" + ", ".join(f"{name}:{quoted(values)}" for name, values in parts if values) + "}"


def quoted(values: Iterable[str]) -> str:
    """Return texts as the server's messages show a list: `["a" "b"]`."""
    return "[" + " ".join(json.dumps(value, ensure_ascii=False) for value in values) + "]"
