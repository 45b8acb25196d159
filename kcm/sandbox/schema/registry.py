"""What one server serves now: the built-in resources, and custom ones as they come and go.

A `Registry` belongs to one `ApiServer`; routes, discovery, OpenAPI and the built-in controllers ask
it and nobody else. Guarantees: a resource is found from the moment `put` returns until `drop` does;
`resources` is in the order of discovery (built-in groups first, then custom groups by name, versions
by precedence), and is a new tuple after each change, so it may be kept and compared. Not here:
whether names are free, which is for the life of CustomResourceDefinitions to decide.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kcm.sandbox.schema.resources import RESOURCES, ResourceInfo

_VERSION = re.compile(r"v(?P<major>[1-9]\d{0,8})(?:(?P<stage>alpha|beta)(?P<minor>[1-9]\d{0,8}))?")
_STAGES = {None: 0, "beta": 1, "alpha": 2}


def precedence(version: str) -> tuple[int, int, int, int, str]:
    """Return a key that sorts versions as discovery does: v10, v2, v1, v3beta1, v1alpha1, then others."""
    found = _VERSION.fullmatch(version)
    if found is None:
        return (1, 0, 0, 0, version)
    return (0, _STAGES[found["stage"]], -int(found["major"]), -int(found["minor"] or 0), version)


class Registry:
    """The resources of one server. The server's CustomResourceDefinitions are its only writer."""

    def __init__(self, builtin: Sequence[ResourceInfo] = RESOURCES) -> None:
        self._builtin = tuple(builtin)
        self._custom: dict[tuple[str, str], tuple[ResourceInfo, ...]] = {}
        self._stored: dict[tuple[str, str], ResourceInfo] = {}
        self.resources: tuple[ResourceInfo, ...] = ()
        self._by_route: dict[tuple[str, str, str], ResourceInfo] = {}
        self._by_kind: dict[tuple[str, str], ResourceInfo] = {}
        for item in self._builtin:
            self._stored.setdefault((item.group, item.plural), item)
        self._arrange()

    def put(self, served: Sequence[ResourceInfo], stored: ResourceInfo) -> None:
        """Serve a custom resource in these versions, stored in one that need not be served.

        Takes the place of what was served under the same group and plural.
        """
        key = (stored.group, stored.plural)
        self._custom[key] = tuple(served)
        self._stored[key] = stored
        self._arrange()

    def drop(self, group: str, plural: str) -> None:
        """Serve a custom resource no more."""
        if self._custom.pop((group, plural), None) is not None:
            del self._stored[(group, plural)]
            self._arrange()

    def find(self, group: str, version: str, plural: str) -> ResourceInfo | None:
        """Return the resource at that route, if it is served."""
        return self._by_route.get((group, version, plural))

    def find_kind(self, api_version: str, kind: str) -> ResourceInfo | None:
        """Return the resource of that kind, if it is served."""
        return self._by_kind.get((api_version, kind))

    def stored(self, group: str, plural: str) -> ResourceInfo | None:
        """Return the resource, in the version it is stored in, whose objects have this group and plural."""
        return self._stored.get((group, plural))

    def _arrange(self) -> None:
        custom = [item for items in self._custom.values() for item in items]
        custom.sort(key=lambda item: (item.group, precedence(item.version), item.plural))
        self.resources = (*self._builtin, *custom)
        self._by_route = {(item.group, item.version, item.plural): item for item in self.resources}
        self._by_kind = {(item.api_version, item.kind): item for item in self.resources}
