"""The pure parts of server-side apply: field sets, walks over typed objects, entries, the two operations."""

from __future__ import annotations

import json
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcm.sandbox.schema.apply import (
    NOBODY,
    ApplyConflict,
    ConfigurationUnfit,
    FieldSetError,
    Managed,
    Version,
    Writing,
    apply,
    builtin,
    custom,
    managed,
    paths_shown,
    read_managed,
    resets,
    track_update,
)
from kcm.sandbox.schema.apply.checking import problems
from kcm.sandbox.schema.apply.compare import compare, owned
from kcm.sandbox.schema.apply.fieldsets import (
    Path,
    Tree,
    difference,
    has,
    intersection,
    is_member,
    ordered,
    paths,
    read_tree,
    single,
    union,
)
from kcm.sandbox.schema.apply.kinds import Kind
from kcm.sandbox.schema.apply.managers import Entry, field_set
from kcm.sandbox.schema.apply.merging import merge, without
from kcm.sandbox.schema.apply.scale import REPLICAS, to_parent, to_scale
from kcm.sandbox.schema.resources import RESOURCES

Json = dict[str, Any]

elements = st.sampled_from(("f:a", "f:b", 'k:{"n":"x"}', 'k:{"n":"y"}', 'v:"s"', "i:0"))
path_sets = st.frozensets(st.lists(elements, min_size=1, max_size=4).map(tuple), max_size=12)


def tree_of(members: frozenset[Path]) -> Tree:
    return reduce(union, map(single, sorted(members)), {})


def kind_of(name: str, version: str) -> Kind:
    kind = builtin(name, version)
    assert kind is not None
    return kind


DEPLOYMENT = kind_of("Deployment", "apps/v1")
POD = kind_of("Pod", "v1")
SERVICE = kind_of("Service", "v1")


@given(path_sets, path_sets)
def test_trees_are_sets_of_paths(one: frozenset[Path], other: frozenset[Path]) -> None:
    left, right = tree_of(one), tree_of(other)
    before = json.dumps([left, right])
    assert set(paths(left)) == one
    assert all(has(left, path) for path in one)
    assert set(paths(union(left, right))) == one | other
    assert set(paths(intersection(left, right))) == one & other
    assert set(paths(difference(left, right))) == one - other
    below = {path for path in one if not any(path[: len(cut)] == cut for cut in other)}
    assert set(paths(difference(left, right, deep=True))) == below
    assert json.dumps([left, right]) == before


@given(path_sets)
def test_trees_survive_their_json(members: frozenset[Path]) -> None:
    tree = tree_of(members)
    fields = field_set(tree)
    assert read_tree(json.loads(fields.encoded)) == tree == fields.tree
    assert fields is field_set(read_tree(ordered(tree)))


@given(path_sets, path_sets)
def test_the_empty_set_is_the_empty_tree(one: frozenset[Path], other: frozenset[Path]) -> None:
    assert difference(tree_of(one), tree_of(one)) == {}
    assert bool(intersection(tree_of(one), tree_of(other))) == bool(one & other)


def test_members_come_before_what_is_below_and_fields_before_elements() -> None:
    tree: Tree = {"f:b": {".": {}, 'k:{"n":"x"}': {}, "f:z": {}}, "f:a": {"f:c": {}}}
    assert [paths_shown(path) for path in paths(tree)] == [".b", ".a.c", ".b.z", '.b[n="x"]']
    assert is_member(tree["f:b"])
    assert not is_member(tree["f:a"])


@pytest.mark.parametrize(
    "given_fields", [[], {"x": {}}, {"q:a": {}}, {"k:[]": {}}, {"i:a": {}}, {"f:a": 1}, {"k:{": {}}]
)
def test_what_is_no_field_set_is_refused(given_fields: Any) -> None:
    with pytest.raises(FieldSetError):
        read_tree(given_fields)


def test_keys_have_one_spelling() -> None:
    read = read_tree({'k:{"protocol": "TCP", "containerPort": 80}': {}})
    ports = [{"containerPort": 80}]
    container = {"metadata": {}, "spec": {"containers": [{"name": "c", "ports": ports}]}}
    (element,) = owned(POD, container)["f:spec"]["f:containers"]['k:{"name":"c"}']["f:ports"]
    assert list(read) == [element] == ['k:{"containerPort":80,"protocol":"TCP"}']


