"""reference: apiserver 3: LIST: the table of versions, paging, selectors, fields, order."""

import pytest
from paths import configmap, event, everywhere, nowhere, pod, service

FUTURE = 10**9
GONE = nowhere()


@pytest.fixture(scope="module")
def five(target, paths):
    """Five secrets and the answer that listed them."""
    for number in (3, 1, 5, 2, 4):
        body = {"metadata": {"name": f"s{number}", "labels": {"odd": str(number % 2), f"only-{number}": ""}}}
        target.post(paths.of("secrets"), body).ok(201)
    return target.get(paths.of("secrets")).ok(200)


# --- versions


@pytest.mark.parametrize("version", [None, "", "0"])
def test_a_list_without_a_version_is_the_latest(target, paths, five, version):
    """reference: apiserver 3, row 'rv unset / "0"'"""
    answer = target.get(paths.of("secrets"), resourceVersion=version).ok(200)
    assert answer.names == ["s1", "s2", "s3", "s4", "s5"]


def test_a_list_at_0_ignores_the_limit(target, paths, five):
    """reference: apiserver 3, row 'rv unset / "0"': limit ignored; 9, trap 24"""
    answer = target.get(paths.of("secrets"), resourceVersion="0", limit=2).ok(200)
    assert len(answer.names) == 5
    assert "continue" not in answer.meta


def test_a_list_not_older_than_n_may_be_newer(target, paths, made, five):
    """reference: apiserver 3, row 'rv=N': not older than N"""
    _, made_later = made("configmaps")
    answer = target.get(paths.of("configmaps"), resourceVersion=five.version).ok(200)
    assert int(answer.version) >= int(five.version)
    assert (
        made_later.meta["name"]
        in target.get(
            paths.of("configmaps"), resourceVersion=made_later.version, resourceVersionMatch="NotOlderThan"
        ).names
    )


def test_a_list_at_exactly_n_shows_the_past(target, paths, made):
    """reference: apiserver 3, row 'rv=N': match=Exact explicit"""
    path, first = made("configmaps", configmap())
    target.patch(path, {"data": {"k": "later"}}).ok()
    query = {"resourceVersion": first.version, "resourceVersionMatch": "Exact"}
    past = target.get(paths.of("configmaps"), **query).ok(200)
    assert past.version == first.version
    (found,) = [each for each in past.json["items"] if each["metadata"]["name"] == first.meta["name"]]
    assert found["data"] == {"k": "v"}


def test_a_limited_list_at_n_is_exact(target, paths, made):
    """reference: apiserver 3, row 'rv=N': with limit exactly N"""
    path, first = made("configmaps", configmap())
    target.delete(path).ok()
    answer = target.get(paths.of("configmaps"), resourceVersion=first.version, limit=500).ok(200)
    assert answer.version == first.version
    assert first.meta["name"] in answer.names


