"""Delete, garbage collection and the life of namespaces (reference: apiserver §2)."""

from __future__ import annotations

from typing import Any

import pytest

PODS = "/api/v1/namespaces/default/pods"
SETS = "/apis/apps/v1/namespaces/default/replicasets"
MAPS = "/api/v1/namespaces/default/configmaps"


def pod(name: str = "a", node: str = "", **metadata: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {"containers": [{"name": "c", "image": "nginx:1"}]}
    if node:
        spec["nodeName"] = node
    return {"metadata": {"name": name, "labels": {"app": "x"}, **metadata}, "spec": spec}


def config(name: str = "m", **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}}


async def owned(api: Any, owner: str, *names: str, blocking: bool = True) -> None:
    """Create a ConfigMap that owns ConfigMaps."""
    uid = (await api.post(MAPS, config(owner))).body["metadata"]["uid"]
    for name in names:
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uid}
        reference["blockOwnerDeletion"] = blocking
        await api.post(MAPS, config(name, ownerReferences=[reference]))


async def names(api: Any, path: str = MAPS) -> list[str]:
    listed = (await api.get(path)).body["items"]
    return [item["metadata"]["name"] for item in listed if item["metadata"]["name"] != "kube-root-ca.crt"]


def test_a_delete_answers_a_status_with_the_uid_and_for_some_kinds_the_object(play):
    async def scenario(api):
        uid = (await api.post(MAPS, config())).body["metadata"]["uid"]
        answer = (await api.delete(f"{MAPS}/m")).body
        assert (answer["kind"], answer["status"]) == ("Status", "Success")
        assert answer["details"] == {"name": "m", "kind": "configmaps", "uid": uid}
        await api.post(PODS, pod())
        assert (await api.delete(f"{PODS}/a")).body["kind"] == "Pod"
        assert (await api.delete(f"{MAPS}/m")).status == 404

    play(scenario)


@pytest.mark.parametrize("field", ["uid", "resourceVersion"])
def test_a_delete_holds_to_its_preconditions(play, field):
    async def scenario(api):
        made = (await api.post(MAPS, config())).body["metadata"]
        wrong = await api.delete(f"{MAPS}/m", {"preconditions": {field: "1"}})
        assert (wrong.status, wrong.body["reason"]) == (409, "Conflict")
        assert (await api.delete(f"{MAPS}/m", {"preconditions": {field: made[field]}})).status == 200

    play(scenario)


def test_the_deleted_event_carries_the_version_of_the_deletion(play):
    async def scenario(api):
        made = await api.post(MAPS, config())
        watch = await api.watch(MAPS, resourceVersion=made.version)
        await api.delete(f"{MAPS}/m")
        event = await watch.next()
        assert event["type"] == "DELETED"
        assert event["object"]["metadata"]["resourceVersion"] == (await api.get(MAPS)).version
        assert int(event["object"]["metadata"]["resourceVersion"]) == int(made.version) + 1

    play(scenario)


def test_an_unscheduled_or_finished_pod_goes_at_once_and_a_running_one_waits_for_its_kubelet(play):
    async def scenario(api):
        await api.post(PODS, pod("unscheduled"))
        await api.delete(f"{PODS}/unscheduled")
        await api.post(PODS, pod("finished", "n"))
        await api.patch(f"{PODS}/finished/status", {"status": {"phase": "Succeeded"}})
        await api.delete(f"{PODS}/finished")
        await api.post(PODS, pod("running", "n"))
        marked = (await api.delete(f"{PODS}/running")).body
        assert await names(api, PODS) == ["running"]
        assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
        assert marked["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:30Z"
        assert marked["metadata"]["generation"] == 2
        uid = marked["metadata"]["uid"]
        await api.delete(f"{PODS}/running", {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}})
        assert await names(api, PODS) == []

    play(scenario)


