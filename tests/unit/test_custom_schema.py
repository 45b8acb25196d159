"""Schemas of custom resources as tables: what is refused and how, pruned, filled in, matched, shown."""

from __future__ import annotations

import contextlib
import copy
import re
import struct
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcm.sandbox.schema.custom import embedded, lists, scale
from kcm.sandbox.schema.custom.automaton import Automaton
from kcm.sandbox.schema.custom.cautions import cautions
from kcm.sandbox.schema.custom.columns import printer_of
from kcm.sandbox.schema.custom.definition import default_definition, first_status
from kcm.sandbox.schema.custom.definition_rules import check_new
from kcm.sandbox.schema.custom.document import schema_type_problem, unknown_schema_fields
from kcm.sandbox.schema.custom.expressions import PatternError
from kcm.sandbox.schema.custom.formats import has_format
from kcm.sandbox.schema.custom.jsonpath import PathError, parse_path
from kcm.sandbox.schema.custom.naming import accept
from kcm.sandbox.schema.custom.pruning import fill, prune
from kcm.sandbox.schema.custom.schema_message import read_schema_message
from kcm.sandbox.schema.custom.structural import DEEPEST, SchemaTooDeep, read_schema
from kcm.sandbox.schema.custom.values import validate
from kcm.sandbox.schema.registry import Registry, precedence
from kcm.sandbox.schema.wire import ProtobufError

TEXT = {"type": "string"}
NUMBER = {"type": "integer"}


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


def definition(schema=None, group="stable.example.com", plural="widgets", kind="Widget", **version):
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True} if schema is None else schema
    versions = [
        {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, **version}
    ]
    names = {"plural": plural, "kind": kind}
    spec = {"group": group, "scope": "Namespaced", "names": names, "versions": versions}
    return {"metadata": {"name": f"{plural}.{group}"}, "spec": spec}


def refusals(crd):
    crd = copy.deepcopy(crd)
    crd["status"] = first_status(crd)
    default_definition(crd)
    return [str(one) for one in check_new(crd)]


