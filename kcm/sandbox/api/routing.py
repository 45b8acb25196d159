"""From a URL path to what is asked for.

`parse` knows the shapes of Kubernetes paths and asks the registry what is served; anything else is
None and becomes a 404. Trailing slashes are accepted. Owns no state.
"""

from __future__ import annotations

from dataclasses import dataclass

from kcm.sandbox.schema.registry import Registry
from kcm.sandbox.schema.resources import ResourceInfo


@dataclass(frozen=True, slots=True)
class Route:
    """A collection (`name` is ""), an object, or a subresource of it."""

    resource: ResourceInfo
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    watching: bool = False


def parse(path: str, registry: Registry) -> Route | None:
    """Return the resource route of a path, or None when no resource is served there."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    # The old way to ask for a watch; of one object it is asked for by a field selector now.
    watching = rest[0] == "watch" and len(rest) > 1
    if watching:
        rest = rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and not _of_namespace(group, rest):
        namespace, rest = rest[1], rest[2:]
    resource = registry.find(group, version, rest[0])
    if resource is None or len(rest) > 3 or (namespace and not resource.namespaced):
        return None
    name = rest[1] if len(rest) > 1 else ""
    if resource.namespaced and name and not namespace:
        return None
    if watching and name:
        return None
    return Route(resource, namespace, name, rest[2] if len(rest) > 2 else "", watching)


def _of_namespace(group: str, rest: list[str]) -> bool:
    """Say whether `/namespaces/x/status` and `/finalize` mean the Namespace itself."""
    return not group and len(rest) == 3 and rest[2] in ("status", "finalize")
