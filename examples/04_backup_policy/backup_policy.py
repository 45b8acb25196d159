"""Render one ConfigMap per BackupPolicy: the smallest controller with a type of its own."""

from __future__ import annotations

from dataclasses import dataclass

from kcm import Cache, Context, Controller, Done, Key, Plan, Result, owns, primary
from kcm.objects import ConfigMap, ObjectMeta, Resource, Spec, owned_by


class PolicySpec(Spec, frozen=True):
    """When to make backups, and how many to keep."""

    schedule: str
    keep: int = 7


class BackupPolicy(Resource[PolicySpec], frozen=True, kw_only=True):
    """A policy for backups."""

    api, kind, plural = "demo.dev/v1", "BackupPolicy", "backuppolicies"

    metadata: ObjectMeta
    spec: PolicySpec


@dataclass(frozen=True)
class Seen:
    """What a decision is made from."""

    policy: BackupPolicy
    rendered: ConfigMap | None


def decide(seen: Seen) -> Plan:
    """Return the write that is needed, if one is."""
    wanted = {"schedule": seen.policy.spec.schedule, "keep": str(seen.policy.spec.keep)}
    if seen.rendered is None:
        new = ConfigMap(metadata=owned_by(seen.policy), data=wanted)
        return Plan.create(new, because="no ConfigMap yet")
    if seen.rendered.data != wanted:
        # null removes what somebody has added: a merge patch would leave it.
        surplus = dict.fromkeys(seen.rendered.data.keys() - wanted.keys())
        return Plan.patch(seen.rendered, {"data": {**surplus, **wanted}}, because="it differs")
    return Plan.nothing()


class BackupPolicyController(Controller[BackupPolicy, Seen]):
    """One ConfigMap of the policy's name, which goes with the policy."""

    name = "backup-policy"
    watches = primary(BackupPolicy), owns(ConfigMap)

    def observe(self, cache: Cache, key: Key) -> Seen | None:
        policy = cache.get(BackupPolicy, key)
        return Seen(policy, cache.get(ConfigMap, key)) if policy else None

    async def reconcile(self, ctx: Context, seen: Seen) -> Result:
        (await ctx.apply(decide(seen))).raise_failure()
        return Done()
