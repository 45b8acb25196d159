"""The document that sets metrics values: a file (`--metrics-file`) or a body of the admin path.

    external:
    - name: queue_depth
      namespace: default            # left out: every namespace
      labels: {queue: orders}
      value: 30                     # or a shape: "ramp(0, 100, 5m)"
    custom:
    - metric: requests_per_second
      object: ingresses.networking.k8s.io/default/shop   # resource/namespace/name; resource/name
      labels: {verb: GET}                                # pods/default/* means each of them
      value: 250m
    loads:
    - workload: deployments/default/web
      cpu: sine(2, 8, 10m)
      http_requests: 400

Guarantees: strict: what is unknown or of the wrong type is refused with the place it stands at.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import yaml

from kcm.base.errors import KcmError
from kcm.sandbox.api.metrics.book import (
    MOST,
    Book,
    CustomKey,
    Entry,
    ExternalKey,
    Key,
    LoadKey,
    sorted_labels,
)
from kcm.sandbox.api.metrics.shapes import Shape, read_shape

Json = dict[str, Any]

_LARGEST = 4 * 1024 * 1024
WORKLOADS = frozenset(("deployments", "replicasets", "statefulsets"))


class BadDocument(KcmError):
    """A metrics document that cannot be read; the text says where and why."""


class _External(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    value: str | int | float
    namespace: str = ""
    labels: dict[str, str] = {}


class _Custom(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    metric: str
    object: str
    value: str | int | float
    labels: dict[str, str] = {}


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    external: list[_External] = []
    custom: list[_Custom] = []
    loads: list[dict[str, str | int | float]] = []


def read_text(text: bytes) -> dict[Key, Shape]:
    """Return what a YAML or JSON document sets; BadDocument when it cannot be understood."""
    if len(text) > _LARGEST:
        raise BadDocument(f"larger than {_LARGEST} bytes")
    try:
        for token in yaml.scan(text, Loader=yaml.CSafeLoader):
            if isinstance(token, yaml.AliasToken):
                raise BadDocument("YAML aliases are not read")
        decoded = yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadDocument(" ".join(str(error).split())[:300]) from None
    return read_document({} if decoded is None else decoded)


def read_document(decoded: Any) -> dict[Key, Shape]:
    """Return what a decoded document sets; BadDocument when it cannot be understood."""
    try:
        document = msgspec.convert(decoded, _Document)
    except msgspec.ValidationError as error:
        raise BadDocument(str(error)) from None
    values: dict[Key, Shape] = {}
    for index, external in enumerate(document.external):
        key = ExternalKey(external.name, external.namespace, sorted_labels(external.labels))
        values[key] = _shape(external.value, f"external[{index}].value")
    for index, custom in enumerate(document.custom):
        resource, namespace, name = _object(custom.object, f"custom[{index}].object")
        labels = sorted_labels(custom.labels)
        values[CustomKey(resource, namespace, name, custom.metric, labels)] = _shape(
            custom.value, f"custom[{index}].value"
        )
    for index, load in enumerate(document.loads):
        values |= _loads(load, f"loads[{index}]")
    if len(values) > MOST:
        raise BadDocument(f"{len(values)} values, more than {MOST}")
    return values


def _loads(load: Mapping[str, str | int | float], where: str) -> dict[Key, Shape]:
    target = load.get("workload")
    if not isinstance(target, str):
        raise BadDocument(f'{where}.workload: needed, like "deployments/default/web"')
    resource, namespace, name = _object(target, f"{where}.workload")
    if resource.partition(".")[0] not in WORKLOADS or not namespace:
        raise BadDocument(f"{where}.workload: {target[:80]!r} is not one of {', '.join(sorted(WORKLOADS))}")
    plural = resource.partition(".")[0]
    return {
        LoadKey(plural, namespace, name, metric): _shape(value, f"{where}.{metric}")
        for metric, value in load.items()
        if metric != "workload"
    }


def _object(text: str, where: str) -> tuple[str, str, str]:
    parts = text.split("/")
    match parts:
        case [resource, namespace, name] if resource and namespace and name:
            return resource, namespace, name
        case [resource, name] if resource and name:
            return resource, "", name
    raise BadDocument(f"{where}: {text[:80]!r} is not resource/namespace/name or resource/name")


def _shape(value: str | int | float, where: str) -> Shape:
    try:
        return read_shape(str(value))
    except ValueError as error:
        raise BadDocument(f"{where}: {error}") from None


def describe(book: Book, entries: Mapping[Key, Entry]) -> Json:
    """Return values for people to read: how each was set, and what it is worth now."""
    document: Json = {"external": [], "custom": [], "loads": []}
    for key, entry in entries.items():
        match key:
            case ExternalKey(name, namespace, labels):
                shown: Json = {"name": name, "namespace": namespace, "labels": dict(labels)}
                document["external"].append({**shown, "value": entry.shape.text, "now": book.value(entry)})
            case CustomKey(resource, namespace, name, metric, labels):
                path = "/".join(part for part in (resource, namespace, name) if part)
                shown = {"metric": metric, "object": path, "labels": dict(labels)}
                document["custom"].append({**shown, "value": entry.shape.text, "now": book.value(entry)})
            case LoadKey(resource, namespace, name, metric):
                shown = {"workload": f"{resource}/{namespace}/{name}", "metric": metric}
                document["loads"].append({**shown, "value": entry.shape.text, "now": book.value(entry)})
    return document
