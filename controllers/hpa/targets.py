"""What is scaled: from a reference by kind and name to a Scale (reference: hpa 4).

The version in the reference is ignored: group and kind are looked up by discovery, which is
remembered for half a minute. Guarantees: what comes from the reference is one path segment
each or refused; numbers of replicas are checked before they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from controllers.hpa.fetching import Fetcher
from controllers.hpa.queries import CUSTOM, CUSTOM_VERSIONS, Query
from controllers.hpa.values import MOST_REPLICAS
from kcm import KcmError, NotFound
from kcm.objects import Metadata, ResourceType, Spec
from kcm.objects.autoscalers import ScaleTargetRef

if TYPE_CHECKING:
    from kcm import Context, Key

DISCOVERY_SECONDS = 30.0
READ_FAILURES = (KcmError, TimeoutError, ValueError, RecursionError)

Discovered = TypeVar("Discovered", bound=Spec)


class Unreachable(Exception):
    """A target that cannot be found or read; its text is shown to people."""


class _Replicas(Spec, frozen=True):
    replicas: int = 0


class _ScaleStatus(Spec, frozen=True):
    replicas: int = 0
    selector: str = ""


class _Scale(Spec, frozen=True):
    metadata: Metadata = Metadata()
    spec: _Replicas = _Replicas()
    status: _ScaleStatus = _ScaleStatus()


class _Resource(Spec, frozen=True):
    name: str = ""
    kind: str = ""
    namespaced: bool = False


class _Resources(Spec, frozen=True):
    resources: tuple[_Resource, ...] = ()


class _Version(Spec, frozen=True):
    version: str = ""


class _Group(Spec, frozen=True):
    preferred_version: _Version = _Version()
    versions: tuple[_Version, ...] = ()


class Found(Spec, frozen=True):
    """A target's scale. `replicas` are wanted ones; `reported`, what its status says."""

    resource: ResourceType
    uid: str
    replicas: int
    reported: int
    selector: str


class Targets:
    """Looks targets up."""

    def __init__(self, fetcher: Fetcher, seconds: float) -> None:
        self._fetcher = fetcher
        self._seconds = seconds

    async def scale(self, ctx: Context, key: Key, reference: ScaleTargetRef) -> Found:
        """Return the scale of a target in the namespace of `key`; Unreachable says why there is none."""
        first: Unreachable | None = None
        for resource in await self.resources(ctx, reference):
            try:
                return await self._read(ctx, resource, key.namespace, reference.name)
            except Unreachable as error:
                first = first or error
        raise first or Unreachable(f"no resource of kind {reference.kind[:64]!r} is served")

    async def resources(self, ctx: Context, reference: ScaleTargetRef) -> tuple[ResourceType, ...]:
        """Return the resources that a kind of a group may mean; Unreachable when there are none."""
        group, slash, version = reference.api_version.partition("/")
        if not reference.kind or (slash and (not group or not version or "/" in version)):
            raise Unreachable(f"{reference.api_version[:64]!r}, {reference.kind[:64]!r} names no kind")
        group = group if slash else ""
        try:
            for version in await self._versions(ctx, group):
                found = await self._of_kind(ctx, group, version, reference.kind)
                if found:
                    return found
        except NotFound:
            pass
        except READ_FAILURES as error:
            raise Unreachable(f"discovery of {group or 'core'!r}: {told(error)}") from error
        raise Unreachable(f'no matches for kind "{reference.kind[:64]}" in group "{group[:64]}"')

    async def custom_version(self, ctx: Context) -> str:
        """Return the version of the custom metrics API to speak; Unreachable when there is none."""
        try:
            versions = await self._versions(ctx, CUSTOM)
        except READ_FAILURES as error:
            raise Unreachable(f"{CUSTOM}: {told(error)}") from error
        if versions[0] in CUSTOM_VERSIONS:
            return versions[0]
        for version in CUSTOM_VERSIONS:
            if version in versions:
                return version
        raise Unreachable(f"{CUSTOM} has no version that is known here")

    async def _versions(self, ctx: Context, group: str) -> tuple[str, ...]:
        """Return the versions of a group, the preferred one first."""
        if not group:
            return ("v1",)
        found = await self._discover(ctx, ("apis", group), _Group)
        preferred = found.preferred_version.version
        others = tuple(each.version for each in found.versions if each.version != preferred)
        return (preferred, *others) if preferred else others or ("",)

    async def _of_kind(self, ctx: Context, group: str, version: str, kind: str) -> tuple[ResourceType, ...]:
        path = ("apis", group, version) if group else ("api", version)
        found = await self._discover(ctx, path, _Resources)
        api = f"{group}/{version}" if group else version
        return tuple(
            ResourceType(api, kind, each.name, each.namespaced)
            for each in found.resources
            if each.kind == kind and "/" not in each.name
        )

    async def _discover(self, ctx: Context, path: tuple[str, ...], type_: type[Discovered]) -> Discovered:
        def read(query: Query, body: bytes) -> Discovered:
            return msgspec.json.decode(body, type=type_)

        return await self._fetcher.fetch(ctx, Query(path), read, fresh_for=DISCOVERY_SECONDS)

    async def _read(self, ctx: Context, resource: ResourceType, namespace: str, name: str) -> Found:
        root = ("apis", *resource.api.split("/")) if resource.group else ("api", resource.api)
        scope = ("namespaces", namespace) if resource.namespaced else ()
        try:
            body = await ctx.read(*root, *scope, resource.plural, name, "scale", seconds=self._seconds)
            scale = msgspec.json.decode(body, type=_Scale)
        except READ_FAILURES as error:
            raise Unreachable(f"{resource} {name[:253]!r}: {told(error)}") from error
        for number in (scale.spec.replicas, scale.status.replicas):
            if not 0 <= number <= MOST_REPLICAS:
                raise Unreachable(f"{resource} {name!r}: {number!r:.40} is no number of replicas")
        return Found(
            resource, scale.metadata.uid, scale.spec.replicas, scale.status.replicas, scale.status.selector
        )


def told(error: BaseException) -> str:
    """Return an error's text, one line, not empty."""
    return " ".join(str(error).split())[:500] or type(error).__name__