REFUSED = {
    "exact-with-0": ({"resourceVersion": "0", "resourceVersionMatch": "Exact"}, 422),
    "exact-without-version": ({"resourceVersionMatch": "Exact"}, 422),
    "not-older-without-version": ({"resourceVersionMatch": "NotOlderThan"}, 422),
    "unknown-match": ({"resourceVersion": "5", "resourceVersionMatch": "Newest"}, 422),
    "negative-version": ({"resourceVersion": "-1"}, 400),
    "word-as-version": ({"resourceVersion": "latest"}, 400),
    "sendInitialEvents-on-list": (
        {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "resourceVersion": "1"},
        422,
    ),
    "limit-not-a-number": ({"limit": "many"}, 400),
    "continue-not-a-token": ({"continue": "%%%"}, 400),
    "label-selector": ({"labelSelector": "a=(b"}, 400),
    "label-value-too-long": ({"labelSelector": f"a={'b' * 64}"}, 400),
    "field-selector-without-operator": ({"fieldSelector": "metadata.name"}, 400),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_impossible_list_is_refused(target, paths, case):
    """reference: apiserver 3, rows 'Exact with 0, match without rv or with continue'; 4, 400 and 422"""
    query, code = REFUSED[case]
    answer = target.get(paths.of("secrets"), **query)
    assert (answer.code, answer.reason) == (code, {400: "BadRequest", 422: "Invalid"}[code])


def test_an_exact_list_at_0_names_the_parameter(target, paths):
    """reference: apiserver 3, row 'Exact with 0'"""
    answer = target.get(paths.of("secrets"), resourceVersion="0", resourceVersionMatch="Exact").ok(422)
    assert answer.causes == [("FieldValueForbidden", "resourceVersionMatch")]


@pytest.fixture(scope="module")
def future(target, paths, five):
    """What a list, a get and a watch with initial events answer to a version of the future."""
    version = int(five.version) + FUTURE
    begin = {"watch": "true", "sendInitialEvents": "true", "allowWatchBookmarks": "true"}
    begin |= {"resourceVersionMatch": "NotOlderThan", "timeoutSeconds": "10"}
    answers = target.together(
        (paths.of("secrets"), {"resourceVersion": version}),
        (paths.of("secrets", "s1"), {"resourceVersion": version}),
        (paths.of("secrets"), {"resourceVersion": version, **begin}),
    )
    return dict(zip(("list", "get", "watch"), answers, strict=True))


@pytest.mark.parametrize("verb", ["list", "get"])
def test_a_version_of_the_future_is_waited_for_then_refused(future, verb):
    """reference: apiserver 3, row 'N in the future': 3 s wait, 504 Timeout, cause, retry 1"""
    answer = future[verb].ok(504)
    assert (answer.reason, answer.json["details"]["retryAfterSeconds"]) == ("Timeout", 1)
    assert [cause["reason"] for cause in answer.json["details"]["causes"]] == ["ResourceVersionTooLarge"]
    assert answer.headers["Retry-After"] == "1"


def test_a_watch_list_of_the_future_ends_with_an_error(future):
    """reference: apiserver 3, rows 'N in the future' and 'sendInitialEvents=true'"""
    event = future["watch"].ok(200).json
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 504, "Timeout")


def test_an_exact_list_of_the_distant_past_has_expired(target, paths):
    """reference: apiserver 3, row 'N compacted': HTTP 410 Expired; 4, 410"""
    query = {"resourceVersion": "1", "resourceVersionMatch": "Exact"}
    answer = target.get(paths.of("secrets"), **query).ok(410)
    assert (answer.reason, answer.message) == (
        "Expired",
        "The resourceVersion for the provided list is too old.",
    )


@pytest.mark.parametrize("version", ["0", "1"])
def test_an_object_is_read_no_older_than_asked(target, made, version):
    """reference: apiserver 3: GET with rv=0/N may serve a cached/not-older object"""
    path, before = made("configmaps", configmap())
    assert target.get(path, resourceVersion=version).ok(200).meta["uid"] == before.meta["uid"]


def test_a_continue_that_is_none_of_the_servers_is_refused(target, paths):
    """reference: apiserver 3, Continue: a stolen or made-up token; 4, 400"""
    token = "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiIuLi8uLi9hXHUwMDAwIn0"
    answer = target.get(paths.of("secrets"), limit=1, continue_=token).ok(400)
    assert answer.message.startswith("invalid continue token: continue key is not valid")


# --- pages


def test_pages_are_followed_to_the_end(target, paths, five):
    """reference: apiserver 3, Continue: opaque"""
    names, token = [], ""
    while token is not None:
        page = target.get(paths.of("secrets"), limit=2, continue_=token).ok(200)
        names += page.names
        token = page.meta.get("continue")
    assert names == ["s1", "s2", "s3", "s4", "s5"]


