"""Usage of pods and nodes as rows, for `kubectl get podmetrics` and `nodemetrics`. Pure."""

from __future__ import annotations

from kcm.sandbox.api.errors import Json
from kcm.sandbox.api.metrics.shapes import cpu_quantity, memory_quantity
from kcm.sandbox.schema.quantities import parse

_COLUMNS = (
    ("Name", "name", "Name of the resource"),
    ("cpu", "", "Processor used"),
    ("memory", "", "Memory used"),
    ("Window", "", "Time that was measured"),
)


def usage_table(document: Json) -> Json:
    """Return a PodMetrics, NodeMetrics or list of them as a Table."""
    items = document.get("items", [document])
    columns = [
        {"name": name, "type": "string", "format": form, "description": text, "priority": 0}
        for name, form, text in _COLUMNS
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": columns,
        "rows": [_row(item) for item in items],
    }


def _row(item: Json) -> Json:
    usages = [each["usage"] for each in item["containers"]] if "containers" in item else [item["usage"]]
    cpu = sum(float(parse(each["cpu"])) for each in usages)
    memory = sum(float(parse(each["memory"])) for each in usages)
    described = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    return {
        "cells": [item["metadata"]["name"], cpu_quantity(cpu), memory_quantity(memory), item["window"]],
        "object": {**described, "metadata": item["metadata"]},
    }
