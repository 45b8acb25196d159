"""Every Namespace labelled `example.kcm.dev/team` has a ConfigMap `team` that names the team.

Level-triggered: it is created, corrected and removed by comparing what is with what should be.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kcm import Cache, Context, Controller, Done, Key, Plan, Result, primary, watches, writes
from kcm.objects import ConfigMap, Namespace, ObjectMeta

TEAM = "example.kcm.dev/team"
OURS = "example.kcm.dev/managed"


@dataclass(frozen=True)
class Seen:
    """What a decision is made from."""

    namespace: Namespace
    config_map: ConfigMap | None


def decide(seen: Seen) -> Plan:
    """Return the writes that are needed; pure, so that a test is a call."""
    if seen.namespace.metadata.deletion_timestamp:
        return Plan.nothing()
    name, present = seen.namespace.metadata.name, seen.config_map
    team = seen.namespace.metadata.labels.get(TEAM)
    if team is None:
        return Plan.delete(present, because="the label is gone") if present else Plan.nothing()
    if present is None:
        metadata = ObjectMeta(name="team", namespace=name, labels={OURS: "true"})
        return Plan.create(ConfigMap(metadata=metadata, data={"team": team}), because="there is none")
    if present.data.get("team") != team:
        return Plan.patch(present, {"data": {"team": team}}, because=f"the team is {team}")
    return Plan.nothing()


def namespace_of(config_map: ConfigMap) -> Iterable[Key]:
    """Return the key to look at when a ConfigMap changes."""
    return (Key("", config_map.metadata.namespace),)


class NamespaceTeamController(Controller[Namespace, Seen]):
    """Found through the entry point in pyproject.toml."""

    name = "namespace-team"
    watches = primary(Namespace), watches(ConfigMap, to=namespace_of, label_selector=f"{OURS}=true")
    writes = writes(ConfigMap, "create", "patch", "delete")

    def observe(self, cache: Cache, key: Key) -> Seen | None:
        namespace = cache.get(Namespace, key)
        return Seen(namespace, cache.get(ConfigMap, Key(key.name, "team"))) if namespace else None

    async def reconcile(self, ctx: Context, seen: Seen) -> Result:
        outcome = await ctx.apply(decide(seen))
        outcome.raise_failure()
        return Done()
