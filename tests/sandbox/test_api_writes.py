"""Create, update and patch, rule by rule (reference: apiserver §2)."""

from __future__ import annotations

from typing import Any

import pytest

PODS = "/api/v1/namespaces/default/pods"
SETS = "/apis/apps/v1/namespaces/default/replicasets"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
MAPS = "/api/v1/namespaces/default/configmaps"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
STRATEGIC = "application/strategic-merge-patch+json"


def pod(name: str = "a", **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": labels or {"app": "x"}},
        "spec": {"containers": [{"name": "c", "image": "nginx:1"}]},
    }


def workload(name: str = "w", replicas: int = 1) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "x"}}, "spec": pod()["spec"]}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "x"}}, "template": template}
    return {"metadata": {"name": name}, "spec": spec}


def config(name: str = "m", **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": data}


def test_a_new_object_gets_the_servers_metadata_and_none_of_the_clients(play):
    async def scenario(api):
        sent = pod()
        sent["metadata"] |= {"uid": "mine", "creationTimestamp": "2001-01-01T00:00:00Z", "generation": 9}
        sent["metadata"] |= {
            "deletionTimestamp": "2001-01-01T00:00:00Z",
            "selfLink": "/x",
            "managedFields": [],
        }
        sent["status"] = {"phase": "Running"}
        answer = await api.post(PODS, sent)
        assert answer.status == 201
        metadata = answer.body["metadata"]
        assert metadata["uid"] != "mine"
        assert metadata["creationTimestamp"] == "2026-01-01T00:00:00Z"
        assert metadata["generation"] == 1
        assert metadata["namespace"] == "default"
        assert not {"deletionTimestamp", "selfLink"} & metadata.keys()
        assert answer.body["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
        assert list(answer.body)[:3] == ["kind", "apiVersion", "metadata"]

    play(scenario)


def test_a_pod_gets_what_admission_adds(play):
    async def scenario(api):
        spec = (await api.post(PODS, pod())).body["spec"]
        assert spec["serviceAccountName"] == "default"
        assert [one["tolerationSeconds"] for one in spec["tolerations"]] == [300, 300]
        assert spec["priority"] == 0
        assert spec["volumes"][0]["name"].startswith("kube-api-access-")
        assert spec["containers"][0]["volumeMounts"][0]["readOnly"] is True

    play(scenario)


def test_a_pod_without_its_service_account_is_forbidden(play):
    async def scenario(api):
        sent = pod()
        sent["spec"]["serviceAccountName"] = "absent"
        answer = await api.post(PODS, sent)
        assert (answer.status, answer.body["reason"]) == (403, "Forbidden")
        assert 'serviceaccount "absent" not found' in answer.body["message"]

    play(scenario)


def test_generate_name_cuts_its_base_and_adds_five_letters_without_vowels(play):
    async def scenario(api):
        sent = {"metadata": {"generateName": "b" * 60}, "data": {}}
        name = (await api.post(MAPS, sent)).body["metadata"]["name"]
        assert len(name) == 63
        assert set(name[58:]) <= set("bcdfghjklmnpqrstvwxz2456789")

    play(scenario)


def test_neither_name_nor_generate_name_is_invalid(play):
    async def scenario(api):
        answer = await api.post(MAPS, {"metadata": {}})
        assert (answer.status, answer.body["details"]["causes"][0]["field"]) == (422, "metadata.name")

    play(scenario)


def test_a_taken_name_already_exists(play):
    async def scenario(api):
        await api.post(SETS, workload())
        answer = await api.post(SETS, workload())
        assert (answer.status, answer.body["reason"]) == (409, "AlreadyExists")
        assert answer.body["message"] == 'replicasets.apps "w" already exists'
        assert answer.body["details"] == {"name": "w", "group": "apps", "kind": "replicasets"}

    play(scenario)


def test_a_resource_version_in_a_create_is_an_error(play):
    async def scenario(api):
        sent = config()
        sent["metadata"]["resourceVersion"] = "5"
        assert (await api.post(MAPS, sent)).status == 500

    play(scenario)


def test_a_namespace_other_than_the_urls_is_a_bad_request(play):
    async def scenario(api):
        sent = config()
        sent["metadata"]["namespace"] = "kube-system"
        assert (await api.post(MAPS, sent)).status == 400

    play(scenario)


def test_an_absent_namespace_is_not_found(play):
    async def scenario(api):
        answer = await api.post("/api/v1/namespaces/absent/configmaps", config())
        assert (answer.status, answer.body["message"]) == (404, 'namespaces "absent" not found')

    play(scenario)


def test_a_write_that_changes_nothing_keeps_the_version_and_sends_no_event(play):
    async def scenario(api):
        made = await api.post(MAPS, config(a="1"))
        watch = await api.watch(MAPS, resourceVersion=made.version)
        assert (await api.patch(f"{MAPS}/m", {"data": {"a": "1"}})).version == made.version
        assert (await api.put(f"{MAPS}/m", made.body)).version == made.version
        await api.patch(f"{MAPS}/m", {"data": {"a": "2"}})
        assert (await watch.next())["object"]["data"] == {"a": "2"}

    play(scenario)


def test_versions_are_decimal_and_rise_over_all_resources(play):
    async def scenario(api):
        first = await api.post(MAPS, config())
        second = await api.post(SETS, workload())
        deleted = await api.delete(f"{MAPS}/m")
        assert deleted.status == 200
        listed = await api.get(MAPS)
        assert int(first.version) < int(second.version) < int(listed.version)

    play(scenario)


def test_a_put_with_an_old_version_is_a_conflict(play):
    async def scenario(api):
        old = (await api.post(MAPS, config(a="1"))).body
        await api.patch(f"{MAPS}/m", {"data": {"a": "2"}})
        answer = await api.put(f"{MAPS}/m", old)
        assert (answer.status, answer.body["reason"]) == (409, "Conflict")
        assert "the object has been modified; please apply your changes" in answer.body["message"]

    play(scenario)


def test_a_put_with_another_uid_is_a_conflict(play):
    async def scenario(api):
        sent = (await api.post(MAPS, config())).body
        sent["metadata"] |= {"uid": "other"}
        del sent["metadata"]["resourceVersion"]
        answer = await api.put(f"{MAPS}/m", sent)
        assert answer.status == 409
        assert "UID in precondition: other" in answer.body["message"]

    play(scenario)


def test_a_put_without_a_version_overwrites_but_not_a_lease(play):
    async def scenario(api):
        await api.post(MAPS, config(a="1"))
        assert (await api.put(f"{MAPS}/m", config(a="2"))).body["data"] == {"a": "2"}
        lease = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}}
        await api.post(LEASES, lease)
        answer = await api.put(f"{LEASES}/l", lease)
        assert answer.status == 422
        assert "metadata.resourceVersion: Invalid value: 0: must be specified" in answer.body["message"]

    play(scenario)


