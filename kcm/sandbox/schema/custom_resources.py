"""From an accepted CustomResourceDefinition to the resources that it makes.

`resources_of` reads a definition once; what is served then is asked of the `ResourceInfo`s and their
shapes alone. Pure. Takes for granted that the definition passed its rules
(`kcm.sandbox.schema.custom.definition_rules`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kcm.sandbox.schema.custom.columns import printer_of
from kcm.sandbox.schema.custom.scale import ScalePaths
from kcm.sandbox.schema.custom.shape import CustomShape
from kcm.sandbox.schema.custom.structural import read_schema
from kcm.sandbox.schema.resources import ResourceInfo

Json = dict[str, Any]


def resources_of(crd: Json, *, fresh: bool) -> tuple[tuple[ResourceInfo, ...], ResourceInfo]:
    """Return the served versions of an accepted definition, and the one that is stored.

    `fresh`: no object is stored yet, so that all will have been written by this definition.
    """
    spec, status = crd["spec"], crd.get("status") or {}
    versions = spec["versions"]
    storage = next(one for one in versions if one.get("storage"))
    stored_schema = read_schema(_source(storage))
    names = {**spec["names"], **(status.get("acceptedNames") or {})}
    terminating = any(
        one.get("type") == "Terminating" and one.get("status") == "True"
        for one in status.get("conditions") or ()
    )
    served: list[ResourceInfo] = []
    stored: ResourceInfo | None = None
    for version in versions:
        own = version is storage
        shape = CustomShape(
            definition=crd["metadata"]["name"],
            source=_source(version),
            schema=stored_schema if own else read_schema(_source(version)),
            stored=stored_schema,
            stored_version=f"{spec['group']}/{storage['name']}",
            printer=printer_of(version.get("additionalPrinterColumns") or ()),
            has_status="status" in (version.get("subresources") or {}),
            scale=_scale(version),
            selectable=_selectable(version),
            warnings=_warnings(spec, version),
            verbatim=own and fresh,
            ending=terminating,
        )
        info = _resource(spec, names, version, shape)
        if version.get("served"):
            served.append(info)
        if own:
            stored = info
    assert stored is not None
    return tuple(served), stored


def _source(version: Json) -> Mapping[str, Any]:
    source: Mapping[str, Any] = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    return source


def _scale(version: Json) -> ScalePaths | None:
    found = (version.get("subresources") or {}).get("scale")
    if not found:
        return None
    return ScalePaths(
        found["specReplicasPath"], found["statusReplicasPath"], found.get("labelSelectorPath") or ""
    )


def _selectable(version: Json) -> tuple[str, ...]:
    return tuple(one["jsonPath"].removeprefix(".") for one in version.get("selectableFields") or ())


def _warnings(spec: Json, version: Json) -> tuple[str, ...]:
    if not version.get("deprecated"):
        return ()
    text = f"{spec['group']}/{version['name']} {spec['names']['kind']} is deprecated"
    return (version.get("deprecationWarning") or text,)


def _resource(spec: Json, names: Json, version: Json, shape: CustomShape) -> ResourceInfo:
    subresources = {"status"} if shape.has_status else set()
    if shape.scale is not None:
        subresources.add("scale")
    return ResourceInfo(
        group=spec["group"],
        version=version["name"],
        kind=names["kind"],
        plural=names["plural"],
        singular=names.get("singular") or names["kind"].lower(),
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=frozenset(subresources),
        listed=names.get("listKind") or "",
        custom=shape,
    )