ROOT = "spec.validation.openAPIV3Schema"
LIST, KEYS = "x-kubernetes-list-type", "x-kubernetes-list-map-keys"


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, [f"{ROOT}.type: Required value: must not be empty at the root"]),
        (TEXT, [f'{ROOT}.type: Invalid value: "string": must be object at the root']),
        (
            obj(a={}),
            [f"{ROOT}.properties[a].type: Required value: must not be empty for specified object fields"],
        ),
        (
            obj(a={"type": "int"}),
            [
                f'{ROOT}.properties[a].type: Unsupported value: "int": supported values: "array", "boolean", '
                '"integer", "number", "object", "string"'
            ],
        ),
        (obj(a={"type": "array"}), [f"{ROOT}.properties[a].items: Required value: must be specified"]),
        (
            obj(a={"type": "array", "items": {}}),
            [f"{ROOT}.properties[a].items.type: Required value: must not be empty for specified array items"],
        ),
        (
            obj(a={**TEXT, "default": 5}),
            [
                f'{ROOT}.properties[a].default: Invalid value: "integer":  in body must be of type string: '
                '"integer"'
            ],
        ),
        (
            obj(a={"type": "object", "default": {"x": 1}}),
            [f'{ROOT}.properties[a].default: Invalid value: {{"x":1}}: must not have unknown fields'],
        ),
        (
            obj(metadata={"type": "object", "default": {}}),
            [f"{ROOT}.properties[metadata].default: Forbidden: must not be set in top-level metadata"],
        ),
        (
            obj(metadata=obj(labels={"type": "object"})),
            [
                f"{ROOT}.properties[metadata]: Forbidden: must not specify anything other than name and "
                "generateName, but metadata is implicitly specified"
            ],
        ),
        (obj(metadata=obj(name={**TEXT, "maxLength": 3})), []),
        (
            {"type": "object", "additionalProperties": TEXT},
            [f"{ROOT}.additionalProperties: Forbidden: must not be used at the root"],
        ),
        (
            obj(a={**obj(x=TEXT), "additionalProperties": False}),
            [
                f"{ROOT}.properties[a].additionalProperties: Forbidden: additionalProperties and "
                "properties are "
                "mutual exclusive"
            ],
        ),
        (
            obj(a={"type": "object", "anyOf": [{"type": "object"}]}),
            [f"{ROOT}.properties[a].anyOf[0].type: Forbidden: must be empty to be structural"],
        ),
        (
            {**obj(a=TEXT), "anyOf": [{"properties": {"z": {"minimum": 1}}}]},
            [f"{ROOT}.properties[z]: Required value: because it is defined in {ROOT}.anyOf[0].properties[z]"],
        ),
        (
            obj(a={"type": "object", "$ref": "#/x"}),
            [f"{ROOT}.properties[a].$ref: Forbidden: $ref is not supported"],
        ),
        (
            obj(a={"type": "object", "x-kubernetes-preserve-unknown-fields": False}),
            [
                f"{ROOT}.properties[a].x-kubernetes-preserve-unknown-fields: Invalid value: "
                "false: must be true "
                "or undefined"
            ],
        ),
        (
            obj(a={"type": "array", "items": TEXT, LIST: "bag"}),
            [
                f'{ROOT}.properties[a].{LIST}: Unsupported value: "bag": supported values: '
                '"atomic", "set", "map"'
            ],
        ),
        (
            obj(a={"type": "array", "items": {"type": "object"}, LIST: "map"}),
            [f"{ROOT}.properties[a].{KEYS}: Required value: must not be empty if {LIST} is map"],
        ),
        (
            obj(a={"type": "array", "items": obj(k=TEXT), LIST: "map", KEYS: ["k"]}),
            [
                f"{ROOT}.properties[a].items.properties[k].default: Required value: this property "
                f"is in {KEYS}, "
                "so it must have a default or be a required property"
            ],
        ),
        (
            obj(a={"type": "array", "items": {"type": "object"}, LIST: "set"}),
            [
                f"{ROOT}.properties[a].items.x-kubernetes-map-type: Invalid value: null: must be "
                "atomic as item "
                f"of a list with {LIST}=set"
            ],
        ),
        (
            obj(a={**TEXT, "pattern": "("}),
            [
                f'{ROOT}.properties[a].pattern: Invalid value: "(": must be a valid regular expression, but '
                "isn't: error parsing regexp: missing closing ): `(`"
            ],
        ),
        (
            obj(a={"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}),
            [],
        ),
        (
            obj(a={"type": "object", "x-kubernetes-embedded-resource": True}),
            [
                f"{ROOT}.properties[a].properties: Required value: must not be empty if "
                "x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
            ],
        ),
        (
            {"type": "object", "nullable": True},
            [f"{ROOT}.nullable: Forbidden: nullable cannot be true at the root"],
        ),
        (
            obj(a={**TEXT, "x-kubernetes-validations": [{"rule": ""}]}),
            [f"{ROOT}.properties[a].x-kubernetes-validations[0].rule: Required value: rule is not specified"],
        ),
    ],
)
def test_schemas_are_refused_in_the_servers_words(schema, expected):
    assert refusals(definition(schema)) == expected


def changed(**spec):
    crd = definition()
    crd["spec"].update(spec)
    return crd


FREE = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
LABEL = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
    "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
    "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)


