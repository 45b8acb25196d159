"""Paths into custom resources: the cells of printer columns, and the replicas of scale."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kcm.sandbox.schema.custom import scale
from kcm.sandbox.schema.custom.columns import printer_of
from kcm.sandbox.schema.custom.jsonpath import PathError, parse_path

VALUE = {
    "metadata": {"labels": {"a.b/c": "x"}},
    "status": {
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "Live", "status": "False", "n": 3}]
    },
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".status.conditions[0].type", ["Ready"]),
        (".status.conditions[-1].type", ["Live"]),
        (".status.conditions[*].type", ["Ready", "Live"]),
        ('.status.conditions[?(@.type=="Live")].status', ["False"]),
        (".status.conditions[?(@.type == 'Ready')].status", ["True"]),
        (".status.conditions[?(@.n > 2)].type", ["Live"]),
        (".status.conditions[?(@.n)].type", ["Live"]),
        (".status.conditions[0:1].type", ["Ready"]),
        (r".metadata.labels.a\.b/c", ["x"]),
        (".metadata.labels['a.b/c']", ["x"]),
        ("..type", ["Ready", "Live"]),
        (".nothing.here", []),
        (".", [VALUE]),
    ],
)
def test_paths_lead_to_values(path, expected):
    assert parse_path(path).find(VALUE) == expected


@pytest.mark.parametrize("path", [".spec[", "spec", ".a[?(@.b==)]", ".a]", "." + "a" * 2000])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(PathError):
        parse_path(path)


def test_cells_follow_the_types_of_their_columns():
    columns = [
        {"name": "T", "type": "string", "jsonPath": ".t"},
        {"name": "I", "type": "integer", "jsonPath": ".i"},
        {"name": "D", "type": "date", "jsonPath": ".d"},
        {"name": "B", "type": "boolean", "jsonPath": ".b"},
        {"name": "N", "type": "number", "jsonPath": ".n"},
    ]
    printer = printer_of(columns)
    now = datetime(2026, 1, 1, 0, 2, tzinfo=UTC)
    metadata = {"name": "x"}
    full = {"metadata": metadata, "t": {"a": [1]}, "i": 2.0, "d": "2026-01-01T00:00:00Z", "b": True, "n": 1}
    assert printer.cells(full, now) == ["x", '{"a":[1]}', 2, "2m", True, 1.0]
    odd = {"metadata": metadata, "t": 5, "i": "2", "d": "never", "b": "true", "n": None}
    assert printer.cells(odd, now) == ["x", "5", None, "<invalid>", None, None]
    assert printer.cells({"metadata": metadata}, now) == ["x", None, None, None, None, None]
    broken = printer_of([columns[0], {"name": "X", "type": "string", "jsonPath": ".a["}, columns[1]])
    assert [one.name for one in broken.columns] == ["Name", "T"]


def test_replicas_are_read_written_and_judged_by_path():
    paths = scale.ScalePaths(".spec.a.size", ".status.ready", ".status.selector")
    value = {}
    scale.write_number(value, paths.spec, 3)
    assert value == {"spec": {"a": {"size": 3}}}
    assert scale.read_number(value, paths.spec) == 3
    assert scale.read_number(value, paths.status) is None
    value = {"spec": {"a": {"size": -1}}, "status": {"ready": "x", "selector": 5}}
    assert [str(one) for one in scale.check(value, paths)] == [
        ".spec.a.size: Invalid value: -1: should be a non-negative integer",
        ".status.ready: Invalid value: 0: .status.ready accessor error: x is of the type "
        "string, expected int64",
        '.status.selector: Invalid value: "": .status.selector accessor error: 5 is of '
        "the type int64, expected "
        "string",
    ]
