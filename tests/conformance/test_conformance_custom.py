"""reference: apiserver 2, row CRD; 3; 7: custom resources, from their definition to their end."""

import copy
import time

import pytest
from paths import everywhere
from target import APPLY, STRATEGIC

DEFINITIONS = everywhere("customresourcedefinitions")
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1, "maximum": 9},
                "colour": {"type": "string", "enum": ["red", "blue"], "default": "red"},
                "word": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
                "since": {"type": "string", "format": "date-time"},
                "replicas": {"type": "integer"},
                "port": {"x-kubernetes-int-or-string": True},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "maybe": {"type": "string", "nullable": True},
                "many": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                "parts": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["id"],
                    "items": {
                        "type": "object",
                        "required": ["id"],
                        "properties": {"id": {"type": "string"}, "level": {"type": "integer", "default": 5}},
                    },
                },
                "extra": {"type": "object", "additionalProperties": {"type": "integer"}},
            },
        },
        "status": {
            "type": "object",
            "properties": {
                "replicas": {"type": "integer"},
                "selector": {"type": "string"},
                "note": {"type": "string"},
            },
        },
    },
}
VERSION = {
    "name": "v1",
    "served": True,
    "storage": True,
    "schema": {"openAPIV3Schema": SCHEMA},
    "subresources": {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    },
    "additionalPrinterColumns": [
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "Since", "type": "date", "jsonPath": ".spec.since"},
        {"name": "Note", "type": "string", "jsonPath": ".status.note", "priority": 1},
    ],
    "selectableFields": [{"jsonPath": ".spec.colour"}],
}


def definition(group, plural="widgets", kind="Widget", versions=(VERSION,), **spec):
    names = {"plural": plural, "kind": kind, "shortNames": [plural[:4]]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": list(versions), **spec},
    }


def conditions(answer):
    return {each["type"]: each for each in answer.json.get("status", {}).get("conditions") or ()}


def established(answer):
    return conditions(answer).get("Established", {}).get("status") == "True"


@pytest.fixture(scope="module")
def group(paths):
    """A group that no other run has."""
    return f"{paths.namespace}.test"


@pytest.fixture(scope="module")
def custom(target, paths, group):
    """The collection of a kind with everything; v2 is served too."""
    versions = [VERSION, {**VERSION, "name": "v2", "storage": False}]
    target.post(DEFINITIONS, definition(group, versions=versions)).ok(201)
    path = f"{DEFINITIONS}/widgets.{group}"
    try:
        target.eventually(path, established)
        for version in ("v1", "v2"):
            target.eventually(
                f"/apis/{group}/{version}", lambda answer: answer.code == 200 and "widgets" in answer.text
            )
        yield f"/apis/{group}/v1/namespaces/{paths.namespace}/widgets"
    finally:
        target.delete(path).ok(200)


def widget(custom, name, status=None, **spec):
    body = {
        "apiVersion": "/".join(custom.split("/")[2:4]),
        "kind": "Widget",
        "metadata": {"name": name},
        "spec": {"size": 1, **spec},
    }
    return body if status is None else {**body, "status": status}


@pytest.fixture
def one(target, custom, name):
    """A widget: its path and the answer that made it."""
    return f"{custom}/{name}", target.post(custom, widget(custom, name)).ok(201)


# --- the definition


def test_a_definition_becomes_established(target, group, custom):
    """reference: apiserver 2, CRD: NamesAccepted (NoConflicts), Established (InitialNamesAccepted)"""
    found = conditions(target.get(f"{DEFINITIONS}/widgets.{group}"))
    assert (found["NamesAccepted"]["status"], found["NamesAccepted"]["reason"]) == ("True", "NoConflicts")
    assert (found["Established"]["status"], found["Established"]["reason"]) == (
        "True",
        "InitialNamesAccepted",
    )


def test_a_definition_tells_its_accepted_names(target, group, custom):
    """reference: apiserver 2, CRD: acceptedNames, storedVersions"""
    status = target.get(f"{DEFINITIONS}/widgets.{group}").json["status"]
    assert status["acceptedNames"] == {
        "plural": "widgets",
        "singular": "widget",
        "shortNames": ["widg"],
        "kind": "Widget",
        "listKind": "WidgetList",
    }
    assert status["storedVersions"] == ["v1"]


