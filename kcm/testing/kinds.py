"""From the name of a kind to its path, by the server's own discovery.

`Kinds.find` takes "Pod", "pods" or "apps/v1/Deployment" (for kinds whose name is not enough), and
knows custom resources as soon as the server serves them. Guarantees that a name that is not
served raises LookupError with what to write instead. Keeps what it has found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# Where a short name means several kinds, the version people mean.
_PREFERRED = ("v1", "apps/v1", "batch/v1", "autoscaling/v2", "coordination.k8s.io/v1")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind at one group-version."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool

    def path(self, namespace: str) -> str:
        """Return the path of its collection in a namespace, or of all when that is ""."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        inside = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        return f"{root}{inside}/{self.plural}"


class Kinds:
    """All kinds that a server serves, asked for by `request(method, path)`."""

    def __init__(self, request: Callable[[str, str], Any]) -> None:
        self._request = request
        self._known: dict[str, Kind] = {}

    def find(self, name: str) -> Kind:
        """Return the kind of that name; LookupError when the server has none."""
        found = self._known.get(name)
        if found is None:
            # Not known yet, or served since the last look.
            self._look()
            found = self._known.get(name)
        if found is None:
            raise LookupError(
                f'the API server serves no kind "{name}": write it like "Pod", "pods" or "apps/v1/Deployment"'
            )
        return found

    def _look(self) -> None:
        groups = self._request("GET", "/apis")["groups"]
        served = ["v1", *(each["groupVersion"] for group in groups for each in group["versions"])]
        served.sort(key=lambda version: _PREFERRED.index(version) if version in _PREFERRED else 99)
        for version in served:
            root = f"/apis/{version}" if "/" in version else f"/api/{version}"
            for each in self._request("GET", root)["resources"]:
                if "/" in each["name"]:
                    continue
                kind = Kind(version, each["kind"], each["name"], each["namespaced"])
                self._known[f"{version}/{kind.kind}"] = kind
                self._known[f"{version}/{kind.plural}"] = kind
                self._known.setdefault(kind.kind, kind)
                self._known.setdefault(kind.plural, kind)
