"""The tables of role bindings; roles have no columns of their own."""

from __future__ import annotations

from datetime import datetime

from kcm.sandbox.schema.tables.columns import (
    AGE,
    NAME,
    Json,
    Printer,
    age_of,
    column,
    items,
    name_of,
    part,
    text,
    wide,
)


def _binding(obj: Json, now: datetime) -> list[object]:
    role = part(obj, "roleRef")
    subjects = items(obj, "subjects")
    return [
        name_of(obj),
        f"{text(role, 'kind')}/{text(role, 'name')}",
        age_of(obj, now),
        *(_named(subjects, kind) for kind in ("User", "Group", "ServiceAccount")),
    ]


def _named(subjects: list[Json], kind: str) -> str:
    found = [one for one in subjects if text(one, "kind") == kind]
    homes = [f"{text(one, 'namespace')}/" if text(one, "namespace") else "" for one in found]
    return ", ".join(home + text(one, "name") for home, one in zip(homes, found, strict=True))


BINDINGS = Printer(
    (NAME, column("Role"), AGE, wide("Users"), wide("Groups"), wide("ServiceAccounts")),
    _binding,
)