def test_a_put_creates_a_lease_but_not_a_config_map(play):
    async def scenario(api):
        lease = {"metadata": {"name": "l"}, "spec": {"renewTime": "2026-01-01T00:00:00.123456Z"}}
        answer = await api.put(f"{LEASES}/l", lease)
        assert (answer.status, answer.body["spec"]["renewTime"]) == (201, "2026-01-01T00:00:00.123456Z")
        assert (await api.put(f"{MAPS}/m", config())).status == 404

    play(scenario)


def test_a_put_whose_name_is_not_the_urls_is_a_bad_request(play):
    async def scenario(api):
        await api.post(MAPS, config())
        assert (await api.put(f"{MAPS}/m", config("n"))).status == 400

    play(scenario)


def test_generations_count_specs_and_a_deployments_annotations_but_never_status(play):
    async def scenario(api):
        await api.post(SETS, workload())
        await api.post(DEPLOYMENTS, workload())

        async def generation(path: str, body: dict[str, Any]) -> int:
            return int((await api.patch(path, body)).body["metadata"]["generation"])

        note = {"metadata": {"annotations": {"a": "b"}}}
        assert await generation(f"{SETS}/w", note) == 1
        assert await generation(f"{DEPLOYMENTS}/w", note) == 2
        assert await generation(f"{SETS}/w", {"spec": {"replicas": 3}}) == 2
        assert await generation(f"{SETS}/w/status", {"status": {"replicas": 3}}) == 2
        assert await generation(f"{SETS}/w", {"metadata": {"labels": {"a": "b"}}}) == 2

    play(scenario)


