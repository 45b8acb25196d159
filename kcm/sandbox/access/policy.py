"""Roles and bindings by subject, and what they let a user do.

`Policy` is told of roles and bindings (`put`, `remove`) and answers `decide`. Guarantees: an
answer is that of a Kubernetes 1.36 RBAC authorizer, with its reason: bindings are asked in the
order of their names, the cluster's before the namespace's; a binding whose role is missing
grants nothing and says so. What was decided is remembered until the next `put` or `remove`, so
that a repeated question costs a look-up. Does not aggregate roles. Owns its index, nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from kcm.sandbox.access.rules import Rule, Wish
from kcm.sandbox.access.users import User, account_name

_MOST_REMEMBERED = 20_000

Key = tuple[str, str]


class Verdict(NamedTuple):
    """Whether a wish is allowed, and the authorizer's reason."""

    allowed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Subject:
    """Whom a binding names. `key` is what users are looked up by."""

    key: Key
    shown: str


@dataclass(frozen=True, slots=True)
class _Binding:
    namespace: str
    name: str
    role_kind: str
    role_name: str
    subjects: tuple[_Subject, ...]

    def applies(self, keys: frozenset[Key]) -> str:
        """Return the reason for one of these subjects, "" when none is bound."""
        for subject in self.subjects:
            if subject.key in keys:
                kind = "RoleBinding" if self.namespace else "ClusterRoleBinding"
                name = f"{self.name}/{self.namespace}" if self.namespace else self.name
                role = f'{self.role_kind} "{self.role_name}"'
                return f'RBAC: allowed by {kind} "{name}" of {role} to {subject.shown}'
        return ""


class _Answer(NamedTuple):
    """All that is known of a wish but its name: the reason for any name, for some, against."""

    general: str
    named: Mapping[str, str]
    against: str


class Policy:
    """All roles and bindings."""

    def __init__(self) -> None:
        self._roles: dict[Key, tuple[Rule, ...]] = {}
        self._bindings: dict[Key, _Binding] = {}
        # Namespace ("" for the cluster) -> subject -> names of bindings.
        self._bound: dict[str, dict[Key, set[str]]] = {}
        self._answers: dict[tuple[Any, ...], _Answer] = {}

    def put(self, obj: Mapping[str, Any]) -> None:
        """Take in a stored Role, ClusterRole, RoleBinding or ClusterRoleBinding."""
        metadata = obj["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        self.remove(obj["kind"], key)
        if obj["kind"] in ("Role", "ClusterRole"):
            self._roles[key] = tuple(Rule.read(rule or {}) for rule in obj.get("rules") or ())
            return
        reference = obj.get("roleRef") or {}
        subjects = tuple(_subject(one or {}, key[0]) for one in obj.get("subjects") or ())
        self._bindings[key] = _Binding(*key, reference.get("kind", ""), reference.get("name", ""), subjects)
        inside = self._bound.setdefault(key[0], {})
        for subject in subjects:
            inside.setdefault(subject.key, set()).add(key[1])

    def remove(self, kind: str, key: Key) -> None:
        """Forget an object by kind, and namespace and name."""
        self._answers.clear()
        if kind in ("Role", "ClusterRole"):
            self._roles.pop(key, None)
            return
        gone = self._bindings.pop(key, None)
        for subject in gone.subjects if gone else ():
            self._bound[key[0]].get(subject.key, set()).discard(key[1])

    def decide(self, user: User, wish: Wish) -> Verdict:
        """Say whether the user may have its wish."""
        if user.is_master:
            return Verdict(True)
        asked = (user.name, user.groups, wish[:5], wish.path)
        answer = self._answers.get(asked)
        if answer is None:
            if len(self._answers) >= _MOST_REMEMBERED:
                self._answers.clear()
            answer = self._answers[asked] = self._consider(user, wish)
        reason = answer.named.get(wish.name, "") or answer.general
        return Verdict(True, reason) if reason else Verdict(False, answer.against)

    def rules_of(self, user: User, namespace: str) -> tuple[list[Rule], str]:
        """Return the rules that bind a user in a namespace ("": the cluster), and what went wrong."""
        found: list[Rule] = []
        problems: list[str] = []
        for _, rules in self._grants(user, namespace, problems):
            found += rules
        return found, _joined(problems)

    def rules_in(self, kind: str, name: str, namespace: str) -> tuple[Rule, ...] | None:
        """Return the rules of the role that a binding in `namespace` refers to, None when it is absent."""
        return self._roles.get((namespace if kind == "Role" else "", name))

    def _consider(self, user: User, wish: Wish) -> _Answer:
        named: dict[str, str] = {}
        problems: list[str] = []
        for reason, rules in self._grants(user, wish.namespace, problems):
            for rule in rules:
                if not rule.concerns(wish):
                    continue
                if wish.path or not rule.names:
                    return _Answer(reason, named, "")
                for name in rule.names:
                    named.setdefault(name, reason)
        return _Answer("", named, f"RBAC: {_joined(problems)}" if problems else "")

    def _grants(
        self, user: User, namespace: str, problems: list[str]
    ) -> Iterator[tuple[str, tuple[Rule, ...]]]:
        """Yield reason and rules of each binding of the user; add what is amiss to `problems`."""
        keys = frozenset((("User", user.name), *(("Group", group) for group in user.groups)))
        for scope in ("", namespace) if namespace else ("",):
            inside = self._bound.get(scope, {})
            names = set().union(*(inside.get(key, ()) for key in keys))
            for binding in (self._bindings[scope, name] for name in sorted(names)):
                rules = self.rules_in(binding.role_kind, binding.role_name, scope)
                if rules is None:
                    kind = binding.role_kind.lower()
                    problems.append(f'{kind}.rbac.authorization.k8s.io "{binding.role_name}" not found')
                else:
                    yield binding.applies(keys), rules


def _subject(subject: Mapping[str, Any], namespace: str) -> _Subject:
    kind, name = str(subject.get("kind", "")), str(subject.get("name", ""))
    if kind != "ServiceAccount":
        return _Subject((kind, name), f"{kind} {json.dumps(name, ensure_ascii=False)}")
    home = str(subject.get("namespace") or namespace)
    return _Subject(("User", account_name(home, name)), f'{kind} "{name}/{home}"')


def _joined(problems: list[str]) -> str:
    distinct = list(dict.fromkeys(problems))
    return distinct[0] if len(distinct) == 1 else f"[{', '.join(distinct)}]" if distinct else ""
