"""Ownership of replicas, as the scale subresource sees it.

A Scale knows its parent's entries only as far as they own the replicas, in its own version; what
a write to it leaves is carried back (reference: apiserver §7). An entry that came by a Scale has no
time, as on the real server.
"""

from __future__ import annotations

from kcm.sandbox.schema.apply.fieldsets import Path, difference, has, single
from kcm.sandbox.schema.apply.managers import UPDATE, Managed, field_set, managed

VERSION = "autoscaling/v1"
REPLICAS: Path = ("f:spec", "f:replicas")


def to_scale(present: Managed, path: Path) -> Managed:
    """Return the entries of a parent whose replicas are at `path`, as its Scale has them."""
    replicas = field_set(single(REPLICAS))
    return managed(
        entry._replace(api_version=VERSION, fields=replicas)
        for entry in present.entries
        if has(entry.fields.tree, path)
    )


def to_parent(present: Managed, scaled: Managed, api_version: str, path: Path) -> Managed:
    """Return the entries of a parent after its Scale has `scaled`."""
    fields = field_set(single(path))
    new = {(entry.manager, entry.operation, entry.subresource): entry for entry in scaled.entries}
    result = []
    for entry in present.entries:
        if not has(entry.fields.tree, path):
            result.append(entry)
        elif new.pop((entry.manager, entry.operation, entry.subresource), None) is not None:
            result.append(
                entry._replace(time="") if entry.fields is fields and entry.operation == UPDATE else entry
            )
        elif left := difference(entry.fields.tree, single(path)):
            result.append(entry._replace(fields=field_set(left)))
    result += [entry._replace(api_version=api_version, fields=fields, time="") for entry in new.values()]
    return managed(result)
