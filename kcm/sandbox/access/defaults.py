"""The roles and bindings that are there from the start, made from the list of what is served.

Guarantees: the names, labels and meaning that users of Kubernetes know: `view` reads a namespace but
no secrets and no roles, `edit` also writes what is no policy, `admin` also gives roles away, and all
three gather what other cluster roles with their labels add; `cluster-admin` is bound to
system:masters. Pure; what they contain follows from the resources, not from a list kept by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kcm.sandbox.access.rules import EVERY
from kcm.sandbox.access.users import AUTHENTICATED, MASTERS, UNAUTHENTICATED
from kcm.sandbox.schema.resources import ResourceInfo

Json = dict[str, Any]

GROUP = "rbac.authorization.k8s.io"
AGGREGATE = f"{GROUP}/aggregate-to-"
_AUTHENTICATION, _AUTHORIZATION = "authentication.k8s.io", "authorization.k8s.io"
_READ = ("get", "list", "watch")
_WRITE = ("create", "delete", "deletecollection", "patch", "update")
_HEALTH = ("/healthz", "/livez", "/readyz")
_VERSION = ("/version", "/version/")
_DISCOVERY = ("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*")
# What a reader of a namespace does not see: secrets open doors, and leases are the controllers' own.
_UNSEEN = frozenset(("secrets", "leases"))
# What is written by controllers on behalf of others only.
_UNWRITTEN = frozenset(("endpoints",))
_SEEN_PARTS = frozenset(("status", "scale"))


def default_roles(resources: Sequence[ResourceInfo]) -> list[Json]:
    """Return the ClusterRoles, those that gather others already filled in."""
    inside = [item for item in resources if item.namespaced and "list" in item.verbs and item.group != GROUP]
    view, edit, admin = _view_rules(inside), _edit_rules(inside), _admin_rules()
    return [
        _role("cluster-admin", [_on((EVERY,), (EVERY,), (EVERY,)), _at((EVERY,), (EVERY,))]),
        _role("system:discovery", [_at(("get",), (*_DISCOVERY, *_HEALTH, *_VERSION))]),
        _role("system:public-info-viewer", [_at(("get",), (*_HEALTH, *_VERSION))]),
        _role(
            "system:monitoring",
            [_at(("get",), ("/metrics", "/metrics/slis", *_HEALTH, *(f"{at}/*" for at in _HEALTH)))],
        ),
        _role(
            "system:basic-user",
            [
                _on(("create",), (_AUTHORIZATION,), ("selfsubjectaccessreviews", "selfsubjectrulesreviews")),
                _on(("create",), (_AUTHENTICATION,), ("selfsubjectreviews",)),
            ],
        ),
        _role("system:auth-delegator", _delegator_rules()),
        _role("system:aggregate-to-view", view, aggregated_to="view"),
        _role("system:aggregate-to-edit", edit, aggregated_to="edit"),
        _role("system:aggregate-to-admin", admin, aggregated_to="admin"),
        _gathering("view", view, aggregated_to="edit"),
        _gathering("edit", [*edit, *view], aggregated_to="admin"),
        _gathering("admin", [*edit, *view, *admin]),
    ]


def default_bindings() -> list[Json]:
    """Return the ClusterRoleBindings."""
    return [
        _binding("cluster-admin", MASTERS),
        _binding("system:discovery", AUTHENTICATED),
        _binding("system:basic-user", AUTHENTICATED),
        _binding("system:public-info-viewer", AUTHENTICATED, UNAUTHENTICATED),
        _binding("system:monitoring", "system:monitoring"),
    ]


def _view_rules(inside: Iterable[ResourceInfo]) -> list[Json]:
    seen: dict[str, list[str]] = {"": ["namespaces", "namespaces/status"]}
    for item in inside:
        if item.plural not in _UNSEEN:
            parts = [f"{item.plural}/{part}" for part in sorted(item.subresources & _SEEN_PARTS)]
            _add(seen, item.group, [item.plural, *parts])
    return [_on(_READ, (group,), resources) for group, resources in seen.items()]


def _edit_rules(inside: Iterable[ResourceInfo]) -> list[Json]:
    written: dict[str, list[str]] = {}
    for item in inside:
        if item.plural not in _UNWRITTEN:
            parts = [f"{item.plural}/scale"] if "scale" in item.subresources else []
            _add(written, item.group, [item.plural, *parts])
    return [
        *(_on(_WRITE, (group,), resources) for group, resources in written.items()),
        _on(_READ, ("",), ("secrets",)),
        _on(_READ, ("coordination.k8s.io",), ("leases",)),
        _on(("create",), ("",), ("pods/eviction", "serviceaccounts/token")),
        _on(("impersonate",), ("",), ("serviceaccounts",)),
    ]


def _admin_rules() -> list[Json]:
    return [
        _on(("create",), (_AUTHORIZATION,), ("localsubjectaccessreviews",)),
        _on((*_READ, *_WRITE), (GROUP,), ("roles", "rolebindings")),
    ]


def _delegator_rules() -> list[Json]:
    return [
        _on(("create",), (_AUTHENTICATION,), ("tokenreviews",)),
        _on(("create",), (_AUTHORIZATION,), ("subjectaccessreviews",)),
    ]


def _add(found: dict[str, list[str]], group: str, resources: Iterable[str]) -> None:
    inside = found.setdefault(group, [])
    inside += [one for one in resources if one not in inside]


def _on(verbs: Iterable[str], groups: Iterable[str], resources: Iterable[str]) -> Json:
    return {"verbs": list(verbs), "apiGroups": list(groups), "resources": list(resources)}


def _at(verbs: Iterable[str], urls: Iterable[str]) -> Json:
    return {"verbs": list(verbs), "nonResourceURLs": list(urls)}


def _role(name: str, rules: Sequence[Json], *, aggregated_to: str = "") -> Json:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRole",
        "metadata": _metadata(name, {f"{AGGREGATE}{aggregated_to}": "true"} if aggregated_to else {}),
        "rules": list(rules),
    }


def _gathering(name: str, rules: Sequence[Json], *, aggregated_to: str = "") -> Json:
    selector = {"matchLabels": {f"{AGGREGATE}{name}": "true"}}
    role = _role(name, gathered([rules]), aggregated_to=aggregated_to)
    return {**role, "aggregationRule": {"clusterRoleSelectors": [selector]}}


def gathered(roles: Iterable[Sequence[Json]]) -> list[Json]:
    """Return the rules of several roles, each rule once."""
    found: list[Json] = []
    for rules in roles:
        found += [rule for rule in rules if rule not in found]
    return found


def _binding(role: str, *groups: str) -> Json:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": _metadata(role, {}),
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "Group", "apiGroup": GROUP, "name": group} for group in groups],
    }


def _metadata(name: str, labels: dict[str, str]) -> Json:
    return {
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults", **labels},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    }