def test_config_maps_have_no_generation(play):
    async def scenario(api):
        assert "generation" not in (await api.post(MAPS, config())).body["metadata"]

    play(scenario)


def test_the_main_endpoint_keeps_status_and_the_status_endpoint_keeps_spec(play):
    async def scenario(api):
        await api.post(SETS, workload())
        both = {"spec": {"replicas": 7}, "status": {"replicas": 2}}
        main = (await api.patch(f"{SETS}/w", both)).body
        assert (main["spec"]["replicas"], main["status"]) == (7, {"replicas": 0})
        both = {"spec": {"replicas": 9}, "status": {"replicas": 2}, "metadata": {"labels": {"new": "label"}}}
        status = (await api.patch(f"{SETS}/w/status", both)).body
        assert (status["spec"]["replicas"], status["status"]["replicas"]) == (7, 2)
        assert status["metadata"]["labels"] == {"new": "label"}

    play(scenario)


def test_a_deployments_status_write_keeps_labels_and_a_pods_its_owners(play):
    async def scenario(api):
        await api.post(DEPLOYMENTS, workload())
        label = {"metadata": {"labels": {"new": "label"}}, "status": {"replicas": 1}}
        assert "labels" not in (await api.patch(f"{DEPLOYMENTS}/w/status", label)).body["metadata"]
        await api.post(PODS, pod())
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "w", "uid": "u"}
        change = {"metadata": {"ownerReferences": [owner]}, "status": {"phase": "Running"}}
        changed = (await api.patch(f"{PODS}/a/status", change)).body
        assert "ownerReferences" not in changed["metadata"]
        assert changed["status"]["phase"] == "Running"

    play(scenario)


def test_a_patch_with_a_stale_version_is_a_conflict_and_one_with_another_uid_is_invalid(play):
    async def scenario(api):
        made = await api.post(MAPS, config(a="1"))
        await api.patch(f"{MAPS}/m", {"data": {"a": "2"}})
        stale = {"metadata": {"resourceVersion": made.version}, "data": {"a": "3"}}
        assert (await api.patch(f"{MAPS}/m", stale)).status == 409
        other = await api.patch(f"{MAPS}/m", {"metadata": {"uid": "other"}})
        assert (other.status, other.body["reason"]) == (422, "Invalid")
        put = await api.put(f"{MAPS}/m", {"metadata": {"name": "m", "uid": "other"}})
        assert (put.status, put.body["reason"]) == (409, "Conflict")

    play(scenario)


def test_strategic_patches_merge_conditions_and_remove_an_owner_by_uid(play):
    async def scenario(api):
        sent = pod()
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "m", "uid": "u"}
        sent["metadata"]["ownerReferences"] = [owner, {**owner, "uid": "v", "kind": "Node"}]
        uid = (await api.post(PODS, sent)).body["metadata"]["uid"]
        for kind in ("Ready", "Initialized"):
            change = {"status": {"conditions": [{"type": kind, "status": "True"}]}}
            answer = await api.patch(f"{PODS}/a/status", change, STRATEGIC)
        assert {one["type"] for one in answer.body["status"]["conditions"]} == {"Ready", "Initialized"}
        release = {"metadata": {"uid": uid, "ownerReferences": [{"$patch": "delete", "uid": "u"}]}}
        answer = await api.patch(f"{PODS}/a", release, STRATEGIC)
        assert [one["uid"] for one in answer.body["metadata"]["ownerReferences"]] == ["v"]

    play(scenario, collect_garbage=False)