@pytest.mark.parametrize(
    ("crd", "expected"),
    [
        (definition(), []),
        (
            definition(group="nodot"),
            ['spec.group: Invalid value: "nodot": should be a domain with at least one dot'],
        ),
        (changed(scope=""), ["spec.scope: Required value"]),
        (
            changed(scope="x"),
            ['spec.scope: Unsupported value: "x": supported values: "Cluster", "Namespaced"'],
        ),
        (
            {**definition(), "metadata": {"name": "foo"}},
            ['metadata.name: Invalid value: "foo": must be spec.names.plural+"."+spec.group'],
        ),
        (
            changed(names={"plural": "widgets", "kind": "Widget", "listKind": "Widget"}),
            ['spec.names.listKind: Invalid value: "Widget": kind and listKind may not be the same'],
        ),
        (
            changed(names={"plural": "widgets"}),
            [
                "spec.names.singular: Required value",
                "spec.names.kind: Required value",
                "spec.names.listKind: Required value",
            ],
        ),
        (
            changed(names={"plural": "widgets", "kind": "Widget", "shortNames": ["W"]}),
            [f'spec.names.shortNames[0]: Invalid value: "W": {LABEL}'],
        ),
        (
            definition(group="foo.k8s.io"),
            [
                "metadata.annotations[api-approved.kubernetes.io]: Required value: protected "
                "groups must have "
                'approval annotation "api-approved.kubernetes.io", see '
                "https://github.com/kubernetes/enhancements/pull/1111"
            ],
        ),
        (
            changed(preserveUnknownFields=True),
            [
                "spec.preserveUnknownFields: Invalid value: true: cannot set to true, set "
                "x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
            ],
        ),
        (
            definition(subresources={"scale": {}}),
            [
                "spec.subresources.scale.specReplicasPath: Required value",
                "spec.subresources.scale.statusReplicasPath: Required value",
            ],
        ),
        (
            definition(additionalPrinterColumns=[{}]),
            [
                "spec.additionalPrinterColumns[0].name: Required value",
                "spec.additionalPrinterColumns[0].type: Required value: must be one of "
                "boolean,date,integer,number,string",
                "spec.additionalPrinterColumns[0].JSONPath: Required value",
            ],
        ),
        (
            definition(deprecationWarning="x"),
            [
                'spec.versions[0].deprecationWarning: Invalid value: "x": can only be set for '
                "deprecated versions"
            ],
        ),
        (
            changed(conversion={"strategy": "X"}),
            ['spec.conversion.strategy: Unsupported value: "X": supported values: "None", "Webhook"'],
        ),
        (
            definition(obj(spec=obj(a=TEXT)), selectableFields=[{"jsonPath": ".spec.z"}, {}]),
            [
                'spec.selectableFields[0].jsonPath: Invalid value: ".spec.z": is an invalid '
                "path: does not refer "
                "to a valid field",
                "spec.selectableFields[1].jsonPath: Required value",
            ],
        ),
    ],
)
def test_definitions_are_refused_in_the_servers_words(crd, expected):
    assert refusals(crd) == expected


def test_one_version_is_stored_and_differing_schemas_are_told_by_version():
    crd = definition()
    crd["spec"]["versions"].append({**crd["spec"]["versions"][0], "name": "v2"})
    assert any("must have exactly one version marked as storage version" in one for one in refusals(crd))
    crd["spec"]["versions"][1] = {
        "name": "v2",
        "served": True,
        "storage": False,
        "schema": {"openAPIV3Schema": obj(a={})},
    }
    assert refusals(crd) == [
        "spec.versions[1].schema.openAPIV3Schema.properties[a].type: Required value: must not be empty for "
        "specified object fields"
    ]


def test_schema_documents_are_decoded_strictly_but_forgivingly():
    schema = obj(a={**obj(x={**TEXT, "zip": 1}), "oneOf": [{"zap": 2}]}, b=None)
    assert unknown_schema_fields(schema, "s") == [
        "s.properties.a.properties.x.zip",
        "s.properties.a.oneOf[0].zap",
    ]
    assert schema == obj(a={**obj(x=TEXT), "oneOf": [{}]}, b={})
    assert schema_type_problem(obj(a=obj(x={"minLength": "q"})), "s") == (
        "json: cannot unmarshal string into Go struct field "
        "JSONSchemaProps.s.properties.properties.minLength "
        "of type int64"
    )
    assert schema_type_problem({"properties": []}, "s").endswith("of type map[string]v1.JSONSchemaProps")


def test_a_schema_may_not_nest_without_end():
    schema = TEXT
    for _ in range(DEEPEST + 1):
        schema = obj(a=schema)
    with pytest.raises(SchemaTooDeep):
        read_schema(schema)
    assert "must not nest deeper" in refusals(definition(schema))[0]


