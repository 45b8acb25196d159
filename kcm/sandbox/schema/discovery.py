"""What the sandbox says it serves, in the aggregated form and the plain one.

All documents follow from one list of resources, `RESOURCES` unless another is given, so that
a custom resource appears by being in the list. Guarantees: both forms say the same; each call
builds a new document. Does not choose between the forms: that is content negotiation
(reference: apiserver §1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kcm.sandbox.schema.resources import RESOURCES, ResourceInfo, subresource

Json = dict[str, Any]


def aggregated(core: bool, resources: Sequence[ResourceInfo] = RESOURCES) -> Json:
    """Return the APIGroupDiscoveryList v2 of `/api` (core) or `/apis`."""
    groups = [""] if core else _groups(resources)
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [_discovered_group(group, resources) for group in groups],
    }


def _groups(resources: Iterable[ResourceInfo]) -> list[str]:
    return list(dict.fromkeys(item.group for item in resources if item.group))


def _versions(group: str, resources: Iterable[ResourceInfo]) -> list[str]:
    return list(dict.fromkeys(item.version for item in resources if item.group == group))


def _members(group: str, version: str, resources: Iterable[ResourceInfo]) -> list[ResourceInfo]:
    members = [item for item in resources if (item.group, item.version) == (group, version)]
    return sorted(members, key=lambda item: item.plural)


def _discovered_group(group: str, resources: Sequence[ResourceInfo]) -> Json:
    return {
        "metadata": {"name": group} if group else {},
        "versions": [
            {
                "version": version,
                "resources": [_discovered(item) for item in _members(group, version, resources)],
                "freshness": "Current",
            }
            for version in _versions(group, resources)
        ],
    }


def _discovered(item: ResourceInfo) -> Json:
    found: Json = {
        "resource": item.plural,
        "responseKind": {"group": item.group, "version": item.version, "kind": item.kind},
        "scope": "Namespaced" if item.namespaced else "Cluster",
        "singularResource": item.singular,
        "verbs": list(item.verbs),
    }
    if item.short_names:
        found["shortNames"] = list(item.short_names)
    if item.categories:
        found["categories"] = list(item.categories)
    if item.subresources:
        found["subresources"] = [_discovered_subresource(item, name) for name in sorted(item.subresources)]
    return found


def _discovered_subresource(item: ResourceInfo, name: str) -> Json:
    sub = subresource(item, name)
    return {
        "subresource": name,
        "responseKind": {"group": sub.group, "version": sub.version, "kind": sub.kind},
        "verbs": list(sub.verbs),
    }


def api_versions() -> Json:
    """Return the plain document of `/api`."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}],
    }


def group_list(resources: Sequence[ResourceInfo] = RESOURCES) -> Json:
    """Return the plain document of `/apis`."""
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_plain_group(name, resources) for name in _groups(resources)],
    }


def group(name: str, resources: Sequence[ResourceInfo] = RESOURCES) -> Json | None:
    """Return the plain document of `/apis/<name>`, None when there is no such group."""
    if not name or name not in _groups(resources):
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_plain_group(name, resources)}


def _plain_group(name: str, resources: Sequence[ResourceInfo]) -> Json:
    versions = [
        {"groupVersion": f"{name}/{version}", "version": version} for version in _versions(name, resources)
    ]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def resource_list(group: str, version: str, resources: Sequence[ResourceInfo] = RESOURCES) -> Json | None:
    """Return the plain document of one group-version, None when it is not served."""
    members = _members(group, version, resources)
    if not members:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": members[0].api_version,
        "resources": [entry for item in members for entry in _plain_entries(item)],
    }


def _plain_entries(item: ResourceInfo) -> list[Json]:
    entry: Json = {
        "name": item.plural,
        "singularName": item.singular,
        "namespaced": item.namespaced,
        "kind": item.kind,
        "verbs": list(item.verbs),
    }
    if item.short_names:
        entry["shortNames"] = list(item.short_names)
    if item.categories:
        entry["categories"] = list(item.categories)
    return [entry, *(_plain_subresource(item, name) for name in sorted(item.subresources))]


def _plain_subresource(item: ResourceInfo, name: str) -> Json:
    sub = subresource(item, name)
    entry: Json = {
        "name": f"{item.plural}/{name}",
        "singularName": "",
        "namespaced": item.namespaced,
        "kind": sub.kind,
        "verbs": list(sub.verbs),
    }
    if (sub.group, sub.version) != (item.group, item.version):
        entry["group"], entry["version"] = sub.group, sub.version
    return entry
