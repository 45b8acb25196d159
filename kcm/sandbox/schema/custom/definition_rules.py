"""What a CustomResourceDefinition may not say, in the server's words (reference: apiserver §2, CRD).

`check_new` and `check_changed` list all problems of a definition that passed the decoder. Paths are
those of the server's internal form: what all versions have in common (a single version has all of its
own) is told of `spec.validation`, `spec.subresources` and the like. Guarantees: pure and total.
"""

from __future__ import annotations

from typing import Any

from kcm.sandbox.schema.custom.schema_rules import check_schema
from kcm.sandbox.schema.custom.selectable import check_selectable
from kcm.sandbox.schema.custom.structural import SchemaTooDeep, read_schema
from kcm.sandbox.schema.custom.structure import check_defaults, check_structure
from kcm.sandbox.schema.validation import names
from kcm.sandbox.schema.validation.failures import FieldError, forbidden, invalid, not_supported, required
from kcm.sandbox.schema.validation.parts import IMMUTABLE, Errors

Json = dict[str, Any]

_APPROVED = "api-approved.kubernetes.io"
_APPROVALS = "https://github.com/kubernetes/enhancements/pull/1111"
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_HOISTED = {
    "schema": "validation",
    "subresources": "subresources",
    "additionalPrinterColumns": "additionalPrinterColumns",
    "selectableFields": "selectableFields",
}
# With a status subresource the root may say nothing that status alone could not be held to.
_ROOT_FIELDS = (
    "Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength "
    "Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example "
    "XPreserveUnknownFields XValidations"
)
_ROOT_NAMES = frozenset(
    (
        *(name[0].lower() + name[1:] for name in _ROOT_FIELDS.split()),
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    )
)
_LONGEST_WARNING = 256


def check_new(crd: Json) -> list[FieldError]:
    """Return what is wrong with a definition, beside its metadata."""
    return [
        *_name(crd),
        *_spec(crd.get("spec") or {}),
        *_stored_versions(crd),
        *_approval(crd),
        *_preserving(crd),
    ]


def check_changed(new: Json, old: Json) -> list[FieldError]:
    """Return what is wrong with a definition in the place of another."""
    spec, earlier = new.get("spec") or {}, old.get("spec") or {}
    found = list(_spec(spec))
    fixed = [("group",), ("names", "plural")]
    if _established(old):
        fixed[:0] = [("scope",), ("names", "kind")]
    for path in fixed:
        now, before = _at(spec, path), _at(earlier, path)
        if now != before:
            found.append(invalid(f"spec.{'.'.join(path)}", now, IMMUTABLE))
    return [*found, *_stored_versions(new), *_preserving(new)]


def _at(spec: Json, path: tuple[str, ...]) -> Any:
    here: Any = spec
    for name in path:
        here = here.get(name) if isinstance(here, dict) else None
    return here


