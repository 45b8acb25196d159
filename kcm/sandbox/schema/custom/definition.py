"""What the server itself fills into a CustomResourceDefinition.

Pure functions on the definition's JSON: names that follow from the kind, the first status, the list
of versions that objects may be stored in. What a definition may not say is `definition_rules`'.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def default_definition(crd: Json) -> None:
    """Fill in singular, list kind and conversion, in place."""
    spec = crd.get("spec")
    if not isinstance(spec, dict):
        return
    names = spec.get("names")
    if isinstance(names, dict) and isinstance(names.get("kind"), str) and names["kind"]:
        names["singular"] = names.get("singular") or names["kind"].lower()
        names["listKind"] = names.get("listKind") or f"{names['kind']}List"
    spec.setdefault("conversion", {"strategy": "None"})
    spec["versions"] = _without_nulls(spec.get("versions"))
    for version in spec["versions"]:
        for name in ("additionalPrinterColumns", "selectableFields"):
            if isinstance(version, dict) and version.get(name):
                version[name] = _without_nulls(version[name])


def _without_nulls(given: Any) -> list[Any]:
    """Return a list of objects as decoding leaves it: null is an empty one."""
    return [{} if one is None else one for one in given] if isinstance(given, list) else []


def first_status(crd: Json) -> Json:
    """Return the status of a new definition."""
    version = storage_version(crd)
    return {
        "conditions": None,
        "acceptedNames": {"plural": "", "kind": ""},
        "storedVersions": [version] if version else None,
    }


def storage_version(crd: Json) -> str:
    """Return the name of the version that objects are stored in, "" when it is not said."""
    versions = (crd.get("spec") or {}).get("versions") or ()
    return next((one.get("name", "") for one in versions if isinstance(one, dict) and one.get("storage")), "")


def definition_schemas(crd: Json) -> list[tuple[int, Any]]:
    """Return place and `openAPIV3Schema` of each version that has one, whatever it is."""
    found: list[tuple[int, Any]] = []
    for index, version in enumerate((crd.get("spec") or {}).get("versions") or ()):
        schema = (version or {}).get("schema") or {}
        if schema.get("openAPIV3Schema") is not None:
            found.append((index, schema["openAPIV3Schema"]))
    return found


def note_stored_version(crd: Json) -> None:
    """Add the storage version to the versions that objects may be stored in."""
    status, version = crd.get("status") or {}, storage_version(crd)
    stored = status.get("storedVersions") or []
    if version and version not in stored:
        crd["status"] = {**status, "storedVersions": [*stored, version]}