def test_pages_are_pinned_to_one_version(target, paths, made, name):
    """reference: apiserver 3, Continue: pinned to one RV"""
    for number in range(3):
        target.post(paths.of("serviceaccounts"), {"metadata": {"name": f"{name}-{number}"}}).ok(201)
    first = target.get(paths.of("serviceaccounts"), limit=2).ok(200)
    target.delete(paths.of("serviceaccounts", f"{name}-2")).ok(200)
    second = target.get(paths.of("serviceaccounts"), limit=500, continue_=first.meta["continue"]).ok(200)
    assert second.version == first.version
    assert f"{name}-2" in second.names


def test_remaining_items_are_counted(target, paths, five):
    """reference: apiserver 3, Continue: remainingItemCount"""
    assert target.get(paths.of("secrets"), limit=2).meta["remainingItemCount"] == 3


def test_remaining_items_are_not_counted_under_a_selector(target, paths, five):
    """reference: apiserver 3, Continue: remainingItemCount only without selectors"""
    page = target.get(paths.of("secrets"), limit=1, labelSelector="odd=1").ok(200)
    assert page.names == ["s1"]
    assert page.meta["continue"]
    assert "remainingItemCount" not in page.meta


def test_the_last_page_has_neither_token_nor_count(target, paths, five):
    """reference: apiserver 3, Continue"""
    meta = target.get(paths.of("secrets"), limit=5).meta
    assert not meta.get("continue")
    assert "remainingItemCount" not in meta


def test_a_continue_with_a_version_is_refused(target, paths, five):
    """reference: apiserver 3, row 'continue + rv≠0 400'"""
    token = target.get(paths.of("secrets"), limit=2).meta["continue"]
    answer = target.get(paths.of("secrets"), limit=2, continue_=token, resourceVersion=five.version).ok(400)
    assert answer.message == "specifying resource version is not allowed when using continue"


def test_a_continue_with_a_match_is_refused(target, paths, five):
    """reference: apiserver 3, row 'match … with continue' 422"""
    token = target.get(paths.of("secrets"), limit=2).meta["continue"]
    target.get(paths.of("secrets"), limit=2, continue_=token, resourceVersionMatch="Exact").ok(422)


def test_a_token_is_not_a_way_out_of_its_collection(target, paths, five):
    """reference: apiserver 3, Continue: a token of one namespace shows nothing of another"""
    token = target.get(paths.of("secrets"), limit=2).meta["continue"]
    answer = target.get("/api/v1/namespaces/kube-system/secrets", limit=2, continue_=token)
    assert answer.code in (200, 400, 410)
    assert answer.code != 200 or not {"s1", "s2", "s3", "s4", "s5"} & set(answer.names)


# --- shape


def test_a_list_is_sorted_by_namespace_and_name(target, paths, other_paths, unique):
    """reference: apiserver 3: sorted by namespace/name"""
    for place in (other_paths, paths):
        for name in ("b", "a"):
            body = {"metadata": {"name": name, "labels": {"sorted": unique}}}
            target.post(place.of("leases"), body).ok(201)
    answer = target.get(everywhere("leases"), labelSelector=f"sorted={unique}").ok(200)
    found = [(each["metadata"]["namespace"], each["metadata"]["name"]) for each in answer.json["items"]]
    assert len(found) == 4
    assert found == sorted(found)


def test_an_empty_list_has_an_empty_array(target, paths):
    """reference: apiserver 3: items never null; 9, trap 24"""
    assert target.get(paths.of("daemonsets")).ok(200).json["items"] == []


@pytest.mark.parametrize(
    ("resource", "kind", "version"),
    [
        ("secrets", "SecretList", "v1"),
        ("deployments", "DeploymentList", "apps/v1"),
        ("horizontalpodautoscalers", "HorizontalPodAutoscalerList", "autoscaling/v2"),
        ("leases", "LeaseList", "coordination.k8s.io/v1"),
    ],
)
def test_a_list_tells_its_kind(target, paths, resource, kind, version):
    """reference: apiserver 3: the list's kind and version"""
    answer = target.get(paths.of(resource)).ok(200).json
    assert (answer["kind"], answer["apiVersion"]) == (kind, version)