def test_a_definition_is_filled_in(target, group, custom):
    """reference: apiserver 2, CRD: names, conversion None"""
    spec = target.get(f"{DEFINITIONS}/widgets.{group}").json["spec"]
    assert spec["conversion"] == {"strategy": "None"}
    assert (spec["names"]["singular"], spec["names"]["listKind"]) == ("widget", "WidgetList")


def test_a_definition_has_a_generation(target, group, custom):
    """reference: apiserver 2, generation: 1 on create for CRD"""
    assert target.get(f"{DEFINITIONS}/widgets.{group}").meta["generation"] == 1


def test_a_custom_kind_is_discovered(target, group, custom):
    """reference: apiserver 2, CRD: then routes/discovery/OpenAPI"""
    found = {each["name"]: each for each in target.get(f"/apis/{group}/v1").ok(200).json["resources"]}
    assert set(found) == {"widgets", "widgets/status", "widgets/scale"}
    assert (found["widgets"]["kind"], found["widgets"]["shortNames"]) == ("Widget", ["widg"])
    assert group in {each["name"] for each in target.get("/apis").json["groups"]}


def test_a_custom_kind_is_described(target, group, custom):
    """reference: apiserver 2, CRD: OpenAPI"""
    target.eventually("/openapi/v3", lambda answer: f"apis/{group}/v1" in answer.json["paths"])
    url = target.get("/openapi/v3").json["paths"][f"apis/{group}/v1"]["serverRelativeURL"]
    document = target.get(url).ok(200).json
    schemas = document["components"]["schemas"].values()
    (found,) = [
        each
        for each in schemas
        if any(kind["kind"] == "Widget" for kind in each.get("x-kubernetes-group-version-kind", ()))
    ]
    assert found["properties"]["spec"]["properties"]["size"]["type"] == "integer"


UNSTRUCTURAL = copy.deepcopy(VERSION)
UNSTRUCTURAL["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["bare"] = {}
DEFINED = {
    "name": (
        lambda group: {**definition(group), "metadata": {"name": f"wrong.{group}"}},
        "metadata.name",
        'must be spec.names.plural+"."+spec.group',
    ),
    "unstructural": (
        lambda group: definition(group, "gizmos", "Gizmo", [UNSTRUCTURAL]),
        "spec.validation.openAPIV3Schema.properties[spec].properties[bare].type",
        "must not be empty for specified object fields",
    ),
    "no-schema": (
        lambda group: definition(group, "gizmos", "Gizmo", [{"name": "v1", "served": True, "storage": True}]),
        "spec.versions[0].schema.openAPIV3Schema",
        "Required value",
    ),
    "root-type": (
        lambda group: definition(
            group,
            "gizmos",
            "Gizmo",
            [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "string"}},
                }
            ],
        ),
        "spec.validation.openAPIV3Schema.type",
        "must be object at the root",
    ),
    "two-storage": (
        lambda group: definition(group, "gizmos", "Gizmo", [VERSION, {**VERSION, "name": "v2"}]),
        "spec.versions",
        "must have exactly one version marked as storage version",
    ),
    "scope": (
        lambda group: definition(group, "gizmos", "Gizmo", scope="Everywhere"),
        "spec.scope",
        "Unsupported value",
    ),
}


@pytest.mark.parametrize("case", DEFINED)
def test_an_impossible_definition_is_refused(target, group, case):
    """reference: apiserver 2, CRD: name plural.group; structural schemas"""
    make, field, words = DEFINED[case]
    answer = target.post(DEFINITIONS, make(group)).ok(422)
    causes = answer.json["details"]["causes"]
    assert [True for each in causes if each["field"] == field and words in each["message"]], answer.message


def test_a_kind_that_is_taken_is_not_accepted(target, group, custom):
    """reference: apiserver 2, CRD: NamesAccepted False, not Established"""
    made = target.post(DEFINITIONS, definition(group, "gadgets", "Widget")).ok(201)
    path = f"{DEFINITIONS}/{made.meta['name']}"
    found = conditions(target.eventually(path, lambda answer: "NamesAccepted" in conditions(answer)))
    target.delete(path).ok(200)
    assert found["NamesAccepted"]["status"] == "False"
    assert found["Established"]["status"] == "False"
    target.get(f"/apis/{group}/v1/gadgets").ok(404)


