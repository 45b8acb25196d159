"""The RBAC rules that a controller needs, from what it declares.

`rights_of` reads `watches` and `writes` (or what the watches imply); `roles` makes Kubernetes objects of
it. Guarantees: the same class gives the same rules, in a stable order; nothing is granted that is not
declared, but for
what the runtime itself needs: `get` on what is watched (`ctx.live`; it tells nothing that `list`
does not), `get` on what is created (to recognise its own object after an answer that was lost), and
`update` on the primary's finalizers where it owns objects (an admission plugin asks for it). What
is watched in one namespace only becomes a Role there. Events are written by the event recorder, with
its own role. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from kcm.objects.resource import ResourceType
from kcm.runtime.controller import Controller
from kcm.runtime.grants import Grant, grants_of
from kcm.runtime.watches import Watch

Json = dict[str, Any]

READS = ("get", "list", "watch")
_ORDER = (*READS, "create", "update", "patch", "delete")
# What a plan's action asks of the server, beside the resource itself: (subresource, verbs).
_ASKED: dict[str, tuple[str, tuple[str, ...]]] = {
    "create": ("", ("get", "create")),
    "patch": ("", ("patch",)),
    # To apply what is not there yet is to create it.
    "apply": ("", ("create", "patch")),
    "delete": ("", ("delete",)),
    "status": ("status", ("patch",)),
    "scale": ("scale", ("patch",)),
    # They are changed with the object itself.
    "finalizers": ("", ("patch",)),
}


class Right(NamedTuple):
    """What may be done to one resource in a namespace ("" for all); `resource` with its subresource."""

    namespace: str
    group: str
    resource: str
    verb: str


def rights_of(controller: type[Controller[Any, Any]]) -> frozenset[Right]:
    """Return every right that a controller needs."""
    return frozenset(_all_rights(controller))


def roles(
    controllers: Iterable[type[Controller[Any, Any]]], name: str, account: str, namespace: str
) -> list[Json]:
    """Return ClusterRole and Roles called `name`, each with its binding to a service account."""
    rights = frozenset(right for controller in controllers for right in rights_of(controller))
    made: list[Json] = []
    for where in sorted({right.namespace for right in rights}):
        kind = "Role" if where else "ClusterRole"
        metadata = {"name": name, **({"namespace": where} if where else {})}
        rules = list(_rules(right for right in rights if right.namespace == where))
        made.append(
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": rules}
        )
        made.append(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": f"{kind}Binding",
                "metadata": metadata,
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
            }
        )
    return made


def _all_rights(controller: type[Controller[Any, Any]]) -> Iterator[Right]:
    for watch in controller.watches:
        if watch.discovers is not None:
            yield from (Right("", "*", "*", verb) for verb in READS)
            continue
        resource = watch.type.resource_type()
        yield from (Right(watch.namespace, resource.group, resource.plural, verb) for verb in READS)
        if watch.role == "primary" and any(each.role == "owned" for each in controller.watches):
            yield Right(watch.namespace, resource.group, f"{resource.plural}/finalizers", "update")
    for grant in grants_of(controller.writes, controller.watches):
        where = _namespace_of(grant.resource, controller.watches)
        yield from (Right(where, *asked) for asked in _asked(grant))


def _asked(grant: Grant) -> Iterator[tuple[str, str, str]]:
    for verb in grant.verbs:
        subresource, verbs = _ASKED[verb]
        name = f"{grant.resource.plural}/{subresource}" if subresource else grant.resource.plural
        yield from ((grant.resource.group, name, each) for each in verbs)


def _namespace_of(resource: ResourceType, watches: Iterable[Watch]) -> str:
    """Return the namespace that all watches of a resource are restricted to, "" if they are not."""
    seen = {watch.namespace for watch in watches if watch.type.resource_type() == resource}
    return seen.pop() if len(seen) == 1 else ""


def _rules(rights: Iterable[Right]) -> Iterator[Json]:
    """Yield rules: resources of one group with the same verbs share one."""
    verbs: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for right in rights:
        verbs[right.group, right.resource].add(right.verb)
    shared: defaultdict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (group, resource), own in sorted(verbs.items()):
        shared[group, tuple(sorted(own, key=_ORDER.index))].append(resource)
    for (group, own_verbs), resources in shared.items():
        yield {"apiGroups": [group], "resources": resources, "verbs": list(own_verbs)}