def test_authors_are_told_what_is_not_evaluated():
    schema = obj(a={**TEXT, "format": "weird", "x-kubernetes-validations": [{"rule": "true"}]})
    first, second = cautions(definition(schema))
    assert first == 'unrecognized format "weird"'
    assert "does not evaluate its 1 x-kubernetes-validations" in second


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("b", "abc", True),
        ("^b", "abc", False),
        ("c$", "abc", True),
        ("c$", "abc\n", False),
        (r"^\d{2,3}$", "12", True),
        (r"^\d{2,3}$", "1234", False),
        ("^[[:alpha:]_-]+$", "a_b-c", True),
        ("^(?:a|bc)*$", "abca", True),
        ("(?i)^ABC$", "abc", True),
        (r"\bfoo\b", "a foo b", True),
        (r"\bfoo\b", "afoo", False),
        (r"^\x41\.\Qa.b\E$", "A.a.b", True),
        (r"^\pL+$", "äb", True),
        ("^[^a-c]$", "d", True),
        ("^a{2$", "a{2", True),
        ("^.$", "\n", False),
        ("(?s)^.$", "\n", True),
        ("^(a+)+$", "a" * 20_000 + "b", False),
    ],
)
def test_patterns_match_as_the_servers_engine_does(pattern, text, expected):
    assert Automaton(pattern).matches(text) is expected


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "missing closing ): `(`"),
        ("[a", "missing closing ]: `[a`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        (r"\y", r"invalid escape sequence: `\y`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("a)", "unexpected ): `a)`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
    ],
)
def test_what_is_no_pattern_is_refused_in_the_engines_words(pattern, message):
    with pytest.raises(PatternError, match=re.escape(f"error parsing regexp: {message}")):
        Automaton(pattern)


def test_a_pattern_cannot_grow_without_end():
    with pytest.raises(PatternError, match="too large"):
        Automaton("((a{100}){100}){100}")


ATOMS = [
    "a",
    "b",
    ".",
    "[ab]",
    "[^a]",
    r"\d",
    r"\w",
    "a*",
    "b+",
    "(a|b)*",
    "(ab)?",
    "^",
    r"\b",
    "a{2,3}",
    "(?:b|)",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(ATOMS), min_size=1, max_size=6), st.text("abx1 \n", max_size=8))
def test_patterns_match_what_another_engine_matches(atoms, text):
    pattern = "".join(atoms)
    try:
        expected = re.compile(pattern, re.ASCII).search(text) is not None
    except re.error:
        return
    assert Automaton(pattern).matches(text) is expected


def test_no_pattern_takes_long():
    begun = time.process_time()
    assert not Automaton("^(([a-z])+.)+[A-Z]([a-z])+$").matches("a" * 100_000)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date-time", "2020-01-01T00:00:00Z", "yesterday"),
        ("date", "2020-12-31", "2020-13-01"),
        ("duration", "1h30m", "5x"),
        ("ipv4", "10.0.0.1", "10.0.0"),
        ("ipv6", "fe80::1", "10.0.0.1"),
        ("cidr", "10.0.0.0/8", "10.0.0.0"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "x"),
        ("byte", "aGk=", "@@"),
        ("email", "a@b.example", "x"),
        ("hostname", "a.example.com", "-a"),
        ("mac", "00:1b:44:11:3a:b7", "00:1b"),
        ("uri", "https://example.com/x", "no uri"),
        ("hexcolor", "#ffcc00", "#ff"),
    ],
)
def test_formats_are_told_apart(name, good, bad):
    assert has_format(name, good)
    assert not has_format(name, bad)


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