def test_characters_that_markup_knows_are_escaped_in_keys() -> None:
    obj = {"spec": {"containers": [{"name": "a&b"}]}}
    assert list(owned(POD, obj)["f:spec"]["f:containers"]) == ['k:{"name":"a\\u0026b"}']


def test_every_resource_has_a_kind() -> None:
    for resource in RESOURCES:
        kind = builtin(resource.nature, resource.api_version)
        assert kind is not None, resource
        assert kind.fields["metadata"].fields["finalizers"].keys == ()
        assert not kind.fields["metadata"].fields["finalizers"].atomic


@pytest.mark.parametrize(
    ("kind", "path", "form"),
    [
        (POD, "spec.containers", ("name",)),
        (POD, "spec.tolerations", "atomic"),
        (POD, "spec.nodeSelector", "atomic"),
        (POD, "spec.topologySpreadConstraints", ("topologyKey", "whenUnsatisfiable")),
        (POD, "status.conditions", ("type",)),
        (POD, "status.containerStatuses", "atomic"),
        (POD, "status.hostIPs", "atomic"),
        (POD, "status.podIPs", ("ip",)),
        (POD, "metadata.finalizers", "set"),
        (POD, "metadata.ownerReferences", ("uid",)),
        (POD, "metadata.labels", "granular"),
        (SERVICE, "spec.selector", "atomic"),
        (SERVICE, "spec.ports", ("port", "protocol")),
        (DEPLOYMENT, "spec.selector", "atomic"),
        (DEPLOYMENT, "spec.strategy", "granular"),
    ],
)
def test_types_merge_as_the_api_says(kind: Kind, path: str, form: str | tuple[str, ...]) -> None:
    found = kind
    for name in path.split("."):
        found = found.fields[name]
    is_set = found.form == "list" and not found.keys
    assert (found.keys or ("atomic" if found.atomic else "set" if is_set else "granular")) == form


texts = st.sampled_from(("a", "b", "c", ""))
scalars = st.none() | st.booleans() | st.integers(-1, 90) | texts
names = st.sampled_from(
    (
        "metadata",
        "labels",
        "finalizers",
        "spec",
        "containers",
        "name",
        "ports",
        "containerPort",
        "image",
        "env",
    )
) | st.sampled_from(("value", "status", "conditions", "type", "tolerations", "resources", "limits", "free"))
STRIPPED = {("f:metadata",)}
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5),
    max_leaves=25,
)
objects = st.dictionaries(names, values, max_size=6)
container = st.fixed_dictionaries(
    {"name": texts},
    optional={
        "image": texts,
        "env": st.lists(st.fixed_dictionaries({"name": texts}, optional={"value": texts}), max_size=3),
        "ports": st.lists(
            st.fixed_dictionaries({"containerPort": st.integers(1, 3)}, optional={"protocol": texts}),
            max_size=3,
        ),
        "args": st.lists(texts, max_size=2),
        "resources": st.dictionaries(st.just("limits"), st.dictionaries(texts, texts, max_size=2)),
    },
)
pods = st.fixed_dictionaries(
    {},
    optional={
        "metadata": st.fixed_dictionaries(
            {},
            optional={
                "labels": st.dictionaries(texts, texts, max_size=3),
                "finalizers": st.lists(texts, max_size=3),
            },
        ),
        "spec": st.fixed_dictionaries(
            {},
            optional={
                "containers": st.lists(container, max_size=4),
                "nodeSelector": st.dictionaries(texts, texts, max_size=2),
                "priority": st.integers(0, 2),
            },
        ),
    },
)


@given(objects, objects)
def test_any_two_objects_can_be_compared(old: Json, new: Json) -> None:
    before = json.dumps([old, new])
    forth, back = compare(POD, old, new), compare(POD, new, old)
    assert (forth.added, forth.modified, forth.removed) == (back.removed, back.modified, back.added)
    assert not any(compare(POD, old, old))
    assert json.dumps([old, new]) == before


