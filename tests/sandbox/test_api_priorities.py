"""Priority classes, and the priority that they give to pods."""

from __future__ import annotations

import pytest

CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"
PODS = "/api/v1/namespaces/default/pods"


def pod(name="p", **spec):
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}


def test_a_pod_gets_what_its_class_says(play):
    async def check(api):
        fast = {"metadata": {"name": "fast"}, "value": 7, "preemptionPolicy": "Never"}
        assert (await api.post(CLASSES, fast)).status == 201
        spec = (await api.post(PODS, pod(priorityClassName="fast"))).body["spec"]
        assert (spec["priority"], spec["preemptionPolicy"]) == (7, "Never")
        assert (await api.post(PODS, pod("q"))).body["spec"]["priority"] == 0
        wrong = await api.post(PODS, pod("r", priority=5))
        assert wrong.status == 403
        assert "the integer value of priority (5) must not be provided in pod spec" in wrong.body["message"]

    play(check)


def test_one_class_may_be_everybodys(play):
    async def check(api):
        normal = {"metadata": {"name": "normal"}, "value": 3, "globalDefault": True}
        assert (await api.post(CLASSES, normal)).status == 201
        spec = (await api.post(PODS, pod())).body["spec"]
        assert (spec["priorityClassName"], spec["priority"]) == ("normal", 3)
        second = await api.post(CLASSES, {**normal, "metadata": {"name": "other"}})
        assert (second.status, second.body["reason"]) == (403, "Forbidden")

    play(check)


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"metadata": {"name": "a"}, "value": 1_000_000_001}, "value"),
        ({"metadata": {"name": "system-a"}, "value": 1}, "metadata.name"),
        ({"metadata": {"name": "a"}, "value": 1, "preemptionPolicy": "Always"}, "preemptionPolicy"),
    ],
)
def test_an_impossible_class_is_refused(play, sent, field):
    async def check(api):
        refused = await api.post(CLASSES, sent)
        assert refused.status == 422
        assert [each["field"] for each in refused.body["details"]["causes"]] == [field]

    play(check)


def test_the_systems_classes_are_there_and_stay(play):
    async def check(api):
        names = [each["metadata"]["name"] for each in (await api.get(CLASSES)).body["items"]]
        assert names == ["system-cluster-critical", "system-node-critical"]
        assert (await api.delete(f"{CLASSES}/{names[0]}")).status == 403
        changed = await api.patch(f"{CLASSES}/{names[1]}", {"value": 5})
        assert changed.status == 422

    play(check)
