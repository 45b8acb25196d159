"""Rules for metadata, label selectors and the labels they select (reference: apiserver §5)."""

from __future__ import annotations

import json

from kcm.sandbox.schema.validation import names
from kcm.sandbox.schema.validation.failures import forbidden, invalid, required, too_long
from kcm.sandbox.schema.validation.names import NameRule
from kcm.sandbox.schema.validation.parts import IMMUTABLE, Errors, Json, items, number, part, text, values

_ANNOTATION_BYTES = 256 * 1024
_STANDARD_FINALIZERS = frozenset(("kubernetes", "orphan", "foregroundDeletion"))
_OPERATORS = frozenset(("In", "NotIn", "Exists", "DoesNotExist"))

NAME_RULES: dict[str, NameRule] = {
    "Namespace": names.label,
    "Service": names.label,
    "Role": names.path_segment,
    "RoleBinding": names.path_segment,
    "ClusterRole": names.path_segment,
    "ClusterRoleBinding": names.path_segment,
}


def check_metadata(kind: str, obj: Json) -> Errors:
    """Name, labels, annotations, owners and finalizers of a whole object."""
    metadata = part(obj, "metadata")
    rule = NAME_RULES.get(kind, names.subdomain)
    name, generated = text(metadata, "name"), text(metadata, "generateName")
    if generated:
        for problem in names.prefix_of(rule)(generated):
            yield invalid("metadata.generateName", generated, problem)
    if name:
        for problem in rule(name):
            yield invalid("metadata.name", name, problem)
    elif not generated:
        yield required("metadata.name", "name or generateName is required")
    generation = number(metadata, "generation")
    if generation is not None and generation < 0:
        yield invalid("metadata.generation", generation, "must be greater than or equal to 0")
    yield from check_labels(part(metadata, "labels"), "metadata.labels")
    yield from check_annotations(part(metadata, "annotations"), "metadata.annotations")
    yield from _check_owners(items(metadata, "ownerReferences"))
    yield from _check_finalizers(values(metadata, "finalizers"))


def check_labels(labels: Json, path: str) -> Errors:
    """Keys are qualified names, values label values."""
    for key, value in labels.items():
        for problem in names.qualified(key):
            yield invalid(path, key, problem)
        for problem in names.label_value(value) if isinstance(value, str) else ():
            yield invalid(path, value, problem)


def check_annotations(annotations: Json, path: str) -> Errors:
    """Keys are qualified names of any case; together at most 256 KiB."""
    size = 0
    for key, value in annotations.items():
        for problem in names.qualified(key.lower()):
            yield invalid(path, key, problem)
        size += len(key.encode()) + (len(value.encode()) if isinstance(value, str) else 0)
    if size > _ANNOTATION_BYTES:
        yield too_long(path, _ANNOTATION_BYTES)


def _check_owners(owners: list[Json]) -> Errors:
    path = "metadata.ownerReferences"
    controller: Json | None = None
    for owner in owners:
        for name, called in (("apiVersion", "version "), ("kind", ""), ("name", ""), ("uid", "")):
            if not text(owner, name):
                yield invalid(f"{path}.{name}", "", f"{called}must not be empty")
        if (text(owner, "apiVersion"), text(owner, "kind")) == ("v1", "Event"):
            yield invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner")
        if owner.get("controller") is not True:
            continue
        if controller is not None:
            both = " and ".join(f"{text(one, 'kind')}/{text(one, 'name')}" for one in (controller, owner))
            yield invalid(
                path,
                owners,
                f'Only one reference can have Controller set to true. Found "true" in references for {both}',
            )
        controller = owner


def _check_finalizers(finalizers: list[object]) -> Errors:
    path = "metadata.finalizers"
    for index, finalizer in enumerate(finalizers):
        if not isinstance(finalizer, str):
            continue
        for problem in names.qualified(finalizer):
            yield invalid(path, finalizer, problem)
        if "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            detail = "name is neither a standard finalizer name nor is it fully qualified"
            yield invalid(f"{path}[{index}]", finalizer, detail)
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        yield invalid(path, finalizers, "finalizer orphan and foregroundDeletion cannot be both set")


def check_metadata_update(new: Json, old: Json) -> Errors:
    """What of metadata may not change."""
    now, before = part(new, "metadata"), part(old, "metadata")
    for name in ("name", "namespace", "uid", "creationTimestamp"):
        if name in now and name in before and now[name] != before[name]:
            yield invalid(f"metadata.{name}", now[name], IMMUTABLE)
    if before.get("deletionTimestamp"):
        added = [one for one in values(now, "finalizers") if one not in values(before, "finalizers")]
        if added:
            shown = ", ".join(json.dumps(one) for one in added)
            yield forbidden(
                "metadata.finalizers",
                "no new finalizers can be added if the object is being deleted, "
                f"found new finalizers []string{{{shown}}}",
            )


def check_selector(selector: Json, path: str) -> Errors:
    """A LabelSelector: keys, values and operators."""
    yield from check_labels(part(selector, "matchLabels"), f"{path}.matchLabels")
    for index, expression in enumerate(items(selector, "matchExpressions")):
        here = f"{path}.matchExpressions[{index}]"
        operator, chosen = text(expression, "operator"), values(expression, "values")
        if operator not in _OPERATORS:
            yield invalid(f"{here}.operator", operator, "not a valid selector operator")
        elif operator in ("In", "NotIn") and not chosen:
            yield required(f"{here}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator not in ("In", "NotIn") and chosen:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield forbidden(f"{here}.values", detail)
        for problem in names.qualified(text(expression, "key")):
            yield invalid(f"{here}.key", text(expression, "key"), problem)
        for position, value in enumerate(chosen):
            for problem in names.label_value(value) if isinstance(value, str) else ():
                yield invalid(f"{here}.values[{position}]", value, problem)
