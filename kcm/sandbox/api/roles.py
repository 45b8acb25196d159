"""Cluster roles that gather the rules of others by label.

`RoleGatherer` stands in for the controller of a real cluster: after each write of a ClusterRole, those
with an aggregationRule get the rules of all that their selectors name, in the order of their
names, each rule once. `furnish` makes the default roles and bindings. Writes through `Writer`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kcm.objects.selectors import LabelSelector, compile_selector
from kcm.sandbox.access.defaults import GROUP, default_bindings, default_roles, gathered
from kcm.sandbox.api.background import Pending
from kcm.sandbox.api.calls import Call
from kcm.sandbox.api.errors import ApiFailure, Json
from kcm.sandbox.api.history import Event
from kcm.sandbox.api.records import Record
from kcm.sandbox.api.store import Collection, Store
from kcm.sandbox.api.writes import Writer
from kcm.sandbox.schema.resources import RESOURCES, ResourceInfo, find

AGENT = "kcm-sandbox/clusterrole-aggregation-controller"


class RoleGatherer:
    """Keeps gathering roles up to date."""

    def __init__(self, store: Store, writer: Writer) -> None:
        self._roles = store.collection(GROUP, "clusterroles")
        self._writer = writer
        self._pending: Pending[str] = Pending()
        store.listeners.append(self._heard)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._pending.take()
            for record in self._roles.ordered():
                # Most roles gather nothing, and are not decoded to find that out.
                if b'"aggregationRule"' in record.raw:
                    self._gather(record)

    def _heard(self, collection: Collection, event: Event) -> None:
        # Its own writes count too: roles may gather roles that gather.
        if collection is self._roles:
            self._pending.add("all")

    def _gather(self, record: Record) -> None:
        role = record.copy()
        selectors = (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ()
        found: list[list[Json]] = []
        for selector in selectors:
            matches = compile_selector(msgspec.convert(selector, LabelSelector)).matches
            found += [
                one.copy().get("rules") or []
                for one in self._roles.ordered()
                if one.name != record.name and matches(one.labels)
            ]
        rules = gathered(found)
        if rules == (role.get("rules") or []):
            return

        def change(obj: Json) -> Json:
            return {**obj, "rules": rules}

        call = Call(_resource("clusterroles"), "patch", "", record.name, agent=AGENT, validation="Ignore")
        try:
            self._writer.replace(call, change)
        except ApiFailure:
            # Gone meanwhile.
            return


def furnish(writer: Writer, agent: str) -> None:
    """Create the default roles and bindings, as far as they are not there."""
    for plural, objects in (
        ("clusterroles", default_roles(RESOURCES)),
        ("clusterrolebindings", default_bindings()),
    ):
        info = _resource(plural)
        present = writer.collection(info).records
        for obj in objects:
            if f"/{obj['metadata']['name']}" not in present:
                writer.create(Call(info, "create", agent=agent, validation="Ignore"), obj)


def _resource(plural: str) -> ResourceInfo:
    info: Any = find(GROUP, "v1", plural)
    assert isinstance(info, ResourceInfo)
    return info
