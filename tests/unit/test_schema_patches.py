"""What the three patches do to a document, and that they do nothing else."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcm.sandbox.schema.patches import PatchError, json_patch, merge_patch, strategic_merge
from kcm.sandbox.schema.patches.merge import apply_merge

RFC_7386 = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "result"), RFC_7386)
def test_a_merge_patch_does_what_the_rfc_shows(target: Any, patch: Any, result: Any) -> None:
    assert apply_merge(target, patch) == result


def test_a_merge_patch_of_an_object_must_be_an_object() -> None:
    with pytest.raises(PatchError) as refused:
        merge_patch({"a": 1}, [1])
    assert refused.value.code == 400


JSON_PATCHES = [
    pytest.param({"a": 1}, [{"op": "add", "path": "/b", "value": 2}], {"a": 1, "b": 2}, id="adds a member"),
    pytest.param({"a": [1, 3]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2, 3]}, id="inserts"),
    pytest.param({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}], {"a": [1, 2]}, id="appends"),
    pytest.param({"a": [1, 2]}, [{"op": "remove", "path": "/a/-1"}], {"a": [1]}, id="takes negative indices"),
    pytest.param({"a": 1, "b": 2}, [{"op": "remove", "path": "/a"}], {"b": 2}, id="removes"),
    pytest.param({"a": 1}, [{"op": "replace", "path": "/a", "value": 2}], {"a": 2}, id="replaces"),
    pytest.param(
        {"a": [1]}, [{"op": "replace", "path": "/a/0", "value": 2}], {"a": [2]}, id="replaces in a list"
    ),
    pytest.param({"a/b": {"~": 1}}, [{"op": "remove", "path": "/a~1b/~0"}], {"a/b": {}}, id="unescapes"),
    pytest.param({"a": 1}, [{"op": "move", "from": "/a", "path": "/b"}], {"b": 1}, id="moves"),
    pytest.param(
        {"a": {"b": 1}},
        [{"op": "copy", "from": "/a", "path": "/c"}],
        {"a": {"b": 1}, "c": {"b": 1}},
        id="copies",
    ),
    pytest.param({"a": 1}, [{"op": "test", "path": "/a", "value": 1}], {"a": 1}, id="tests"),
    pytest.param({"a": 1}, [{"op": "test", "path": "/b", "value": None}], {"a": 1}, id="null equals absent"),
]


@pytest.mark.parametrize(("doc", "ops", "result"), JSON_PATCHES)
def test_a_json_patch(doc: Any, ops: Any, result: Any) -> None:
    before = copy.deepcopy(doc)
    assert json_patch(doc, ops) == result
    assert doc == before


REFUSED = [
    pytest.param({"a": 1}, {"op": "add"}, 400, id="not a list"),
    pytest.param({"a": 1}, [{"op": "jump", "path": "/b"}], 400, id="unknown operation"),
    pytest.param({"a": 1}, [{"op": "add", "path": "b", "value": 1}], 400, id="not a pointer"),
    pytest.param({"a": 1}, [{"op": "remove", "path": "/b"}], 422, id="removes what is not there"),
    pytest.param({"a": 1}, [{"op": "test", "path": "/a", "value": 2}], 422, id="a test that fails"),
    pytest.param({"a": 1}, [{"op": "test", "path": "/a", "value": True}], 422, id="one is not true"),
    pytest.param({"a": [1]}, [{"op": "add", "path": "/a/7", "value": 2}], 422, id="beyond the end"),
    pytest.param({"a": [1]}, [{"op": "replace", "path": "/a/x", "value": 2}], 422, id="a word as index"),
    pytest.param({"a": 1}, [{"op": "add", "path": "/a/b", "value": 2}], 422, id="into a number"),
    pytest.param({"a": 1}, [{"op": "add", "path": "/x/b", "value": 2}], 422, id="into what is not there"),
    pytest.param({"a": {}}, [{"op": "move", "from": "/a", "path": "/a/b"}], 422, id="into itself"),
    pytest.param({"a": 1}, [{"op": "remove", "path": ""}], 422, id="removes everything"),
    pytest.param({"a": 1}, [{"op": "test", "path": "/a", "value": 1}] * 10_001, 413, id="too many"),
]


@pytest.mark.parametrize(("doc", "ops", "code"), REFUSED)
def test_a_json_patch_that_is_refused(doc: Any, ops: Any, code: int) -> None:
    with pytest.raises(PatchError) as refused:
        json_patch(doc, ops)
    assert refused.value.code == code


def containers(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "image": f"{name}:1"} for name in names]


STRATEGIC = [
    pytest.param(
        "Pod",
        {"spec": {"containers": containers("a", "b")}},
        {"spec": {"containers": [{"name": "b", "image": "b:2"}]}},
        {"spec": {"containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:2"}]}},
        id="merges containers by name and keeps their order",
    ),
    pytest.param(
        "Pod",
        {"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "x"}]}},
        {"status": {"conditions": [{"type": "Ready", "status": "True", "reason": None}]}},
        {"status": {"conditions": [{"type": "Ready", "status": "True"}]}},
        id="merges conditions by type and deletes with null",
    ),
    pytest.param(
        "Pod",
        {"status": {"containerStatuses": [{"name": "a", "ready": True}, {"name": "b", "ready": True}]}},
        {"status": {"containerStatuses": [{"name": "a", "ready": False}]}},
        {"status": {"containerStatuses": [{"name": "a", "ready": False}]}},
        id="replaces container statuses, which are atomic",
    ),
    pytest.param(
        "Pod",
        {"spec": {"tolerations": [{"key": "a"}], "containers": [{"name": "a", "args": ["1", "2"]}]}},
        {"spec": {"tolerations": [{"key": "b"}], "containers": [{"name": "a", "args": ["3"]}]}},
        {"spec": {"tolerations": [{"key": "b"}], "containers": [{"name": "a", "args": ["3"]}]}},
        id="replaces tolerations and args, which are atomic",
    ),
    pytest.param(
        "Pod",
        {"metadata": {"ownerReferences": [{"uid": "1"}, {"uid": "2"}]}},
        {"metadata": {"ownerReferences": [{"$patch": "delete", "uid": "1"}], "uid": "u"}},
        {"metadata": {"ownerReferences": [{"uid": "2"}], "uid": "u"}},
        id="releases a pod",
    ),
    pytest.param(
        "Pod",
        {"metadata": {"finalizers": ["a", "b", "c"]}},
        {"metadata": {"$deleteFromPrimitiveList/finalizers": ["b"]}},
        {"metadata": {"finalizers": ["a", "c"]}},
        id="deletes from a list of scalars",
    ),
    pytest.param(
        "Pod",
        {"metadata": {"finalizers": ["a"]}},
        {"metadata": {"finalizers": ["b", "a"]}},
        {"metadata": {"finalizers": ["b", "a"]}},
        id="merges a list of scalars in the patch's order",
    ),
    pytest.param(
        "Deployment",
        {"spec": {"template": {"spec": {"containers": containers("a", "b", "c")}}}},
        {
            "spec": {
                "template": {
                    "spec": {
                        "$setElementOrder/containers": [{"name": "c"}, {"name": "a"}, {"name": "b"}],
                        "containers": [{"name": "a", "image": "a:2"}],
                    }
                }
            }
        },
        {
            "spec": {
                "template": {
                    "spec": {
                        "containers": [
                            {"name": "c", "image": "c:1"},
                            {"name": "a", "image": "a:2"},
                            {"name": "b", "image": "b:1"},
                        ]
                    }
                }
            }
        },
        id="sets the order of elements",
    ),
    pytest.param(
        "Pod",
        {"spec": {"containers": containers("a", "b")}},
        {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}},
        {"spec": {"containers": containers("b", "a")}},
        id="sets the order without changing elements",
    ),
    pytest.param(
        "Deployment",
        {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}},
        {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}},
        {"spec": {"strategy": {"type": "Recreate"}}},
        id="retains keys",
    ),
    pytest.param(
        "Pod",
        {"metadata": {"labels": {"a": "1", "b": "2"}}},
        {"metadata": {"labels": {"$patch": "replace", "c": "3"}}},
        {"metadata": {"labels": {"c": "3"}}},
        id="replaces an object",
    ),
    pytest.param(
        "Pod",
        {"metadata": {"labels": {"a": "1"}, "name": "x"}},
        {"metadata": {"labels": {"$patch": "delete"}}},
        {"metadata": {"labels": {}, "name": "x"}},
        id="empties an object",
    ),
    pytest.param(
        "Pod",
        {"spec": {"containers": containers("a", "b")}},
        {"spec": {"containers": [{"$patch": "replace"}, {"name": "c", "image": "c:1"}]}},
        {"spec": {"containers": containers("c")}},
        id="replaces a list",
    ),
    pytest.param(
        "PodDisruptionBudget",
        {"spec": {"selector": {"matchLabels": {"a": "1"}}}},
        {"spec": {"selector": {"matchLabels": {"b": "1"}}}},
        {"spec": {"selector": {"matchLabels": {"b": "1"}}}},
        id="replaces the selector of a budget",
    ),
    pytest.param(
        "Deployment",
        {"spec": {"selector": {"matchLabels": {"a": "1"}}}},
        {"spec": {"selector": {"matchLabels": {"b": "1"}}}},
        {"spec": {"selector": {"matchLabels": {"a": "1", "b": "1"}}}},
        id="merges any other selector",
    ),
    pytest.param(
        "HorizontalPodAutoscaler",
        {"spec": {"metrics": [{"type": "Resource"}, {"type": "Pods"}]}},
        {"spec": {"metrics": [{"type": "External"}]}},
        {"spec": {"metrics": [{"type": "External"}]}},
        id="replaces an autoscaler's metrics",
    ),
    pytest.param(
        "Service",
        {"spec": {"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]}},
        {"spec": {"ports": [{"port": 81, "nodePort": 30000}]}},
        {"spec": {"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "b", "nodePort": 30000}]}},
        id="merges the ports of a service by port",
    ),
    pytest.param(
        "Pod",
        {},
        {"spec": {"containers": [{"name": "a", "image": None}], "x": {"y": None}}},
        {"spec": {"containers": [{"name": "a"}], "x": {}}},
        id="drops nulls from what is new",
    ),
    pytest.param(
        "Pod",
        {"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 1}, {"containerPort": 2}]}]}},
        {"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 3}]}]}},
        {
            "spec": {
                "containers": [
                    {"name": "a", "ports": [{"containerPort": 3}, {"containerPort": 1}, {"containerPort": 2}]}
                ]
            }
        },
        id="puts what is new first",
    ),
]


@pytest.mark.parametrize(("kind", "doc", "patch", "result"), STRATEGIC)
def test_a_strategic_patch(kind: str, doc: Any, patch: Any, result: Any) -> None:
    doc_before, patch_before = copy.deepcopy(doc), copy.deepcopy(patch)
    assert strategic_merge(kind, doc, patch) == result
    assert (doc, patch) == (doc_before, patch_before)


STRATEGIC_REFUSED = [
    pytest.param([1], 400, id="not an object"),
    pytest.param({"$patch": "shake"}, 500, id="unknown directive"),
    pytest.param({"metadata": {"$frobnicate/finalizers": []}}, 400, id="unknown directive for a field"),
    pytest.param({"spec": {"containers": [{"image": "x"}]}}, 422, id="no merge key"),
    pytest.param({"spec": {"containers": ["x"]}}, 422, id="no object where one is merged"),
    pytest.param(
        {"spec": {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "b"}]}},
        400,
        id="an order that lacks an element",
    ),
    pytest.param({"metadata": {"$retainKeys": ["name"], "uid": "x"}}, 400, id="sets what it does not retain"),
]


@pytest.mark.parametrize(("patch", "code"), STRATEGIC_REFUSED)
def test_a_strategic_patch_that_is_refused(patch: Any, code: int) -> None:
    with pytest.raises(PatchError) as refused:
        strategic_merge("Pod", {"metadata": {"name": "a"}, "spec": {"containers": containers("a")}}, patch)
    assert refused.value.code == code


def test_a_patched_object_may_be_written_to_without_changing_the_old_one_or_the_patch() -> None:
    doc = {"metadata": {"name": "a", "labels": {"x": "1"}}, "spec": {"containers": containers("a")}}
    patch = {"metadata": {"labels": {"y": "2"}}, "status": {"conditions": [{"type": "Ready"}]}}
    for patched in (strategic_merge("Pod", doc, patch), merge_patch(doc, patch)):
        patched["metadata"]["resourceVersion"] = "7"
        patched["metadata"]["labels"]["z"] = "3"
        patched["status"]["conditions"][0]["status"] = "True"
    assert doc["metadata"] == {"name": "a", "labels": {"x": "1"}}
    assert patch["status"] == {"conditions": [{"type": "Ready"}]}


NAMES = st.sampled_from(["a", "b", "c", "d"])
CONTAINERS = st.lists(
    st.fixed_dictionaries({"name": NAMES}, optional={"image": NAMES, "args": st.lists(NAMES, max_size=2)}),
    max_size=4,
    unique_by=lambda item: item["name"],
)
PODS = st.fixed_dictionaries(
    {},
    optional={
        "metadata": st.fixed_dictionaries({}, optional={"finalizers": st.lists(NAMES, unique=True)}),
        "spec": st.fixed_dictionaries({}, optional={"containers": CONTAINERS, "nodeName": NAMES}),
    },
)


@settings(max_examples=200, deadline=None)
@given(PODS, PODS)
def test_a_strategic_patch_applied_twice_is_as_one(doc: Any, patch: Any) -> None:
    once = strategic_merge("Pod", doc, patch)
    assert strategic_merge("Pod", once, patch) == once


@settings(max_examples=100, deadline=None)
@given(PODS, PODS)
def test_a_merge_patch_applied_twice_is_as_one(doc: Any, patch: Any) -> None:
    once = merge_patch(doc, patch)
    assert merge_patch(once, patch) == once
