"""Defaults of role bindings: the API group of the role and of users and groups."""

from __future__ import annotations

from kcm.sandbox.schema.defaults.parts import Json, items, part

GROUP = "rbac.authorization.k8s.io"


def default_binding(binding: Json) -> None:
    """Fill in a RoleBinding or ClusterRoleBinding."""
    reference = part(binding, "roleRef")
    reference["apiGroup"] = reference.get("apiGroup") or GROUP
    for subject in items(binding, "subjects"):
        if subject.get("kind") in ("User", "Group"):
            subject["apiGroup"] = subject.get("apiGroup") or GROUP


def default_role(role: Json) -> None:
    """Show that a role without rules has none, as the server does."""
    role.setdefault("rules", None)
