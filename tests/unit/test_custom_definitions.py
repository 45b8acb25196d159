"""Definitions of custom resources: which are refused and how, what their authors are told, their names."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcm.sandbox.schema.custom.cautions import cautions
from kcm.sandbox.schema.custom.definition import default_definition, first_status
from kcm.sandbox.schema.custom.definition_rules import check_new
from kcm.sandbox.schema.custom.document import schema_type_problem, unknown_schema_fields
from kcm.sandbox.schema.custom.naming import accept
from kcm.sandbox.schema.custom.structural import DEEPEST, SchemaTooDeep, read_schema
from kcm.sandbox.schema.registry import Registry, precedence

TEXT = {"type": "string"}
NUMBER = {"type": "integer"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "k", "kind"]), inner, max_size=3)
    ),
    max_leaves=12,
)


def obj(**properties):
    return {"type": "object", "properties": properties}


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
