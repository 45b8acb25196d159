"""Which resources a server has, asked in two requests.

`discover` reads aggregated discovery (/api and /apis), or on servers that do not know it each
group-version's own list. Guarantees: a group-version that cannot be told (its server is away)
is named in `failed` and spoils nothing else; what cannot be a resource's name is left out;
subresources are no resources. `select` picks what a filter asks for, each resource in the
version that the server prefers. Holds no state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from kcm.base.errors import KcmError
from kcm.client.api import ApiClient
from kcm.client.errors import ApiError
from kcm.client.paths import segment
from kcm.objects.resource import ResourceType

_AGGREGATED = ",".join(
    (
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        "application/json",
    )
)
_LONGEST_NAME = 253
MOST_RESOURCES = 5000


class Served(msgspec.Struct, frozen=True):
    """One resource in one version. `rank` 0: its group has no version that the server prefers to it."""

    resource: ResourceType
    verbs: tuple[str, ...]
    rank: int = 0


class Discovery(msgspec.Struct, frozen=True):
    """What a server has. `failed`: the group-versions ("apps/v1") that it could not tell about."""

    served: tuple[Served, ...] = ()
    failed: tuple[str, ...] = ()

    def after(self, before: Discovery) -> Discovery:
        """Return this, with what was known `before` of the group-versions that failed now."""
        kept = tuple(each for each in before.served if each.resource.api in self.failed)
        return Discovery(self.served + kept, self.failed)


class ResourceFilter(msgspec.Struct, frozen=True):
    """Which resources are wanted: those with all `verbs`, but not those `excluded`.

    An excluded one is named as "events", "events.events.k8s.io", or, for a whole group, "*.metrics.k8s.io".
    """

    verbs: tuple[str, ...] = ("list", "watch", "delete")
    excluded: tuple[str, ...] = ()

    def takes(self, served: Served) -> bool:
        """Say whether a resource is wanted."""
        resource = served.resource
        if str(resource) in self.excluded or f"*.{resource.group}" in self.excluded:
            return False
        return all(verb in served.verbs for verb in self.verbs)


def select(served: Iterable[Served], wanted: ResourceFilter) -> tuple[ResourceType, ...]:
    """Return the resources that a filter takes, each once, in its most preferred version."""
    best: dict[tuple[str, str], Served] = {}
    for each in served:
        if not wanted.takes(each):
            continue
        name = (each.resource.group, each.resource.plural)
        if name not in best or each.rank < best[name].rank:
            best[name] = each
    return tuple(sorted((each.resource for each in best.values()), key=lambda one: (one.api, one.plural)))


class _Kind(msgspec.Struct, frozen=True):
    kind: str = ""


class _Resource(msgspec.Struct, frozen=True, rename="camel"):
    resource: str = ""
    response_kind: _Kind | None = None
    scope: str = ""
    verbs: tuple[str, ...] | None = None


class _Version(msgspec.Struct, frozen=True):
    version: str = ""
    freshness: str = ""
    resources: tuple[_Resource, ...] | None = None


class _Name(msgspec.Struct, frozen=True):
    name: str = ""


class _Group(msgspec.Struct, frozen=True):
    metadata: _Name = _Name()
    versions: tuple[_Version, ...] | None = None


class _Aggregated(msgspec.Struct, frozen=True):
    kind: str = ""
    items: tuple[_Group, ...] | None = None


class _OldVersion(msgspec.Struct, frozen=True):
    version: str = ""


class _OldGroup(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    versions: tuple[_OldVersion, ...] | None = None
    preferred_version: _OldVersion | None = None


class _OldGroups(msgspec.Struct, frozen=True):
    groups: tuple[_OldGroup, ...] | None = None


class _OldResource(msgspec.Struct, frozen=True):
    name: str = ""
    kind: str = ""
    namespaced: bool = False
    verbs: tuple[str, ...] | None = None


class _OldResources(msgspec.Struct, frozen=True):
    resources: tuple[_OldResource, ...] | None = None


async def discover(client: ApiClient) -> Discovery:
    """Return what the server has. ApiError, TransportError or ValueError when it tells nothing at all."""
    core = await client.get_path("/api", _AGGREGATED)
    if _is_aggregated(core):
        groups = await client.get_path("/apis", _AGGREGATED)
        return _read_aggregated((core, groups))
    return await _discover_one_by_one(client)


def _is_aggregated(body: bytes) -> bool:
    return msgspec.json.decode(body, type=_Aggregated).kind == "APIGroupDiscoveryList"


def _read_aggregated(bodies: Iterable[bytes]) -> Discovery:
    served: list[Served] = []
    failed: list[str] = []
    for body in bodies:
        for group in msgspec.json.decode(body, type=_Aggregated).items or ():
            for rank, version in enumerate(group.versions or ()):
                api = _api(group.metadata.name, version.version)
                if version.freshness == "Stale":
                    failed.append(api)
                    continue
                found = (
                    _served(api, each.resource, each.response_kind, each.scope == "Namespaced", each.verbs)
                    for each in version.resources or ()
                )
                served.extend(_ranked(found, rank))
    return Discovery(tuple(served[:MOST_RESOURCES]), tuple(failed))


async def _discover_one_by_one(client: ApiClient) -> Discovery:
    """Ask for each group-version by itself."""
    listed = msgspec.json.decode(await client.get_path("/apis"), type=_OldGroups)
    served: list[Served] = []
    failed: list[str] = []
    for api, rank in (("v1", 0), *_old_versions(listed.groups or ())):
        try:
            body = await client.get_path(f"/apis/{api}" if "/" in api else f"/api/{api}")
            resources = msgspec.json.decode(body, type=_OldResources).resources or ()
        except (ApiError, ValueError):
            failed.append(api)
            continue
        found = (_served(api, each.name, _Kind(each.kind), each.namespaced, each.verbs) for each in resources)
        served.extend(_ranked(found, rank))
    return Discovery(tuple(served[:MOST_RESOURCES]), tuple(failed))


def _old_versions(groups: Iterable[_OldGroup]) -> Iterator[tuple[str, int]]:
    for group in groups:
        preferred = group.preferred_version.version if group.preferred_version is not None else ""
        for number, each in enumerate(group.versions or ()):
            api = _api(group.name, each.version)
            if all(map(_is_name, api.split("/"))):
                yield api, 0 if each.version == preferred else number + 1


def _served(
    api: str, plural: str, kind: _Kind | None, namespaced: bool, verbs: tuple[str, ...] | None
) -> Served | None:
    """Return a resource if it is one; None for a subresource and for what nobody could ask for."""
    names = (*api.split("/"), plural)
    if kind is None or not kind.kind or len(kind.kind) > _LONGEST_NAME or not all(map(_is_name, names)):
        return None
    return Served(ResourceType(api, kind.kind, plural, namespaced), verbs or ())


def _ranked(found: Iterable[Served | None], rank: int) -> Iterator[Served]:
    for each in found:
        if each is not None:
            yield msgspec.structs.replace(each, rank=rank)


def _api(group: str, version: str) -> str:
    return f"{group}/{version}" if group else version


def _is_name(text: str) -> bool:
    try:
        return len(text) <= _LONGEST_NAME and segment(text) == text
    except KcmError:
        return False