def test_a_deleted_definition_takes_its_objects_along(target, paths, group):
    """reference: apiserver 2, CRD: routes end with the definition"""
    target.post(DEFINITIONS, definition(group, "doomed", "Doomed")).ok(201)
    path = f"{DEFINITIONS}/doomed.{group}"
    target.eventually(path, established)
    things = f"/apis/{group}/v1/namespaces/{paths.namespace}/doomed"
    target.eventually(things, lambda answer: answer.code == 200)
    body = {"apiVersion": f"{group}/v1", "kind": "Doomed", "metadata": {"name": "d"}, "spec": {"size": 1}}
    target.post(things, body).ok(201)
    target.delete(path).ok(200)
    target.eventually(path, lambda answer: answer.code == 404)
    target.eventually(things, lambda answer: answer.code == 404)
    target.post(DEFINITIONS, definition(group, "doomed", "Doomed")).ok(201)
    target.eventually(things, lambda answer: answer.code == 200 and answer.json["items"] == [])
    target.delete(path).ok(200)


# --- objects


def test_unknown_fields_are_pruned(target, custom, name):
    """reference: apiserver 2, CRD: Prune"""
    answer = target.post(custom, widget(custom, name, what=1, parts=[{"id": "a", "x": 1}])).ok(201)
    assert "what" not in answer.json["spec"]
    assert answer.json["spec"]["parts"] == [{"id": "a", "level": 5}]
    warnings = ", ".join(answer.headers.get_all("Warning"))
    assert warnings == ", ".join(
        f'299 - "unknown field \\"{field}\\""' for field in ("spec.parts[0].x", "spec.what")
    )


def test_unknown_fields_are_kept_where_the_schema_says_so(target, custom, name):
    """reference: apiserver 2, CRD: preserve-unknown-fields"""
    answer = target.post(custom, widget(custom, name, free={"deep": {"er": 1}})).ok(201)
    assert answer.json["spec"]["free"] == {"deep": {"er": 1}}


def test_unknown_fields_are_refused_when_strict(target, custom, name):
    """reference: apiserver 2, fieldValidation of custom resources"""
    answer = target.post(custom, widget(custom, name, what=1), fieldValidation="Strict").ok(400)
    assert answer.message == (
        'Widget in version "v1" cannot be handled as a Widget: '
        'strict decoding error: unknown field "spec.what"'
    )


def test_defaults_are_filled_in(target, one):
    """reference: apiserver 2, CRD: default"""
    assert one[1].json["spec"] == {"colour": "red", "size": 1}


DEFAULTED = {
    "null-of-a-default": ({"colour": None}, {"colour": "red", "size": 1}),
    "nullable": ({"maybe": None}, {"colour": "red", "maybe": None, "size": 1}),
    "int-or-string-int": ({"port": 5}, {"colour": "red", "port": 5, "size": 1}),
    "int-or-string-string": ({"port": "http"}, {"colour": "red", "port": "http", "size": 1}),
    "map-of-integers": ({"extra": {"a": 1}}, {"colour": "red", "extra": {"a": 1}, "size": 1}),
}


@pytest.mark.parametrize("case", DEFAULTED)
def test_values_are_taken_as_the_schema_says(target, custom, name, case):
    """reference: apiserver 2, CRD: nullable, int-or-string, default"""
    given, kept = DEFAULTED[case]
    assert target.post(custom, widget(custom, name, **given)).ok(201).json["spec"] == kept


INVALID = {
    "minimum": (
        {"size": 0},
        "spec.size",
        "FieldValueInvalid",
        "spec.size in body should be greater than or equal to 1",
    ),
    "maximum": (
        {"size": 10},
        "spec.size",
        "FieldValueInvalid",
        "spec.size in body should be less than or equal to 9",
    ),
    "required": ({"size": None}, "spec.size", "FieldValueRequired", "Required value"),
    "type": (
        {"size": "x"},
        "spec.size",
        "FieldValueTypeInvalid",
        'spec.size in body must be of type integer: "string"',
    ),
    "enum": (
        {"colour": "green"},
        "spec.colour",
        "FieldValueNotSupported",
        'Unsupported value: "green": supported values: "red", "blue"',
    ),
    "pattern": ({"word": "A"}, "spec.word", "FieldValueInvalid", "spec.word in body should match '^[a-z]+$'"),
    "length": (
        {"word": "abcdefg"},
        "spec.word",
        "FieldValueTooLong",
        "Too long: may not be more than 5 bytes",
    ),
    "format": ({"since": "now"}, "spec.since", "FieldValueTypeInvalid", 'must be of type date-time: "now"'),
    "items": ({"many": list("abcd")}, "spec.many", "FieldValueTooMany", "must have at most 3 items"),
    "set": ({"tags": ["a", "a"]}, "spec.tags[1]", "FieldValueDuplicate", 'Duplicate value: "a"'),
    "map": (
        {"parts": [{"id": "a"}, {"id": "a"}]},
        "spec.parts[1]",
        "FieldValueDuplicate",
        'Duplicate value: {"id":"a"}',
    ),
    "key": ({"parts": [{"level": 1}]}, "spec.parts[0].id", "FieldValueRequired", "Required value"),
    "int-or-string": ({"port": 1.5}, "spec.port", "FieldValueTypeInvalid", "must be of type integer,string"),
    "additional": ({"extra": {"a": "x"}}, "spec.extra.a", "FieldValueTypeInvalid", "must be of type integer"),
}