def test_json_patches_are_applied_and_refused_as_the_server_words_it(play):
    async def scenario(api):
        await api.post(MAPS, config(a="1"))
        kind = "application/json-patch+json"
        good = [{"op": "replace", "path": "/data/a", "value": "2"}]
        assert (await api.patch(f"{MAPS}/m", good, kind)).body["data"] == {"a": "2"}
        assert (await api.patch(f"{MAPS}/m", [{"op": "remove", "path": "/data/z"}], kind)).status == 422

    play(scenario)


def test_a_patch_of_what_is_absent_is_not_found_and_one_of_no_type_is_refused(play):
    async def scenario(api):
        assert (await api.patch(f"{MAPS}/m", {})).status == 404
        await api.post(MAPS, config())
        assert (await api.patch(f"{MAPS}/m", {}, "")).status == 415

    play(scenario)


def test_a_dry_run_answers_but_stores_nothing(play):
    async def scenario(api):
        assert (await api.post(MAPS, config(), dryRun="All")).status == 201
        assert (await api.get(f"{MAPS}/m")).status == 404
        made = await api.post(MAPS, config(a="1"))
        changed = await api.patch(f"{MAPS}/m", {"data": {"a": "2"}}, dryRun="All")
        assert changed.body["data"] == {"a": "2"}
        await api.delete(f"{MAPS}/m", dryRun="All")
        assert (await api.get(f"{MAPS}/m")).version == made.version
        assert (await api.post(MAPS, config("n"), dryRun="Some")).status == 422

    play(scenario)


def test_unknown_fields_warn_or_are_refused_as_asked(play):
    async def scenario(api):
        sent = workload()
        sent["spec"]["replcas"] = 3
        warned = await api.post(SETS, sent, dryRun="All")
        assert warned.headers["Warning"] == '299 - "unknown field \\"spec.replcas\\""'
        refused = await api.post(SETS, sent, fieldValidation="Strict")
        assert (refused.status, refused.body["reason"]) == (400, "BadRequest")
        assert 'strict decoding error: unknown field "spec.replcas"' in refused.body["message"]
        assert "Warning" not in (await api.post(SETS, sent, fieldValidation="Ignore")).headers

    play(scenario)


def test_a_value_of_the_wrong_type_is_a_bad_request_and_an_impossible_one_is_invalid(play):
    async def scenario(api):
        sent = workload()
        sent["spec"]["replicas"] = "three"
        assert (await api.post(SETS, sent)).status == 400
        del sent["spec"]["selector"]
        sent["spec"]["replicas"] = 3
        answer = await api.post(SETS, sent)
        assert (answer.status, answer.body["reason"]) == (422, "Invalid")
        assert answer.body["details"]["kind"] == "ReplicaSet"
        assert answer.body["message"].startswith('ReplicaSet.apps "w" is invalid: ')

    play(scenario)


def test_a_patched_status_of_the_wrong_type_is_invalid_and_a_put_one_is_a_bad_request(play):
    async def scenario(api):
        await api.post(SETS, workload())
        assert (await api.patch(f"{SETS}/w/status", {"status": {"replicas": "x"}})).status == 422
        made = (await api.get(f"{SETS}/w")).body
        assert (await api.put(f"{SETS}/w/status", {**made, "status": {"replicas": "x"}})).status == 400

    play(scenario)


