"""Two workers and a rate limit: whoever is in the group `trial` may edit what is in trial namespaces.

`workers` bounds how many namespaces are looked at side by side, `rate` how many requests the controller
sends: on average two a second, at most four at once. Both can be set in the configuration file
(`controllers.trial-access.workers`, `.qps`, `.burst`), which then wins; where nobody is limited
(`client.qps: 0`, as in the sandbox), the class's own rate does not hold either.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kcm import Cache, Context, Controller, Done, Key, Plan, Rate, Result, primary, watches, writes
from kcm.objects import Namespace, ObjectMeta, Resource, Spec

TRIAL = "example.kcm.dev/trial"
NAME = "trial"
RBAC = "rbac.authorization.k8s.io"


class Reference(Spec, frozen=True):
    """A role, or who has it."""

    api_group: str
    kind: str
    name: str


class RoleBinding(Resource[None], frozen=True, kw_only=True):
    """A role binding. It has no spec."""

    api, kind, plural = f"{RBAC}/v1", "RoleBinding", "rolebindings"

    metadata: ObjectMeta
    spec: None = None
    role_ref: Reference
    subjects: tuple[Reference, ...] = ()


EDIT = Reference(RBAC, "ClusterRole", "edit")
TRIERS = (Reference(RBAC, "Group", "trial"),)


@dataclass(frozen=True)
class Seen:
    """What a decision is made from."""

    namespace: Namespace
    binding: RoleBinding | None


def decide(seen: Seen) -> Plan:
    """Return the write that is needed, if one is."""
    if seen.namespace.metadata.deletion_timestamp:
        return Plan.nothing()
    if seen.binding is None:
        metadata = ObjectMeta(name=NAME, namespace=seen.namespace.metadata.name)
        new = RoleBinding(metadata=metadata, role_ref=EDIT, subjects=TRIERS)
        return Plan.create(new, because="there is none")
    if seen.binding.subjects != TRIERS:
        return Plan.patch(seen.binding, {"subjects": TRIERS}, because="it was changed")
    return Plan.nothing()


def namespace_of(binding: RoleBinding) -> Iterable[Key]:
    """Return the key to look at when a binding changes."""
    return (Key("", binding.metadata.namespace),)


class TrialAccess(Controller[Namespace, Seen]):
    """Keeps one role binding per namespace with the label."""

    name = "trial-access"
    watches = (
        primary(Namespace, label_selector=f"{TRIAL}=true"),
        watches(RoleBinding, to=namespace_of, field_selector=f"metadata.name={NAME}"),
    )
    writes = (writes(RoleBinding, "create", "patch"),)
    workers = 2
    rate = Rate(qps=2, burst=4)

    def observe(self, cache: Cache, key: Key) -> Seen | None:
        namespace = cache.get(Namespace, key)
        return Seen(namespace, cache.get(RoleBinding, Key(key.name, NAME))) if namespace else None

    async def reconcile(self, ctx: Context, seen: Seen) -> Result:
        (await ctx.apply(decide(seen))).raise_failure()
        return Done()