@given(objects)
def test_any_configuration_can_be_judged(config: Json) -> None:
    owned(POD, config)
    assert all(text.startswith(".") for text in problems(POD, config))


def fit(config: Json) -> bool:
    return not problems(POD, config)


@given(pods, pods.filter(fit))
def test_merging_again_changes_nothing(live: Json, config: Json) -> None:
    before = json.dumps([live, config])
    once = merge(POD, live, config)
    assert merge(POD, once, config) == once
    assert json.dumps([live, config]) == before


@given(pods, pods.filter(fit))
def test_what_is_applied_is_there_and_owned(live: Json, config: Json) -> None:
    try:
        merged, entries = apply(NOBODY, live, config, writing("one"), force=True)
    except ConfigurationUnfit:
        return
    asked = set(paths(owned(POD, config)))
    assert merge(POD, merged, config) == merged
    mine = [entry for entry in entries.entries if entry.operation == "Apply"]
    assert [set(paths(entry.fields.tree)) for entry in mine] == (
        [asked - STRIPPED] if asked - STRIPPED else []
    )


@given(pods.filter(fit), pods.filter(fit))
def test_applying_what_another_applied_needs_no_force(first: Json, second: Json) -> None:
    live, entries = apply(NOBODY, {}, first, writing("one"), force=False)
    again, shared = apply(entries, live, first, writing("two"), force=False)
    assert again == live
    owners = {"one", "two"}
    try:
        apply(shared, live, second, writing("three"), force=False)
    except ApplyConflict as conflict:
        owners -= {one.entry.manager for one in conflict.conflicts}
        # Whatever conflicts does so with both, who share everything.
        assert not owners


@given(pods.filter(fit))
def test_the_last_owner_takes_everything_with_it(config: Json) -> None:
    live, entries = apply(
        NOBODY, {"spec": {"priority": 7}, "kind": "Pod"}, config, writing("one"), force=True
    )
    pruned, left = apply(entries, live, {"kind": "Pod"}, writing("one"), force=True)
    assert not [entry for entry in left.entries if entry.operation == "Apply"]
    for path in paths(owned(POD, config)):
        if len(path) > 2 and path[:2] != ("f:spec", "f:priority"):
            assert not has(owned(POD, pruned), path), path


def test_an_applier_that_named_nothing_removes_nothing() -> None:
    live = {"spec": {"containers": [{"name": "a"}]}}
    merged, entries = apply(NOBODY, live, {"metadata": {"name": "x"}}, writing("one"), force=False)
    assert merged["spec"] == live["spec"]
    assert [entry.manager for entry in entries.entries] == ["before-first-apply"]


@given(objects, objects, objects)
def test_any_update_can_be_tracked(first: Json, second: Json, third: Json) -> None:
    entries = track_update(NOBODY, {}, first, writing("one"))
    entries = track_update(entries, first, second, writing("two"))
    if first and second:
        entries = track_update(entries, second, third, writing("one"))
    assert read_managed(json.loads(entries.encoded)) is entries or not entries


def writing(
    manager: str, time: str = "2026-01-01T00:00:00Z", kind: Kind = POD, version: str = "v1"
) -> Writing:
    return Writing(manager, version, "", time, {version: Version(kind, dict, dict)}.get)


def test_a_silent_writer_takes_without_owning() -> None:
    old: Json = {"metadata": {"labels": {"a": "b", "c": "d"}}}
    new: Json = {"metadata": {"labels": {"a": "x", "c": "d"}}}
    entries = track_update(NOBODY, {}, old, writing("one"))
    entries = track_update(entries, old, new, writing("two"), silently=True)
    assert [(entry.manager, list(paths(entry.fields.tree))[-1][-1]) for entry in entries.entries] == [
        ("one", "f:c")
    ]


def test_entries_of_versions_that_are_gone_go() -> None:
    entries = managed((Entry("one", "Update", "v0", "", "", field_set({"f:spec": {}})),))
    assert (
        track_update(entries, {"spec": {}}, {"spec": {"priority": 1}}, writing("two")).entries[0].manager
        == "two"
    )