def test_names_are_taken_unless_another_has_them():
    wanted = {"plural": "as", "singular": "a", "kind": "A", "listKind": "AList", "shortNames": ["x"]}
    assert accept(wanted, {}, []) == (wanted, "NoConflicts", "no conflicts found")
    other = {"plural": "bs", "singular": "b", "kind": "A", "listKind": "BList", "shortNames": ["x"]}
    names, reason, message = accept(wanted, {}, [other])
    assert (reason, message) == ("KindConflict", '"A" is already in use')
    assert names == {"plural": "as", "singular": "a", "listKind": "AList"}
    assert accept(wanted, wanted, [other])[1] == "NoConflicts"


def test_versions_are_shown_by_precedence():
    given = ["foo", "v1alpha1", "v3beta1", "v1", "v10", "v2", "v11alpha2", "bar"]
    assert sorted(given, key=precedence) == [
        "v10",
        "v2",
        "v1",
        "v3beta1",
        "v11alpha2",
        "v1alpha1",
        "bar",
        "foo",
    ]


def test_a_registry_forgets_what_is_dropped_and_keeps_what_is_built_in():
    registry = Registry()
    before = registry.resources
    info = before[0].__class__("x.example.com", "v1", "Widget", "widgets", "widget")
    registry.put((info,), info)
    assert registry.find("x.example.com", "v1", "widgets") is info
    assert registry.find_kind("x.example.com/v1", "Widget") is info
    assert registry.stored("x.example.com", "widgets") is info
    registry.drop("x.example.com", "widgets")
    assert registry.find("x.example.com", "v1", "widgets") is None
    assert registry.resources == before


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


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "type",
                "items",
                "properties",
                "default",
                "enum",
                "anyOf",
                "not",
                "pattern",
                "nullable",
                LIST,
                KEYS,
            ]
        ),
        JSON,
        max_size=4,
    )
)
def test_any_document_is_decoded_and_judged_without_an_accident(document):
    if schema_type_problem(document, "s"):
        return
    unknown_schema_fields(document, "s")
    refusals(definition(document))
    cautions(definition(document))


def varint(number):
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def message(number, content):
    """Return a field: a text, bytes of a message, a truth value, a whole number or one with a point."""
    if isinstance(content, bool | int):
        return varint(number << 3) + varint(int(content))
    if isinstance(content, float):
        return varint(number << 3 | 1) + struct.pack("<d", content)
    inside = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(inside)) + inside


def test_a_schema_that_comes_as_protobuf_is_the_same():
    size = b"".join(
        (
            message(5, "integer"),
            message(9, 10.0),
            message(11, 0.0),
            message(8, message(1, "3")),
            message(37, False),
        )
    )
    tags = b"".join(
        (
            message(5, "array"),
            message(16, 0),
            message(24, message(1, message(5, "string"))),
            message(42, "set"),
            message(20, message(1, '["a"]')),
        )
    )
    loose = message(5, "object") + message(30, message(1, True))
    kept = message(5, "object") + message(30, message(1, False) + message(2, message(5, "string")))
    properties = {"size": size, "tags": tags, "loose": loose, "kept": kept}
    root = message(5, "object") + message(18, False) + message(38, False) + message(23, "size")
    root += message(44, message(1, "true")) + message(4, "")
    for name, schema in properties.items():
        root += message(29, message(1, name) + message(2, schema))
    assert read_schema_message(memoryview(root)) == {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": False,
        "required": ["size"],
        "x-kubernetes-validations": [{"rule": "true"}],
        "properties": {
            "size": {"type": "integer", "maximum": 10, "minimum": 0, "default": 3},
            "tags": {"type": "array", "maxItems": 0, "items": TEXT, LIST: "set", "enum": [["a"]]},
            "loose": {"type": "object", "additionalProperties": True},
            "kept": {"type": "object", "additionalProperties": TEXT},
        },
    }


def test_a_schema_that_comes_as_protobuf_may_not_nest_without_end():
    schema = message(5, "string")
    for _ in range(DEEPEST + 2):
        schema = message(28, schema)
    with pytest.raises(ProtobufError):
        read_schema_message(memoryview(schema))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_bytes_that_are_no_schema_are_refused(data):
    with contextlib.suppress(ProtobufError):
        read_schema_message(memoryview(data))