def test_a_pods_grace_is_shortened_and_never_lengthened(play):
    async def scenario(api):
        await api.post(PODS, pod(node="n"))
        first = await api.delete(f"{PODS}/a", gracePeriodSeconds=20)
        assert first.body["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:20Z"
        longer = await api.delete(f"{PODS}/a", {"gracePeriodSeconds": 60})
        assert longer.version == first.version
        assert (await api.delete(f"{PODS}/a")).version == first.version
        shorter = (await api.delete(f"{PODS}/a", {"gracePeriodSeconds": 5})).body["metadata"]
        assert shorter["deletionTimestamp"] == "2026-01-01T00:00:05Z"
        assert shorter["deletionGracePeriodSeconds"] == 5

    play(scenario)


def test_a_finalizer_holds_an_object_until_the_write_that_removes_it(play):
    async def scenario(api):
        await api.post(MAPS, config(finalizers=["x.io/hold"]))
        held = await api.delete(f"{MAPS}/m")
        assert held.body["metadata"]["deletionGracePeriodSeconds"] == 0
        added = await api.patch(f"{MAPS}/m", {"metadata": {"finalizers": ["x.io/hold", "x.io/new"]}})
        assert added.status == 422
        again = await api.post(MAPS, config())
        assert again.body["message"].startswith("object is being deleted: ")
        watch = await api.watch(MAPS, resourceVersion=held.version)
        assert (await api.patch(f"{MAPS}/m", {"metadata": {"finalizers": None}})).status == 200
        assert await watch.take(1) == [("DELETED", "m")]
        assert (await api.get(f"{MAPS}/m")).status == 404

    play(scenario)


def test_a_pod_with_a_finalizer_outlives_its_kubelets_confirmation(play):
    async def scenario(api):
        await api.post(PODS, pod(node="n", finalizers=["x.io/hold"]))
        await api.delete(f"{PODS}/a")
        left = await api.delete(f"{PODS}/a", {"gracePeriodSeconds": 0})
        assert left.body["metadata"]["deletionGracePeriodSeconds"] == 0
        await api.patch(f"{PODS}/a", {"metadata": {"finalizers": []}})
        assert await names(api, PODS) == []

    play(scenario)


def test_deletecollection_deletes_what_is_selected_and_returns_it(play):
    async def scenario(api):
        for name, label in (("a", "x"), ("b", "x"), ("c", "y")):
            await api.post(MAPS, config(name, labels={"l": label}))
        answer = await api.delete(MAPS, labelSelector="l=x")
        assert [item["metadata"]["name"] for item in answer.body["items"]] == ["a", "b"]
        assert await names(api) == ["c"]

    play(scenario)


def test_dependents_of_a_deleted_owner_are_collected(play):
    async def scenario(api):
        await owned(api, "owner", "x", "y")
        await api.delete(f"{MAPS}/owner")
        await api.settle()
        assert await names(api) == []

    play(scenario)


def test_a_dependent_created_after_its_owner_is_gone_is_collected(play):
    async def scenario(api):
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "never", "uid": "gone"}
        await api.post(MAPS, config("late", ownerReferences=[reference]))
        unknown = {"apiVersion": "example.com/v1", "kind": "Thing", "name": "t", "uid": "unknown"}
        await api.post(MAPS, config("kept", ownerReferences=[unknown]))
        await api.settle()
        assert await names(api) == ["kept"]

    play(scenario)


def test_a_dependent_with_a_living_owner_only_loses_the_reference(play):
    async def scenario(api):
        uids = [(await api.post(MAPS, config(name))).body["metadata"]["uid"] for name in ("one", "two")]
        references = [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid}
            for name, uid in zip(("one", "two"), uids, strict=True)
        ]
        await api.post(MAPS, config("both", ownerReferences=references))
        await api.delete(f"{MAPS}/one")
        await api.settle()
        left = (await api.get(f"{MAPS}/both")).body["metadata"]["ownerReferences"]
        assert [one["uid"] for one in left] == [uids[1]]

    play(scenario)


def test_orphaning_strips_the_references_before_the_owner_goes(play):
    async def scenario(api):
        await owned(api, "owner", "x")
        answer = await api.delete(f"{MAPS}/owner", {"propagationPolicy": "Orphan"})
        assert answer.body["metadata"]["finalizers"] == ["orphan"]
        await api.settle()
        assert await names(api) == ["x"]
        assert "ownerReferences" not in (await api.get(f"{MAPS}/x")).body["metadata"]

    play(scenario)


