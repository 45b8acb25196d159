"""A Network for each Deployment that asks for one, beside what other controllers do with Deployments.

The annotation `samplecrd.k8s.io/cidr` asks. The Network belongs to the Deployment: it goes with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from network import Network, NetworkSpec

from kcm import Cache, Context, Controller, Done, Key, Plan, Result, owned, owns, primary, writes
from kcm.objects import ObjectMeta, Resource, Spec, owned_by

CIDR = "samplecrd.k8s.io/cidr"


class Asking(Resource[Spec], frozen=True, kw_only=True):
    """A Deployment, as far as this controller reads it: the rest is dropped as it arrives."""

    api, kind, plural = "apps/v1", "Deployment", "deployments"

    metadata: ObjectMeta
    spec: Spec = Spec()


@dataclass(frozen=True)
class Seen:
    """What a decision is made from."""

    deployment: Asking
    networks: tuple[Network, ...]


def decide(seen: Seen) -> Plan:
    """Return the writes that are needed."""
    if seen.deployment.metadata.deletion_timestamp:
        return Plan.nothing()
    cidr = seen.deployment.metadata.annotations.get(CIDR)
    present = next(iter(seen.networks), None)
    if present is None:
        if cidr is None:
            return Plan.nothing()
        new = Network(metadata=owned_by(seen.deployment), spec=NetworkSpec(cidr=cidr))
        return Plan.create(new, because="the Deployment asks for it")
    if cidr is None:
        return Plan.delete(present, because="the Deployment does not ask for it any more")
    if present.spec.cidr != cidr:
        return Plan.patch(present, {"spec": {"cidr": cidr}}, because="it asks for another range")
    return Plan.nothing()


class DeploymentNetworkController(Controller[Asking, Seen]):
    """Makes Networks; what becomes of them outside is the other controller's business."""

    name = "deployment-network"
    watches = primary(Asking), owns(Network)
    writes = (writes(Network, "create", "patch", "delete"),)

    def observe(self, cache: Cache, key: Key) -> Seen | None:
        deployment = cache.get(Asking, key)
        return Seen(deployment, owned(cache, Network, deployment)) if deployment else None

    async def reconcile(self, ctx: Context, seen: Seen) -> Result:
        (await ctx.apply(decide(seen))).raise_failure()
        return Done()