def test_scale_reads_and_writes_replicas_with_preconditions(play):
    async def scenario(api):
        made = await api.post(SETS, workload(replicas=2))
        scale = (await api.get(f"{SETS}/w/scale")).body
        assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
        assert scale["spec"] == {"replicas": 2}
        assert scale["status"] == {"replicas": 0, "selector": "app=x"}
        assert scale["metadata"]["resourceVersion"] == made.version
        changed = await api.patch(f"{SETS}/w/scale", {"spec": {"replicas": 5}})
        assert (changed.status, changed.body["spec"]["replicas"]) == (200, 5)
        scale["spec"]["replicas"] = 6
        assert (await api.put(f"{SETS}/w/scale", scale)).status == 409
        stored = (await api.get(f"{SETS}/w")).body
        assert (stored["spec"]["replicas"], stored["metadata"]["generation"]) == (5, 2)
        assert (await api.patch(f"{SETS}/w/scale", {"spec": {"replicas": -1}})).status == 422

    play(scenario)


def test_binding_sets_the_node_once(play):
    async def scenario(api):
        await api.post(PODS, pod())
        binding = {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n1"}}
        assert (await api.post(f"{PODS}/a/binding", binding)).status == 201
        bound = (await api.get(f"{PODS}/a")).body
        assert bound["spec"]["nodeName"] == "n1"
        assert bound["status"]["conditions"][0]["type"] == "PodScheduled"
        assert (await api.post(f"{PODS}/a/binding", binding)).status == 409

    play(scenario)


def test_eviction_deletes_unless_a_budget_forbids_it(play):
    async def scenario(api):
        sent = pod()
        sent["spec"]["nodeName"] = "n1"
        await api.post(PODS, sent)
        running = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        await api.patch(f"{PODS}/a/status", {"status": running})
        budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
        budget = {
            "metadata": {"name": "b"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}},
        }
        assert (await api.post(budgets, budget)).status == 201
        eviction = {"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": "a"}}
        answer = await api.post(f"{PODS}/a/eviction", eviction)
        assert (answer.status, answer.headers["Retry-After"]) == (429, "10")
        assert answer.body["details"]["causes"][0]["reason"] == "DisruptionBudget"
        counts = {"observedGeneration": 1, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}
        await api.patch(f"{budgets}/b/status", {"status": counts})
        answer = await api.post(f"{PODS}/a/eviction", eviction)
        assert (answer.status, "Retry-After" in answer.headers) == (429, False)
        await api.patch(f"{budgets}/b/status", {"status": {"disruptionsAllowed": 1}})
        assert (await api.post(f"{PODS}/a/eviction", eviction)).status == 201
        seen = (await api.get(f"{PODS}/a")).body
        assert "DisruptionTarget" in [one["type"] for one in seen["status"]["conditions"]]
        assert seen["metadata"]["deletionTimestamp"]
        status = (await api.get(f"{budgets}/b")).body["status"]
        assert (status["disruptionsAllowed"], list(status["disruptedPods"])) == (0, ["a"])
        # What is ending already costs the budget nothing.
        assert (await api.post(f"{PODS}/a/eviction", eviction)).status == 201

    play(scenario)