@pytest.mark.parametrize("case", INVALID)
def test_the_schema_is_enforced(target, custom, name, case):
    """reference: apiserver 2, CRD: validate structural schemas (…, list map/set)"""
    spec, field, reason, words = INVALID[case]
    answer = target.post(custom, widget(custom, name, **spec)).ok(422)
    found = [(each["field"], each["reason"]) for each in answer.json["details"]["causes"]]
    assert (field, reason) in found, answer.message
    assert words in answer.message


def test_a_custom_object_needs_its_kind(target, custom, name):
    """reference: apiserver 4, 400: custom resources carry apiVersion and kind"""
    answer = target.post(custom, {"metadata": {"name": name}, "spec": {"size": 1}}).ok(400)
    assert "Object 'Kind' is missing in" in answer.message


def test_a_custom_object_has_a_name_of_the_usual_form(target, custom):
    """reference: apiserver 5, Usual 422: DNS names, of custom resources"""
    assert target.post(custom, widget(custom, "Upper")).ok(422).causes[0][1] == "metadata.name"


# --- status, scale, generation


def test_creation_drops_the_status(target, custom, name):
    """reference: apiserver 2, status: create clears it"""
    answer = target.post(custom, widget(custom, name, status={"note": "x"})).ok(201)
    assert "status" not in answer.json


def test_the_status_of_a_custom_object_has_its_endpoint(target, one):
    """reference: apiserver 2, status: CR all metadata; generation: status writes never"""
    path, _ = one
    change = {"status": {"note": "y"}, "spec": {"size": 9}, "metadata": {"labels": {"a": "b"}}}
    answer = target.patch(f"{path}/status", change).ok(200)
    assert answer.json["status"] == {"note": "y"}
    assert answer.json["spec"]["size"] == 1
    assert "labels" not in answer.meta
    assert answer.meta["generation"] == 1


@pytest.mark.parametrize(
    ("change", "generation"),
    [({"spec": {"size": 2}}, 2), ({"metadata": {"labels": {"a": "b"}}}, 1), ({"status": {"note": "z"}}, 1)],
    ids=["spec", "label", "status"],
)
def test_generation_of_a_custom_object(target, one, change, generation):
    """reference: apiserver 2, generation: CR on any non-metadata change"""
    answer = target.patch(one[0], change).ok(200)
    assert answer.meta["generation"] == generation
    assert "status" not in answer.json


def test_a_custom_object_scales(target, custom, name):
    """reference: apiserver 2, CRD: Status/scale per version; scale: status.selector string; 9, trap 22"""
    target.post(custom, widget(custom, name, replicas=2)).ok(201)
    path = f"{custom}/{name}"
    target.patch(f"{path}/status", {"status": {"replicas": 1, "selector": "a=b"}}).ok(200)
    found = target.get(f"{path}/scale").ok(200).json
    assert (found["kind"], found["spec"], found["status"]) == (
        "Scale",
        {"replicas": 2},
        {"replicas": 1, "selector": "a=b"},
    )
    target.patch(f"{path}/scale", {"spec": {"replicas": 5}}).ok(200)
    assert target.get(path).json["spec"]["replicas"] == 5


# --- writes


def test_a_custom_put_needs_a_version(target, custom, one, name):
    """reference: apiserver 2, PUT: except … CR…: 422; 9, trap 18"""
    answer = target.put(one[0], widget(custom, name, size=3)).ok(422)
    assert "metadata.resourceVersion: Invalid value: 0: must be specified for an update" in answer.message