def test_entries_are_ordered_by_operation_time_and_name() -> None:
    fields = field_set({"f:a": {}})
    rows = [("b", "Update", "3"), ("a", "Update", "3"), ("c", "Update", "1"), ("d", "Apply", "9")]
    entries = managed(Entry(name, operation, "v1", "", time, fields) for name, operation, time in rows)
    assert [entry.manager for entry in entries.entries] == ["d", "c", "a", "b"]
    assert managed(entries.entries) is entries
    assert not NOBODY


@pytest.mark.parametrize(
    "value",
    [
        {},
        [1],
        [{"operation": "Update", "apiVersion": "v1"}],
        [{"operation": "Nonsense", "apiVersion": "v1", "fieldsType": "FieldsV1"}],
        [{"operation": "Apply", "fieldsType": "FieldsV1"}],
        [{"operation": "Apply", "apiVersion": 1, "fieldsType": "FieldsV1"}],
        [{"operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"a": {}}}],
    ],
)
def test_entries_that_cannot_be_read_are_refused(value: Any) -> None:
    with pytest.raises(FieldSetError):
        read_managed(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [([], True), ([1], False), ([{}], True), ([{"manager": "m"}], False), ([{}, {}], False), (None, False)],
)
def test_empty_entries_reset(value: Any, expected: bool) -> None:
    assert resets(value) == expected


def test_equal_owners_are_one_value_in_memory() -> None:
    pod: Json = {"spec": {"containers": [{"name": "c", "image": "i"}]}}
    assert track_update(NOBODY, {}, pod, writing("m")) is track_update(NOBODY, {}, dict(pod), writing("m"))
    later = track_update(NOBODY, {}, pod, writing("m", "2026-01-01T00:00:01Z"))
    assert later.entries[0].fields is track_update(NOBODY, {}, pod, writing("m")).entries[0].fields
    assert later.same_sets(track_update(NOBODY, {}, pod, writing("m")))


def test_without_leaves_the_emptied() -> None:
    obj = {"spec": {"containers": [{"name": "a", "image": "i"}], "nodeSelector": {"a": "b"}}}
    taken: Tree = {"f:spec": {"f:containers": {'k:{"name":"a"}': {"f:image": {}}}, "f:nodeSelector": {}}}
    assert without(POD, obj, taken) == {"spec": {"containers": [{"name": "a"}]}}
    taken = {"f:spec": {"f:containers": {'k:{"name":"a"}': {".": {}, "f:image": {}}}}}
    assert without(POD, obj, taken)["spec"]["containers"] == []


def scaled_entries(*rows: tuple[str, str, Path]) -> Managed:
    return managed(Entry(who, how, "apps/v1", "", "t", field_set(single(path))) for who, how, path in rows)


def test_a_scale_knows_of_its_parent_who_owns_the_replicas() -> None:
    parent = scaled_entries(("one", "Apply", REPLICAS), ("two", "Update", ("f:spec", "f:paused")))
    scale = to_scale(parent, REPLICAS)
    assert [(entry.manager, entry.api_version) for entry in scale.entries] == [("one", "autoscaling/v1")]
    assert to_parent(parent, scale, "apps/v1", REPLICAS).same_sets(parent)
    taken = managed((scale.entries[0]._replace(manager="auto", subresource="scale"),))
    found = to_parent(parent, taken, "apps/v1", REPLICAS)
    assert [(entry.manager, entry.time) for entry in found.entries] == [("auto", ""), ("two", "t")]


def test_a_custom_resource_without_a_schema_is_free() -> None:
    kind = custom({})
    obj = {"apiVersion": "a/v1", "spec": {"a": {"b": [1]}}, "metadata": {"labels": {"x": "y"}}}
    assert problems(kind, obj) == []
    assert owned(kind, obj)["f:spec"] == {".": {}, "f:a": {".": {}, "f:b": {}}}
    assert owned(kind, obj)["f:metadata"] == {"f:labels": {"f:x": {}}}


def test_a_schema_of_any_depth_makes_a_kind() -> None:
    source: Json = {"type": "string"}
    for _ in range(300):
        source = {"type": "object", "properties": {"a": source}}
    kind = custom(source)
    assert owned(kind, {"a": {"a": {}}}) == {"f:a": {"f:a": {}}}