def test_events_are_one_store_with_two_views(play):
    async def scenario(api):
        core = "/api/v1/namespaces/default/events"
        new = "/apis/events.k8s.io/v1/namespaces/default/events"
        event = {
            "metadata": {"name": "e"},
            "involvedObject": {"kind": "Pod", "name": "a", "namespace": "default", "uid": "u"},
            "reason": "Started",
            "message": "it runs",
            "type": "Normal",
        }
        assert (await api.post(core, event)).status == 201
        seen = (await api.get(f"{new}/e")).body
        assert (seen["apiVersion"], seen["note"], seen["regarding"]["name"]) == (
            "events.k8s.io/v1",
            "it runs",
            "a",
        )
        assert (await api.get(new, fieldSelector="regarding.name=a")).body["items"]
        found = await api.get(core, fieldSelector="involvedObject.uid=u,involvedObject.kind=Pod")
        assert [item["metadata"]["name"] for item in found.body["items"]] == ["e"]
        await api.patch(f"{core}/e", {"message": "it ran"})
        seen = (await api.get(f"{new}/e")).body
        assert seen["note"] == "it ran"
        seen["series"] = {"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}
        assert (await api.put(f"{new}/e", seen)).status == 200
        assert (await api.patch(f"{new}/e", {"series": {"count": 3}})).status == 200
        assert (await api.get(f"{core}/e")).body["series"]["count"] == 3
        refused = await api.patch(f"{new}/e", {"reason": "Other"})
        assert (refused.status, refused.body["details"]["causes"][0]["field"]) == (422, "reason")
        assert (await api.patch(f"{core}/e", {"reason": "Other"})).status == 200

    play(scenario)


def test_an_event_ends_an_hour_after_its_last_write(play):
    async def scenario(api):
        core = "/api/v1/namespaces/default/events"
        event = {
            "metadata": {"name": "e"},
            "involvedObject": {"kind": "Pod", "name": "a", "namespace": "default"},
        }
        await api.post(core, event)
        await api.settle(3000)
        await api.patch(f"{core}/e", {"count": 2})
        await api.settle(3000)
        assert (await api.get(f"{core}/e")).status == 200
        await api.settle(1000)
        assert (await api.get(f"{core}/e")).status == 404

    play(scenario)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"text"', b'{"metadata": 3}', b'{"metadata": {"name": 3}}', b"[" * 100_000, b"\xff"],
)
def test_rubbish_in_a_body_is_a_bad_request(play, body):
    async def scenario(api):
        answer = await api.post(MAPS, body)
        assert (answer.status, answer.body["kind"]) == (400, "Status")

    play(scenario)


def test_the_kind_of_another_resource_is_a_bad_request(play):
    async def scenario(api):
        assert (await api.post(MAPS, {**config(), "kind": "Secret", "apiVersion": "v1"})).status == 400

    play(scenario)


def test_a_spec_known_from_before_does_not_hide_what_is_wrong_elsewhere(play):
    async def scenario(api):
        wrong = pod("w")
        wrong["spec"]["containers"][0]["imagee"] = "x"
        for _ in range(2):
            assert (await api.post(PODS, wrong, fieldValidation="Ignore", dryRun="All")).status == 201
            assert (await api.post(PODS, wrong, fieldValidation="Strict")).status == 400
            assert "Warning" in (await api.post(PODS, wrong, dryRun="All")).headers
        assert (await api.post(PODS, pod("a"))).status == 201
        other = pod("b")
        other["metadata"]["labels"] = {"a": "b", "c": "not a label!"}
        assert (await api.post(PODS, other)).status == 422
        other["metadata"] = {"name": "b", "labelz": {}}
        assert (await api.post(PODS, other, fieldValidation="Strict")).status == 400

    play(scenario)


def test_pods_of_one_template_are_all_made_alike(play):
    async def scenario(api):
        shown = []
        for name in ("a", "b", "c"):
            body = pod(name)
            if name == "c":
                # Known from before, but not alone: null vanishes as ever.
                body["nothing"] = None
            body["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "0.5"}}
            made = await api.post(PODS, body)
            assert made.status == 201
            answer = made.body
            assert list(answer) == ["kind", "apiVersion", "metadata", "spec", "status"]
            token = answer["spec"]["volumes"].pop()
            assert token["name"] == f"kube-api-access-{answer['metadata']['uid'][:5]}"
            answer["spec"]["containers"][0].pop("volumeMounts")
            shown.append((answer["spec"], answer["status"]))
        assert shown[0] == shown[1] == shown[2]
        assert shown[0][0]["containers"][0]["resources"]["requests"] == {"cpu": "500m"}
        refused = pod("d")
        refused["spec"]["restartPolicy"] = "Sometimes"
        for _ in range(2):
            assert (await api.post(PODS, refused)).status == 422

    play(scenario)