def test_items_of_a_list_have_no_kind_of_their_own(target, paths, five):
    """reference: apiserver 3: items of a built-in list carry neither apiVersion nor kind"""
    assert not {"kind", "apiVersion"} & set(five.json["items"][0])


def test_a_namespace_that_is_not_there_lists_as_empty(target, unique):
    """reference: apiserver 3: a LIST does not ask whether the namespace exists"""
    assert target.get(f"/api/v1/namespaces/{unique}/secrets").ok(200).json["items"] == []


# --- label selectors

LABELS = {
    "equals": ("odd=1", ["s1", "s3", "s5"]),
    "double-equals": ("odd==0", ["s2", "s4"]),
    "not-equals": ("odd!=1", ["s2", "s4"]),
    "not-equals-matches-absent": ("absent!=1", ["s1", "s2", "s3", "s4", "s5"]),
    "in": ("odd in (1, 7)", ["s1", "s3", "s5"]),
    "notin": ("odd notin (1)", ["s2", "s4"]),
    "notin-matches-absent": ("absent notin (1)", ["s1", "s2", "s3", "s4", "s5"]),
    "exists": ("only-2", ["s2"]),
    "absent": ("!only-2", ["s1", "s3", "s4", "s5"]),
    "greater": ("odd>0", ["s1", "s3", "s5"]),
    "less": ("odd<1", ["s2", "s4"]),
    "several": ("odd=1,!only-3,only-5", ["s5"]),
    "empty-value": ("only-4=", ["s4"]),
    "empty": ("", ["s1", "s2", "s3", "s4", "s5"]),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels_select(target, paths, five, case):
    """reference: apiserver 3, Labels: = == != in notin key !key > <"""
    selector, names = LABELS[case]
    assert target.get(paths.of("secrets"), labelSelector=selector).ok(200).names == names


# --- field selectors


@pytest.mark.parametrize("operator", ["=", "=="])
def test_a_name_selects(target, paths, five, operator):
    """reference: apiserver 3, Fields: = == !=, comma"""
    assert target.get(paths.of("secrets"), fieldSelector=f"metadata.name{operator}s3").names == ["s3"]


def test_a_name_deselects(target, paths, five):
    """reference: apiserver 3, Fields: !=, comma"""
    selector = "metadata.name!=s3,metadata.name!=s1"
    assert target.get(paths.of("secrets"), fieldSelector=selector).names == ["s2", "s4", "s5"]


def test_a_namespace_selects_over_all(target, paths, five):
    """reference: apiserver 3, Fields: metadata.namespace of everything"""
    selector = f"metadata.namespace={paths.namespace},metadata.name=s1"
    assert target.get(everywhere("secrets"), fieldSelector=selector).names == ["s1"]


FIELDS = {
    "pod-node": ("pods", f"spec.nodeName={GONE}"),
    "pod-restart-policy": ("pods", "spec.restartPolicy=OnFailure"),
    "pod-scheduler": ("pods", "spec.schedulerName=conformance-nobody,spec.nodeName!="),
    "pod-service-account": ("pods", "spec.serviceAccountName=default,spec.restartPolicy=OnFailure"),
    "pod-host-network": ("pods", "spec.hostNetwork=true"),
    "pod-phase": ("pods", "status.phase=Failed"),
    "pod-ip": ("pods", "status.podIP=10.99.99.99"),
    "pod-nominated-node": ("pods", "status.nominatedNodeName=conformance-other"),
    "secret-type": ("secrets", "type=conformance.test/kind"),
    "service-type": ("services", "spec.type=ExternalName"),
    "service-cluster-ip": ("services", "spec.clusterIP=None"),
    "event-object-name": ("events", "involvedObject.name=subject"),
    "event-object-kind": ("events", "involvedObject.kind=Gadget"),
    "event-object-uid": ("events", "involvedObject.uid=u-1"),
    "event-reason": ("events", "reason=Chosen"),
    "event-type": ("events", "type=Warning"),
    "event-source": ("events", "source=conformer"),
    "event-reporter": ("events", "reportingComponent=conformance.test/r"),
}


@pytest.fixture(scope="module")
def varied(target, paths):
    """Objects named `chosen`, each beside one that is plain."""
    chosen = pod("chosen", nodeName=GONE, restartPolicy="OnFailure", hostNetwork=True)
    for body in (pod("plain"), chosen):
        target.post(paths.of("pods"), body).ok(201)
    status = {"phase": "Failed", "podIP": "10.99.99.99", "podIPs": [{"ip": "10.99.99.99"}]}
    target.patch(f"{paths.of('pods', 'chosen')}/status", {"status": status}).ok(200)
    target.post(paths.of("pods"), pod("nominee")).ok(201)
    nominated = {"status": {"nominatedNodeName": "conformance-other"}}
    target.patch(f"{paths.of('pods', 'nominee')}/status", nominated).ok(200)
    target.post(paths.of("secrets"), {"metadata": {"name": "chosen"}, "type": "conformance.test/kind"}).ok()
    target.post(paths.of("services"), service("plain")).ok(201)
    target.post(paths.of("services"), service("chosen", clusterIP="None")).ok(201)
    target.post(
        paths.of("services"),
        {"metadata": {"name": "ext"}, "spec": {"type": "ExternalName", "externalName": "a.example"}},
    ).ok(201)
    target.post(paths.of("events"), event(paths.namespace, "plain", type="Normal")).ok(201)
    about = {"kind": "Gadget", "name": "subject", "namespace": paths.namespace, "uid": "u-1"}
    more = {"reason": "Chosen", "type": "Warning", "source": {"component": "conformer"}}
    more |= {"reportingComponent": "conformance.test/r", "involvedObject": about}
    target.post(paths.of("events"), event(paths.namespace, "chosen", **more)).ok(201)


@pytest.mark.parametrize("case", FIELDS)
def test_fields_of_the_kind_select(target, paths, varied, case):
    """reference: apiserver 3, Fields: Pod, Secret, Service, Event"""
    resource, selector = FIELDS[case]
    expected = [{"service-type": "ext", "pod-nominated-node": "nominee"}.get(case, "chosen")]
    assert target.get(paths.of(resource), fieldSelector=selector).ok(200).names == expected


@pytest.mark.parametrize(
    ("resource", "known", "selector"),
    [
        ("nodes", "", "spec.unschedulable=true"),
        ("namespaces", "default", "metadata.name=default,status.phase=Active"),
    ],
)
def test_fields_select_cluster_wide_kinds(target, unique, resource, known, selector):
    """reference: apiserver 3, Fields: Node spec.unschedulable; Namespace name, status.phase"""
    if not known:
        body = {"metadata": {"name": unique}, "spec": {"unschedulable": True}}
        target.post(everywhere("nodes"), body).ok(201)
    answer = target.get(everywhere(resource), fieldSelector=selector).ok(200)
    if resource == "nodes":
        target.delete(f"/api/v1/nodes/{unique}").ok(200)
    assert (known or unique) in answer.names


@pytest.mark.parametrize(
    ("resource", "field", "said"),
    [
        ("pods", "spec.color", "field label not supported: spec.color"),
        ("secrets", "data.k", "field label not supported: data.k"),
        (
            "deployments",
            "spec.replicas",
            '"spec.replicas" is not a known field selector: only "metadata.name", "metadata.namespace"',
        ),
    ],
    ids=["pods", "secrets", "deployments"],
)
def test_an_unknown_field_is_refused(target, paths, resource, field, said):
    """reference: apiserver 3, Fields: unknown → 400"""
    answer = target.get(paths.of(resource), fieldSelector=f"{field}=1").ok(400)
    assert said in answer.message


def test_events_of_the_other_group_have_its_field_names(target, paths, varied):
    """reference: apiserver 3, Fields: events.k8s.io: regarding.*"""
    path = paths.of("events.k8s.io/v1/events")
    assert target.get(path, fieldSelector="regarding.name=subject").ok(200).names == ["chosen"]
