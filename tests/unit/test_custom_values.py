"""Values under the schemas of custom resources: judged, pruned, filled in, and never an accident."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcm.sandbox.schema.custom import embedded, lists
from kcm.sandbox.schema.custom.pruning import fill, prune
from kcm.sandbox.schema.custom.structural import read_schema
from kcm.sandbox.schema.custom.values import validate

TEXT = {"type": "string"}
NUMBER = {"type": "integer"}
FREE = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def obj(**properties):
    return {"type": "object", "properties": properties}


def problems(schema, value, **more):
    return [str(one) for one in validate({"a": value}, read_schema(obj(a=schema)), **more)]


BOUNDED = {"type": "integer", "minimum": 1, "maximum": 10}
ONE_OF = {"type": "object", "oneOf": [{"required": ["x"]}, {"required": ["y"]}]}


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (BOUNDED, 5, []),
        (BOUNDED, 0, ["a: Invalid value: 0: a in body should be greater than or equal to 1"]),
        (BOUNDED, 11, ["a: Invalid value: 11: a in body should be less than or equal to 10"]),
        (BOUNDED, "x", ['a: Invalid value: "string": a in body must be of type integer: "string"']),
        (BOUNDED, True, ['a: Invalid value: "boolean": a in body must be of type integer: "boolean"']),
        (BOUNDED, 2.0, []),
        (
            NUMBER,
            1.5,
            [
                'a: Invalid value: "number": a in body must be of type integer: "number"',
                '<nil>: Invalid value: "": Checked value must be of type integer (default format) in a',
            ],
        ),
        (
            {**NUMBER, "format": "int32"},
            2**40,
            ['<nil>: Invalid value: "": Checked value must be of type integer with format int32 in a'],
        ),
        (
            {"type": "number", "minimum": 0, "exclusiveMinimum": True},
            0,
            ["a: Invalid value: 0: a in body should be greater than 0"],
        ),
        (
            {"type": "number", "multipleOf": 0.5},
            0.3,
            ["a: Invalid value: 0.3: a in body should be a multiple of 0.5"],
        ),
        ({"type": "number", "multipleOf": 0.5}, 1.5, []),
        (
            {**TEXT, "minLength": 2},
            "x",
            ['a: Invalid value: "x": a in body should be at least 2 chars long'],
        ),
        ({**TEXT, "maxLength": 2}, "xyz", ["a: Too long: may not be more than 2 bytes"]),
        (
            {**TEXT, "pattern": "^[a-z]+$"},
            "A1",
            ["a: Invalid value: \"A1\": a in body should match '^[a-z]+$'"],
        ),
        (
            {**TEXT, "enum": ["on", "off"]},
            "x",
            ['a: Unsupported value: "x": supported values: "on", "off"'],
        ),
        (TEXT, None, ['a: Invalid value: "null": a in body must be of type string: "null"']),
        ({**TEXT, "nullable": True}, None, []),
        ({"x-kubernetes-int-or-string": True}, "80", []),
        (
            {"x-kubernetes-int-or-string": True},
            1.5,
            ['a: Invalid value: "number": a in body must be of type integer,string: "number"'],
        ),
        (
            {**TEXT, "format": "ipv4"},
            "1.2.3",
            ['a: Invalid value: "1.2.3": a in body must be of type ipv4: "1.2.3"'],
        ),
        ({**TEXT, "format": "nothing-known"}, "x", []),
        (
            {"type": "array", "items": TEXT, "minItems": 1},
            [],
            ["a: Invalid value: 0: a in body should have at least 1 items"],
        ),
        (
            {"type": "array", "items": TEXT, "maxItems": 1},
            ["x", "y"],
            ["a: Too many: 2: must have at most 1 items"],
        ),
        (
            {"type": "array", "items": TEXT},
            [1],
            ['a[0]: Invalid value: "integer": a[0] in body must be of type string: "integer"'],
        ),
        (
            {"type": "object", "additionalProperties": TEXT, "minProperties": 1},
            {},
            ["a: Invalid value: 0: a in body should have at least 1 properties"],
        ),
        (
            {"type": "object", "additionalProperties": TEXT},
            {"k": 1},
            ['a.k: Invalid value: "integer": a.k in body must be of type string: "integer"'],
        ),
        ({"type": "object", "required": ["x"]}, {}, ["a.x: Required value"]),
        (
            ONE_OF,
            {},
            [
                '<nil>: Invalid value: "": "a" must validate one and only one schema (oneOf). '
                "Found none valid",
                "a.x: Required value",
            ],
        ),
        (
            ONE_OF,
            {"x": 1, "y": 1},
            [
                '<nil>: Invalid value: "": "a" must validate one and only one schema (oneOf). '
                "Found 2 valid alternatives"
            ],
        ),
        (
            {**TEXT, "anyOf": [{"pattern": "^a"}, {"pattern": "^b"}]},
            "c",
            [
                '<nil>: Invalid value: "": "a" must validate at least one schema (anyOf)',
                "a: Invalid value: \"c\": a in body should match '^a'",
            ],
        ),
        (
            {**NUMBER, "allOf": [{"minimum": 3}, {"maximum": 5}]},
            6,
            [
                "a: Invalid value: 6: a in body should be less than or equal to 5",
                '<nil>: Invalid value: "": "a" must validate all the schemas (allOf)',
            ],
        ),
        (
            {**TEXT, "not": {"enum": ["x"]}},
            "x",
            ['<nil>: Invalid value: "": "a" must not validate the schema (not)'],
        ),
    ],
)
def test_values_are_judged_in_the_servers_words(schema, value, expected):
    assert problems(schema, value) == expected


def test_what_did_not_change_is_not_judged_again():
    schema = {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["k"],
        "items": obj(k=TEXT, v=BOUNDED),
    }
    old = {"a": [{"k": "x", "v": 99}, {"k": "y", "v": 1}]}
    assert problems(schema, [{"k": "y", "v": 2}, {"k": "x", "v": 99}], old=old) == []
    assert len(problems(schema, [{"k": "x", "v": 98}], old=old)) == 1


def test_fields_that_the_schema_does_not_know_are_dropped_and_named():
    schema = read_schema(
        {
            "type": "object",
            "properties": {
                "spec": obj(
                    known=TEXT,
                    inner=obj(x=TEXT),
                    free={"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                    half={
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                        "properties": {"strict": obj(x=TEXT)},
                    },
                    items={"type": "array", "items": obj(x=TEXT)},
                    map={"type": "object", "additionalProperties": obj(x=TEXT)},
                )
            },
        }
    )
    value = {
        "apiVersion": "v1",
        "kind": "K",
        "metadata": {"anything": 1},
        "odd": {"x": 1},
        "spec": {
            "known": "a",
            "zoo": [1],
            "inner": {"x": "a", "y": 1},
            "free": {"any": {"thing": 1}},
            "half": {"extra": {"y": 1}, "strict": {"x": "a", "y": 1}},
            "items": [{"x": "a"}, {"y": 1}],
            "map": {"k": {"x": "a", "y": 1}},
        },
    }
    assert prune(value, schema) == [
        "odd",
        "spec.half.strict.y",
        "spec.inner.y",
        "spec.items[1].y",
        "spec.map.k.y",
        "spec.zoo",
    ]
    assert value == {
        "apiVersion": "v1",
        "kind": "K",
        "metadata": {"anything": 1},
        "spec": {
            "known": "a",
            "inner": {"x": "a"},
            "free": {"any": {"thing": 1}},
            "half": {"extra": {"y": 1}, "strict": {"x": "a"}},
            "items": [{"x": "a"}, {}],
            "map": {"k": {"x": "a"}},
        },
    }


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (obj(a={**TEXT, "default": "x"}), {}, {"a": "x"}),
        (obj(a={**TEXT, "default": "x"}), {"a": None}, {"a": "x"}),
        (obj(a={**TEXT, "default": "x", "nullable": True}), {"a": None}, {"a": None}),
        (obj(a=TEXT), {"a": None}, {}),
        (obj(a=obj(b={**NUMBER, "default": 7})), {}, {}),
        (obj(a={**obj(b={**NUMBER, "default": 7}), "default": {}}), {}, {"a": {"b": 7}}),
        (
            obj(a={"type": "array", "items": obj(b={**NUMBER, "default": 7})}),
            {"a": [{}, {"b": 1}]},
            {"a": [{"b": 7}, {"b": 1}]},
        ),
        (
            obj(a={"type": "object", "additionalProperties": obj(b={**NUMBER, "default": 7})}),
            {"a": {"k": {}}},
            {"a": {"k": {"b": 7}}},
        ),
    ],
)
def test_defaults_are_filled_in_and_nulls_settled(schema, value, expected):
    fill(value, read_schema(schema))
    assert value == expected


def test_a_default_is_copied_for_each_object():
    schema = read_schema(obj(a={"type": "object", "default": {}, "properties": {"b": TEXT}}))
    first, second = {}, {}
    fill(first, schema)
    fill(second, schema)
    first["a"]["b"] = "x"
    assert second == {"a": {}}


SET = {"type": "array", "items": TEXT, "x-kubernetes-list-type": "set"}
MAP = {
    "type": "array",
    "items": obj(port=NUMBER, proto=TEXT),
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["port", "proto"],
}


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (SET, ["x", "y"], []),
        (SET, ["x", "x", "x"], ['a[1]: Duplicate value: "x"']),
        (MAP, [{"port": 1, "proto": "TCP"}, {"port": 1, "proto": "UDP"}], []),
        (
            MAP,
            [{"port": 1, "proto": "TCP"}, {"port": 1, "proto": "TCP"}],
            ['a[1]: Duplicate value: {"port":1,"proto":"TCP"}'],
        ),
        (MAP, ["x"], ['a[0]: Invalid value: "x": must be an object for an array of list-type map']),
    ],
)
def test_sets_and_maps_hold_nothing_twice(schema, value, expected):
    assert [str(one) for one in lists.duplicates({"a": value}, read_schema(obj(a=schema)))] == expected


def test_embedded_resources_have_a_kind_and_known_metadata():
    schema = read_schema(
        obj(
            a={
                "type": "object",
                "x-kubernetes-embedded-resource": True,
                "x-kubernetes-preserve-unknown-fields": True,
            }
        )
    )
    assert [str(one) for one in embedded.check({"a": {}}, schema)] == [
        "a.apiVersion: Required value",
        "a.kind: Required value",
    ]
    value = {"a": {"kind": "K", "apiVersion": "v1", "metadata": {"zip": 1, "labels": {"x": "y"}}, "more": 1}}
    assert embedded.coerce(value, schema) == (["a.metadata.zip"], "")
    assert value["a"]["metadata"] == {"labels": {"x": "y"}}
    assert embedded.coerce({"a": {"kind": 5}}, schema)[1] == "a.kind: Invalid value: 5: must be a string"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "k", "kind"]), inner, max_size=3)
    ),
    max_leaves=12,
)
KEYWORDS = st.sampled_from(
    [
        TEXT,
        NUMBER,
        BOUNDED,
        SET,
        MAP,
        ONE_OF,
        {**TEXT, "default": "x"},
        {"x-kubernetes-int-or-string": True},
        FREE,
        {"type": "object", "additionalProperties": {**NUMBER, "default": 3}},
        {
            "type": "object",
            "x-kubernetes-embedded-resource": True,
            "x-kubernetes-preserve-unknown-fields": True,
        },
        {**TEXT, "nullable": True, "format": "date-time", "pattern": "^a+$", "enum": ["a", None]},
        {"type": "array", "items": obj(k={**TEXT, "default": "d"})},
    ]
)
SCHEMAS = st.dictionaries(st.sampled_from(["a", "b"]), KEYWORDS).map(lambda found: obj(**found))


@settings(max_examples=200, deadline=None)
@given(SCHEMAS, st.dictionaries(st.sampled_from(["a", "b", "c"]), JSON, max_size=3))
def test_any_value_meets_any_schema_without_an_accident(source, value):
    schema = read_schema(source)
    embedded.coerce(value, schema)
    prune(value, schema)
    fill(value, schema)
    settled = copy.deepcopy(value)
    assert prune(value, schema) == []
    fill(value, schema)
    assert value == settled
    validate(value, schema)
    validate(value, schema, old=settled)
    lists.duplicates(value, schema)
    embedded.check(value, schema)