def test_a_foreground_owner_waits_for_the_dependents_that_block_it(play):
    async def scenario(api):
        await owned(api, "owner", "x")
        await api.patch(f"{MAPS}/x", {"metadata": {"finalizers": ["x.io/hold"]}})
        answer = await api.delete(f"{MAPS}/owner", {"propagationPolicy": "Foreground"})
        assert answer.body["metadata"]["finalizers"] == ["foregroundDeletion"]
        await api.settle()
        assert await names(api) == ["owner", "x"]
        assert (await api.get(f"{MAPS}/x")).body["metadata"]["deletionTimestamp"]
        await api.patch(f"{MAPS}/x", {"metadata": {"finalizers": None}})
        await api.settle()
        assert await names(api) == []

    play(scenario)


def test_a_foreground_owner_does_not_wait_for_dependents_that_do_not_block(play):
    async def scenario(api):
        await owned(api, "owner", "x", blocking=False)
        await api.patch(f"{MAPS}/x", {"metadata": {"finalizers": ["x.io/hold"]}})
        await api.delete(f"{MAPS}/owner", {"propagationPolicy": "Foreground"})
        await api.settle()
        assert await names(api) == ["x"]

    play(scenario)


ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"


def naming(owner: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a reference to an owner, that blocks, with what is changed in it."""
    metadata = owner["metadata"]
    plain = {"apiVersion": "v1", "kind": "ConfigMap", "name": metadata["name"], "uid": metadata["uid"]}
    return {**plain, "blockOwnerDeletion": True, **changes}


async def made(api: Any, name: str, path: str = MAPS, *references: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await api.post(path, config(name, ownerReferences=[*references]))).body
    return found


def test_a_foreground_deletion_spares_the_dependents_of_other_living_owners(play):
    async def scenario(api):
        one, two = await made(api, "one"), await made(api, "two")
        await made(api, "both", MAPS, naming(one), naming(two))
        await api.delete(f"{MAPS}/one", {"propagationPolicy": "Foreground"})
        await api.settle()
        assert await names(api) == ["both", "two"]
        left = (await api.get(f"{MAPS}/both")).body["metadata"]["ownerReferences"]
        assert [each["name"] for each in left] == ["two"]

    play(scenario)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_circle_of_owners_ends_in_the_foreground(play, size):
    async def scenario(api):
        ring = [await made(api, f"n{number}") for number in range(size)]
        for number, owner in enumerate(ring):
            references = [naming(owner)]
            change = {"metadata": {"ownerReferences": references}}
            await api.patch(f"{MAPS}/n{(number + 1) % size}", change)
        await api.delete(f"{MAPS}/n0", {"propagationPolicy": "Foreground"})
        await api.settle()
        assert await names(api) == []

    play(scenario)


def test_a_chain_ends_in_the_foreground_from_its_far_end(play):
    async def scenario(api):
        owner = await made(api, "a")
        middle = await made(api, "b", MAPS, naming(owner))
        await made(api, "c", MAPS, naming(middle))
        await api.patch(f"{MAPS}/c", {"metadata": {"finalizers": ["x.io/hold"]}})
        await api.delete(f"{MAPS}/a", {"propagationPolicy": "Foreground"})
        await api.settle()
        assert await names(api) == ["a", "b", "c"]
        await api.patch(f"{MAPS}/c", {"metadata": {"finalizers": None}})
        await api.settle()
        assert await names(api) == []

    play(scenario)


def test_an_owner_in_another_namespace_and_one_called_something_else_own_nothing(play):
    async def scenario(api):
        await api.post("/api/v1/namespaces", config("other"))
        far = await made(api, "far", "/api/v1/namespaces/other/configmaps")
        owner = await made(api, "owner")
        await made(api, "x", MAPS, naming(far))
        await made(api, "y", MAPS, naming(owner, name="misnamed"))
        await made(api, "z", MAPS, naming(owner, kind="Secret"))
        await api.settle()
        assert await names(api) == ["owner"]

    play(scenario)


def test_a_cluster_scoped_object_stays_whatever_it_names_in_a_namespace_and_nobody_waits_for_it(play):
    async def scenario(api):
        owner = await made(api, "owner")
        await made(api, "wide", ROLES, naming(owner))
        await api.delete(f"{MAPS}/owner", {"propagationPolicy": "Foreground"})
        await api.settle()
        assert await names(api) == []
        await api.settle()
        assert (await api.get(f"{ROLES}/wide")).status == 200

    play(scenario)


def test_absent_owners_stay_named_while_another_is_of_an_unknown_kind(play):
    async def scenario(api):
        gone = naming({"metadata": {"name": "gone", "uid": "0-0"}})
        unknown = naming({"metadata": {"name": "t", "uid": "0-1"}}, apiVersion="example.com/v1")
        await made(api, "kept", MAPS, gone, unknown)
        await api.settle()
        assert len((await api.get(f"{MAPS}/kept")).body["metadata"]["ownerReferences"]) == 2
        await api.patch(f"{MAPS}/kept", {"metadata": {"ownerReferences": [gone]}})
        await api.settle()
        assert await names(api) == []

    play(scenario)


def test_the_collector_can_be_left_to_a_real_one(play):
    async def scenario(api):
        await owned(api, "owner", "x")
        await api.delete(f"{MAPS}/owner")
        await api.settle()
        assert await names(api) == ["x"]

    play(scenario, collect_garbage=False)


def test_a_new_namespace_has_its_service_account_and_root_certificate_at_once(play):
    async def scenario(api):
        made = await api.post("/api/v1/namespaces", {"metadata": {"name": "n"}})
        assert made.body["metadata"]["labels"] == {"kubernetes.io/metadata.name": "n"}
        assert made.body["spec"]["finalizers"] == ["kubernetes"]
        assert made.body["status"] == {"phase": "Active"}
        assert (await api.get("/api/v1/namespaces/n/serviceaccounts/default")).status == 200
        assert (await api.get("/api/v1/namespaces/n/configmaps/kube-root-ca.crt")).status == 200

    play(scenario)


def test_a_namespace_ends_after_everything_in_it(play):
    async def scenario(api):
        await api.post("/api/v1/namespaces", {"metadata": {"name": "n"}})
        inside = "/api/v1/namespaces/n"
        await api.post(f"{inside}/pods", pod(node="n1"))
        answer = await api.delete(inside)
        assert answer.body["status"]["phase"] == "Terminating"
        refused = await api.post(f"{inside}/configmaps", config())
        assert refused.status == 403
        assert refused.body["details"]["causes"][0]["reason"] == "NamespaceTerminating"
        await api.settle()
        assert (await api.get(inside)).status == 200
        assert (await api.get(f"{inside}/pods/a")).body["metadata"]["deletionTimestamp"]
        await api.delete(f"{inside}/pods/a", {"gracePeriodSeconds": 0})
        await api.settle()
        assert (await api.get(inside)).status == 404

    play(scenario)


def test_a_real_namespace_controller_finalizes_by_the_subresource(play):
    async def scenario(api):
        await api.post("/api/v1/namespaces", {"metadata": {"name": "n"}})
        namespace = (await api.delete("/api/v1/namespaces/n")).body
        await api.settle()
        namespace["spec"]["finalizers"] = []
        assert (await api.put("/api/v1/namespaces/n/finalize", namespace)).status == 200
        assert (await api.get("/api/v1/namespaces/n")).status == 404

    play(scenario, empty_namespaces=False)


def test_three_namespaces_cannot_be_deleted(play):
    async def scenario(api):
        for name in ("default", "kube-system", "kube-public"):
            answer = await api.delete(f"/api/v1/namespaces/{name}")
            assert (answer.status, answer.body["reason"]) == (403, "Forbidden")

    play(scenario)


def test_the_cluster_starts_with_its_namespaces_and_the_kubernetes_service(play):
    async def scenario(api):
        listed = (await api.get("/api/v1/namespaces")).body["items"]
        found = [item["metadata"]["name"] for item in listed]
        assert found == ["default", "kube-node-lease", "kube-public", "kube-system"]
        assert (await api.get("/api/v1/namespaces/default/services/kubernetes")).status == 200

    play(scenario)