def test_a_custom_put_with_a_version_replaces(target, custom, one, name):
    """reference: apiserver 2, PUT of custom resources"""
    body = widget(custom, name, size=3)
    body["metadata"]["resourceVersion"] = one[1].version
    assert target.put(one[0], body).ok(200).json["spec"]["size"] == 3


def test_a_custom_object_takes_no_strategic_patch(target, one):
    """reference: apiserver 2, CRD: No strategic merge (415)"""
    answer = target.patch(one[0], {"spec": {"size": 4}}, STRATEGIC).ok(415)
    assert answer.message.endswith(
        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    )


def test_a_custom_object_is_applied(target, custom, name):
    """reference: apiserver 7, SSA with a schema's list keys"""
    path = f"{custom}/{name}"
    for manager, part in (("a", "one"), ("b", "two")):
        body = widget(custom, name, parts=[{"id": part}])
        answer = target.ask("PATCH", path, body, APPLY, fieldManager=manager).ok()
    assert [each["id"] for each in answer.json["spec"]["parts"]] == ["one", "two"]


def test_a_custom_object_is_deleted_with_details(target, one, group, name):
    """reference: apiserver 2, DELETE: details {name, group, kind:<plural>, uid}"""
    details = target.delete(one[0]).ok(200).json["details"]
    uid = one[1].meta["uid"]
    assert details == {"name": name, "group": group, "kind": "widgets", "uid": uid}


def test_a_no_op_on_a_custom_object_keeps_the_version(target, one):
    """reference: apiserver 2, RV: a write that changes nothing; 9, trap 9"""
    assert target.patch(one[0], {"spec": {"size": 1}}).ok(200).version == one[1].version


# --- reads


def test_a_list_of_custom_objects_names_their_kind(target, custom, one):
    """reference: apiserver 3: custom items do carry apiVersion and kind"""
    found = target.get(custom).ok(200).json
    assert found["kind"] == "WidgetList"
    assert {each["kind"] for each in found["items"]} == {"Widget"}


def test_custom_objects_are_watched(target, custom, one, name):
    """reference: apiserver 3, WATCH of custom resources"""
    query = {"resourceVersion": one[1].version, "fieldSelector": f"metadata.name={name}"}
    with target.watch(custom, **query) as watch:
        target.patch(one[0], {"spec": {"size": 7}}).ok(200)
        event = watch.next()
    assert (event["type"], event["object"]["spec"]["size"]) == ("MODIFIED", 7)


def test_the_other_version_shows_the_same_object(target, custom, one):
    """reference: apiserver 2, CRD: Conversion None rewrites apiVersion"""
    found = target.get(one[0].replace("/v1/namespaces", "/v2/namespaces")).ok(200)
    assert found.json["apiVersion"].endswith("/v2")
    assert found.meta["uid"] == one[1].meta["uid"]


def test_the_table_has_the_printer_columns(target, custom, one, name):
    """reference: apiserver 1, Table columns: CRs: Name + additionalPrinterColumns (…missing → null)"""
    target.patch(one[0], {"spec": {"size": 8}}).ok(200)
    table = target.get(one[0], headers={"Accept": TABLE}).ok(200).json
    names = [(each["name"], each["priority"]) for each in table["columnDefinitions"]]
    assert names == [("Name", 0), ("Size", 0), ("Since", 0), ("Note", 1)]
    assert table["rows"][0]["cells"] == [name, 8, None, None]


def test_a_date_column_shows_an_age(target, custom, name):
    """reference: apiserver 1, Table columns: CRs: date → age"""
    target.post(custom, widget(custom, name, since="2020-01-01T00:00:00Z")).ok(201)
    (row,) = target.get(f"{custom}/{name}", headers={"Accept": TABLE}).json["rows"]
    year = int(time.strftime("%Y"))
    assert row["cells"][2] in {
        f"{years}y{days}d" for years in (year - 2020, year - 2021) for days in range(366)
    } | {f"{year - 2020}y"}


def test_selectable_fields_select(target, custom, name):
    """reference: apiserver 2, CRD: selectableFields"""
    target.post(custom, widget(custom, name, colour="blue")).ok(201)
    assert target.get(custom, fieldSelector="spec.colour=blue").ok(200).names == [name]
    assert target.get(custom, fieldSelector="spec.size=1").ok(400).reason == "BadRequest"