def _established(crd: Json) -> bool:
    conditions = (crd.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Established" and one.get("status") == "True" for one in conditions)


def _name(crd: Json) -> Errors:
    name, spec = crd["metadata"].get("name", ""), crd.get("spec") or {}
    if name != f"{(spec.get('names') or {}).get('plural', '')}.{spec.get('group', '')}":
        yield invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')


def _spec(spec: Json) -> Errors:
    yield from _group(spec.get("group") or "")
    scope = spec.get("scope") or ""
    if not scope:
        yield required("spec.scope")
    elif scope not in ("Cluster", "Namespaced"):
        yield not_supported("spec.scope", scope, ("Cluster", "Namespaced"))
    versions = [one for one in spec.get("versions") or () if isinstance(one, dict)]
    hoisted = {
        name
        for name in _HOISTED
        if versions and all(one.get(name) == versions[0].get(name) for one in versions)
    }
    for index, version in enumerate(versions):
        if "openAPIV3Schema" not in (version.get("schema") or {}):
            yield required(f"spec.versions[{index}].schema.openAPIV3Schema")
    for index, version in enumerate(versions):
        for problem in names.label_1035(version.get("name") or ""):
            yield invalid(f"spec.versions[{index}].name", version.get("name") or "", problem)
        yield from _version(version, f"spec.versions[{index}]", hoisted)
    yield from _version_set(spec.get("versions"), versions)
    yield from _names(spec.get("names") or {}, "spec.names")
    if versions:
        yield from _parts(versions[0], "spec", hoisted, above=True)
    yield from _conversion(spec.get("conversion") or {})


def _group(group: str) -> Errors:
    if not group:
        yield required("spec.group")
        return
    problems = list(names.subdomain(group))
    if problems:
        yield invalid("spec.group", group, ",".join(problems))
    elif "." not in group:
        yield invalid("spec.group", group, "should be a domain with at least one dot")


def _source(version: Json) -> Json:
    source: Json = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    return source


def _version(version: Json, path: str, hoisted: set[str]) -> Errors:
    warning = version.get("deprecationWarning")
    if warning is not None:
        here = f"{path}.deprecationWarning"
        if not version.get("deprecated"):
            yield invalid(here, warning, "can only be set for deprecated versions")
        elif len(warning) > _LONGEST_WARNING:
            yield invalid(here, warning, "must be <= 256 characters long")
        elif not warning:
            yield invalid(here, warning, "must not be an empty string")
        elif not warning.isprintable():
            at = next(index for index, char in enumerate(warning) if not char.isprintable())
            text = (
                f"must only contain printable UTF-8 characters; non-printable character found at index {at}"
            )
            yield invalid(here, warning, text)
    yield from _parts(version, path, hoisted, above=False)


def _parts(version: Json, path: str, hoisted: set[str], *, above: bool) -> Errors:
    """Check the parts of a version that belong at `path`: shared ones above, others in the version."""
    for name, called in _HOISTED.items():
        if (name in hoisted) is not above or not version.get(name):
            continue
        here = f"{path}.{called if above else name}"
        match name:
            case "schema":
                yield from _schema(version, here)
            case "subresources":
                yield from _subresources(version["subresources"], here)
            case "additionalPrinterColumns":
                for index, column in enumerate(version[name]):
                    yield from _column(column, f"{here}[{index}]")
            case _:
                yield from check_selectable(version[name], _source(version), here)


def _schema(version: Json, path: str) -> Errors:
    if "openAPIV3Schema" not in version["schema"]:
        return
    source, here = _source(version), f"{path}.openAPIV3Schema"
    try:
        read_schema(source)
    except SchemaTooDeep as error:
        yield invalid(here, "", str(error))
        return
    if "status" in (version.get("subresources") or {}):
        said = [name for name, value in source.items() if value not in (None, False, "", [], {})]
        if any(name not in _ROOT_NAMES for name in said):
            text = f"only [{_ROOT_FIELDS}] fields are allowed at the root of the schema if the status "
            yield invalid(here, source, f"{text}subresource is enabled")
    if source.get("nullable") is True:
        yield forbidden(f"{here}.nullable", "nullable cannot be true at the root")
    problems = check_structure(source, here)
    yield from problems or check_defaults(source, here)
    yield from check_schema(source, here)


def _subresources(subresources: Json, path: str) -> Errors:
    scale = subresources.get("scale")
    if not isinstance(scale, dict):
        return
    for name, under in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")):
        here, value = f"{path}.scale.{name}", scale.get(name) or ""
        if not value:
            yield required(here)
        elif not value.startswith("."):
            yield invalid(here, value, "must be a simple json path starting with .")
        elif not value.startswith(under):
            yield invalid(here, value, f"should be a json path under {under.rstrip('.')}")
    selector, here = scale.get("labelSelectorPath") or "", f"{path}.scale.labelSelectorPath"
    if selector and not selector.startswith("."):
        yield invalid(here, selector, "must be a simple json path starting with .")
    elif selector and not selector.startswith((".spec.", ".status.")):
        yield invalid(here, selector, "should be a json path under either .spec or .status")


def _column(column: Json, path: str) -> Errors:
    if not column.get("name"):
        yield required(f"{path}.name")
    kind, types = column.get("type") or "", f"must be one of {','.join(_COLUMN_TYPES)}"
    if not kind:
        yield required(f"{path}.type", types)
    elif kind not in _COLUMN_TYPES:
        yield invalid(f"{path}.type", kind, types)
    form = column.get("format") or ""
    if form and form not in _COLUMN_FORMATS:
        yield invalid(f"{path}.format", form, f"must be one of {','.join(_COLUMN_FORMATS)}")
    where = column.get("jsonPath") or ""
    if not where:
        yield required(f"{path}.JSONPath")
    elif not where.startswith("."):
        yield invalid(f"{path}.JSONPath", where, "must be a simple json path starting with .")


def _version_set(given: Any, versions: list[Json]) -> Errors:
    called = [one.get("name") for one in versions]
    shown = [_internal(one) for one in versions] if given is not None else None
    if len(set(called)) < len(called):
        yield invalid("spec.versions", shown, "must contain unique version names")
    if sum(1 for one in versions if one.get("storage")) != 1:
        yield invalid("spec.versions", shown, "must have exactly one version marked as storage version")
    if versions and (problems := list(names.label_1035(versions[0].get("name") or ""))):
        yield invalid("spec.version", versions[0].get("name") or "", ",".join(problems))


def _internal(version: Json) -> Json:
    """Return a version as the server prints it: in its internal form, without what was told above."""
    return {
        "Name": version.get("name") or "",
        "Served": version.get("served") is True,
        "Storage": version.get("storage") is True,
        "Deprecated": version.get("deprecated") is True,
        "DeprecationWarning": version.get("deprecationWarning"),
        "Schema": None,
        "Subresources": None,
        "AdditionalPrinterColumns": None,
        "SelectableFields": None,
    }


def _names(given: Json, path: str) -> Errors:
    for name in ("plural", "singular", "kind", "listKind"):
        if not given.get(name):
            yield required(f"{path}.{name}")
    for name in ("plural", "singular", "kind", "listKind"):
        value = given.get(name) or ""
        mixed = name in ("kind", "listKind")
        problems = list(names.label_1035(value.lower() if mixed else value)) if value else []
        if problems:
            text = "may have mixed case, but should otherwise match: " if mixed else ""
            yield invalid(f"{path}.{name}", value, text + ",".join(problems))
    for name in ("shortNames", "categories"):
        for index, value in enumerate(given.get(name) or ()):
            if problems := list(names.label_1035(value)):
                yield invalid(f"{path}.{name}[{index}]", value, ",".join(problems))
        if name == "shortNames" and given.get("kind") and given["kind"] == given.get("listKind"):
            yield invalid(f"{path}.listKind", given["listKind"], "kind and listKind may not be the same")


def _conversion(conversion: Json) -> Errors:
    strategy, here = conversion.get("strategy") or "", "spec.conversion"
    webhook = conversion.get("webhook") or {}
    if not strategy:
        yield required(f"{here}.strategy")
    elif strategy not in ("None", "Webhook"):
        yield not_supported(f"{here}.strategy", strategy, ("None", "Webhook"))
    if strategy == "Webhook":
        if not webhook.get("clientConfig"):
            yield required(f"{here}.webhookClientConfig", "required when strategy is set to Webhook")
        if not webhook.get("conversionReviewVersions"):
            yield required(f"{here}.conversionReviewVersions")
    else:
        text = "should not be set when strategy is not set to Webhook"
        for name, called in (
            ("clientConfig", "webhookClientConfig"),
            ("conversionReviewVersions", "conversionReviewVersions"),
        ):
            if webhook.get(name):
                yield forbidden(f"{here}.{called}", text)


def _stored_versions(crd: Json) -> Errors:
    stored = (crd.get("status") or {}).get("storedVersions")
    path = "status.storedVersions"
    if not stored:
        yield invalid(path, stored, "must have at least one stored version")
        return
    versions = [one for one in (crd.get("spec") or {}).get("versions") or () if isinstance(one, dict)]
    left = list(stored)
    for version in versions:
        name = version.get("name")
        if version.get("storage") and name not in left:
            yield invalid(path, stored, f"must have the storage version {name}")
        if name in left:
            left.remove(name)
    for name in left:
        text = (
            f"missing from spec.versions; {name} was previously a storage version, and must remain in "
            f"spec.versions until a storage migration ensures no data remains persisted in {name} and "
            f"removes {name} from status.storedVersions"
        )
        yield invalid(f"{path}[{stored.index(name)}]", name, text)


def _approval(crd: Json) -> Errors:
    """Groups of the Kubernetes project need a word from there."""
    group = (crd.get("spec") or {}).get("group") or ""
    if not group.endswith((".k8s.io", ".kubernetes.io")) and group not in ("k8s.io", "kubernetes.io"):
        return
    path = f"metadata.annotations[{_APPROVED}]"
    value = (crd["metadata"].get("annotations") or {}).get(_APPROVED, "")
    if not value:
        text = f'protected groups must have approval annotation "{_APPROVED}", see {_APPROVALS}'
        yield required(path, text)
    elif not value.startswith(("https://", "http://", "unapproved")):
        text = (
            f'protected groups must have approval annotation "{_APPROVED}" with either a URL or a reason '
            f'starting with "unapproved", see {_APPROVALS}'
        )
        yield invalid(path, value, text)


def _preserving(crd: Json) -> Errors:
    if (crd.get("spec") or {}).get("preserveUnknownFields") is True:
        text = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
        yield invalid("spec.preserveUnknownFields", True, f"{text}spec.versions[*].schema instead")
