"""The official Python client on the sandbox: what its users do, and what it makes of the answers.

The client sends no Content-Type with POST and PUT, builds a model from every answer, and raises
`ApiException` with the Status as text. What a delete answers it leaves as a dict where the server
says Status, and makes a model of where the server says the object (pods, services, accounts).
"""

import json
from datetime import UTC, datetime

import pytest
from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException


@pytest.fixture(scope="module")
def connection(shared_sandbox):
    with config.new_client_from_config(str(shared_sandbox.kubeconfig)) as made:
        yield made


@pytest.fixture
def core(connection):
    return client.CoreV1Api(connection)


@pytest.fixture
def apps(connection):
    return client.AppsV1Api(connection)


@pytest.fixture
def namespace(core, request):
    """A namespace of the test's own, gone after it."""
    name = "py-" + request.node.name.replace("_", "-")[5:55].strip("-")
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=name)))
    yield name
    core.delete_namespace(name)


def meta(name, **fields):
    return client.V1ObjectMeta(name=name, **fields)


def template(name="web", image="web:1"):
    container = client.V1Container(name="main", image=image, resources={"requests": {"cpu": "10m"}})
    spec = client.V1PodSpec(containers=[container])
    return client.V1PodTemplateSpec(metadata=client.V1ObjectMeta(labels={"app": name}), spec=spec)


def replica_set(name="web", replicas=0):
    selector = client.V1LabelSelector(match_labels={"app": name})
    spec = client.V1ReplicaSetSpec(replicas=replicas, selector=selector, template=template(name))
    return client.V1ReplicaSet(metadata=meta(name), spec=spec)


def refused(call, *arguments, **options):
    """Return the ApiException's code and the Status in its body."""
    with pytest.raises(ApiException) as caught:
        call(*arguments, **options)
    status = json.loads(caught.value.body)
    assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", caught.value.status)
    return status


def test_version_and_discovery_are_read(connection):
    version = client.VersionApi(connection).get_code()
    assert (version.major, version.minor, version.git_version[:3]) == ("1", "36", "v1.")
    groups = {group.name for group in client.ApisApi(connection).get_api_versions().groups}
    assert {"apps", "autoscaling", "coordination.k8s.io", "events.k8s.io"} <= groups
    resources = client.AppsV1Api(connection).get_api_resources().resources
    assert {"replicasets", "replicasets/scale", "deployments/status"} <= {each.name for each in resources}


def test_a_pod_is_created_seen_running_and_deleted(core, namespace):
    spec = client.V1PodSpec(containers=[client.V1Container(name="c", image="web:1")])
    made = core.create_namespaced_pod(namespace, client.V1Pod(metadata=meta("p"), spec=spec))
    assert (made.status.phase, made.spec.containers[0].image_pull_policy) == ("Pending", "IfNotPresent")
    phases = []
    stream = watch.Watch()
    for event in stream.stream(
        core.list_namespaced_pod, namespace, field_selector="metadata.name=p", timeout_seconds=30
    ):
        phases.append(event["object"].status.phase)
        if event["object"].status.phase == "Running":
            stream.stop()
    assert (phases[0], phases[-1]) == ("Pending", "Running")
    gone = core.delete_namespaced_pod("p", namespace, grace_period_seconds=0)
    assert (gone.kind, gone.metadata.name, gone.metadata.uid) == ("Pod", "p", made.metadata.uid)
    assert refused(core.read_namespaced_pod, "p", namespace)["reason"] == "NotFound"


def test_a_graceful_delete_returns_the_pod_that_is_still_there(core, namespace):
    spec = client.V1PodSpec(
        node_name="sandbox-node-1", containers=[client.V1Container(name="c", image="web:1")]
    )
    core.create_namespaced_pod(
        namespace, client.V1Pod(metadata=meta("p", finalizers=["test/hold"]), spec=spec)
    )
    options = client.V1DeleteOptions(grace_period_seconds=7, propagation_policy="Background")
    marked = core.delete_namespaced_pod("p", namespace, body=options)
    assert (marked.metadata.deletion_grace_period_seconds, marked.metadata.finalizers) == (7, ["test/hold"])
    core.patch_namespaced_pod("p", namespace, {"metadata": {"finalizers": None}})
    core.delete_namespaced_pod("p", namespace, grace_period_seconds=0)
    assert refused(core.read_namespaced_pod, "p", namespace)["code"] == 404


def test_a_replica_set_lives_through_every_verb(apps, namespace):
    made = apps.create_namespaced_replica_set(namespace, replica_set())
    assert made.metadata.generation == 1
    labelled = apps.patch_namespaced_replica_set(
        "web", namespace, {"metadata": {"labels": {"tier": "front"}}}
    )
    assert labelled.metadata.labels == {"tier": "front"}
    operations = [{"op": "replace", "path": "/spec/replicas", "value": 2}]
    assert apps.patch_namespaced_replica_set("web", namespace, operations).spec.replicas == 2
    containers = [{"name": "side", "image": "side:1"}]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    merged = apps.patch_namespaced_replica_set("web", namespace, patch)
    assert [each.name for each in merged.spec.template.spec.containers] == ["side", "main"]
    merged.spec.replicas = 3
    replaced = apps.replace_namespaced_replica_set("web", namespace, merged)
    assert (replaced.spec.replicas, replaced.metadata.generation) == (3, 4)
    status = {"status": {"replicas": 3, "readyReplicas": 1}}
    assert apps.patch_namespaced_replica_set_status("web", namespace, status).status.ready_replicas == 1
    assert refused(apps.replace_namespaced_replica_set, "web", namespace, merged)["reason"] == "Conflict"
    found = apps.list_namespaced_replica_set(namespace, label_selector="tier=front")
    assert (found.kind, [each.metadata.name for each in found.items]) == ("ReplicaSetList", ["web"])
    gone = apps.delete_namespaced_replica_set("web", namespace)
    details = {"name": "web", "group": "apps", "kind": "replicasets", "uid": made.metadata.uid}
    assert (gone["kind"], gone["status"], gone["details"]) == ("Status", "Success", details)


def test_a_scale_is_read_patched_and_replaced(apps, namespace):
    apps.create_namespaced_replica_set(namespace, replica_set())
    scale = apps.read_namespaced_replica_set_scale("web", namespace)
    assert (scale.kind, scale.status.replicas, scale.status.selector) == ("Scale", 0, "app=web")
    assert (
        apps.patch_namespaced_replica_set_scale("web", namespace, {"spec": {"replicas": 4}}).spec.replicas
        == 4
    )
    scale = apps.read_namespaced_replica_set_scale("web", namespace)
    scale.spec.replicas = 6
    assert apps.replace_namespaced_replica_set_scale("web", namespace, scale).spec.replicas == 6
    assert apps.read_namespaced_replica_set("web", namespace).spec.replicas == 6
    assert refused(apps.replace_namespaced_replica_set_scale, "web", namespace, scale)["code"] == 409


@pytest.mark.parametrize("policy", ["Foreground", "Orphan", "Background"])
def test_a_delete_answers_what_the_client_can_read_for_each_policy(apps, namespace, policy):
    apps.create_namespaced_replica_set(namespace, replica_set())
    gone = apps.delete_namespaced_replica_set("web", namespace, propagation_policy=policy)
    # What waits for the collector is still there, and is shown.
    assert gone["kind"] == ("Status" if policy == "Background" else "ReplicaSet")


def test_a_delete_holds_to_its_preconditions(core, namespace):
    made = core.create_namespaced_config_map(
        namespace, client.V1ConfigMap(metadata=meta("m"), data={"a": "1"})
    )
    other = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid="another"))
    assert refused(core.delete_namespaced_config_map, "m", namespace, body=other)["reason"] == "Conflict"
    version = made.metadata.resource_version
    mine = client.V1Preconditions(uid=made.metadata.uid, resource_version=version)
    gone = core.delete_namespaced_config_map("m", namespace, body=client.V1DeleteOptions(preconditions=mine))
    assert gone["status"] == "Success"


def test_a_collection_is_deleted_by_selector(core, namespace):
    for name, tier in (("a", "x"), ("b", "x"), ("c", "y")):
        core.create_namespaced_config_map(
            namespace, client.V1ConfigMap(metadata=meta(name, labels={"tier": tier}))
        )
    core.delete_collection_namespaced_config_map(namespace, label_selector="tier=x")
    left = {each.metadata.name for each in core.list_namespaced_config_map(namespace).items}
    assert left == {"c", "kube-root-ca.crt"}


def test_pages_are_followed_to_the_end(core, namespace):
    for number in range(5):
        core.create_namespaced_config_map(namespace, client.V1ConfigMap(metadata=meta(f"m{number}")))
    names, token = [], None
    while True:
        page = core.list_namespaced_config_map(namespace, limit=2, _continue=token)
        names += [each.metadata.name for each in page.items]
        token = page.metadata._continue
        if not token:
            break
    assert names == ["kube-root-ca.crt", "m0", "m1", "m2", "m3", "m4"]


def test_a_watch_goes_on_from_a_version_and_tells_of_deletion(core, namespace):
    listed = core.list_namespaced_config_map(namespace)
    core.create_namespaced_config_map(namespace, client.V1ConfigMap(metadata=meta("m")))
    core.patch_namespaced_config_map("m", namespace, {"data": {"k": "v"}})
    core.delete_namespaced_config_map("m", namespace)
    seen = []
    stream = watch.Watch()
    for event in stream.stream(
        core.list_namespaced_config_map,
        namespace,
        resource_version=listed.metadata.resource_version,
        allow_watch_bookmarks=True,
        timeout_seconds=30,
    ):
        seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == 3:
            stream.stop()
    assert seen == [("ADDED", "m"), ("MODIFIED", "m"), ("DELETED", "m")]


def test_a_lease_is_created_renewed_and_contended_for(connection, namespace):
    leases = client.CoordinationV1Api(connection)
    spec = client.V1LeaseSpec(holder_identity="a", lease_duration_seconds=15)
    lease = leases.create_namespaced_lease(namespace, client.V1Lease(metadata=meta("l"), spec=spec))
    lease.spec.holder_identity = "b"
    renewed = leases.replace_namespaced_lease("l", namespace, lease)
    assert renewed.spec.holder_identity == "b"
    assert refused(leases.replace_namespaced_lease, "l", namespace, lease)["reason"] == "Conflict"


def test_an_event_is_written_through_either_group(connection, core, namespace):
    about = client.V1ObjectReference(kind="Pod", name="p", namespace=namespace)
    said = {"reason": "Seen", "action": "See", "type": "Normal", "reporting_instance": "i-1"}
    seen = datetime(
        2026, 1, 1, 0, 0, 0, 250, tzinfo=UTC
    )  # The client drops an even fraction, which servers demand.
    core.create_namespaced_event(
        namespace,
        client.CoreV1Event(
            metadata=meta("old"),
            involved_object=about,
            message="m",
            event_time=seen,
            reporting_component="test.dev/a",
            **said,
        ),
    )
    events = client.EventsV1Api(connection)
    events.create_namespaced_event(
        namespace,
        client.EventsV1Event(
            metadata=meta("new"),
            regarding=about,
            note="n",
            event_time=seen,
            reporting_controller="test.dev/b",
            **said,
        ),
    )
    assert [each.note for each in events.list_namespaced_event(namespace).items] == ["n", "m"]
    assert [each.message for each in core.list_namespaced_event(namespace).items] == ["n", "m"]


def test_an_autoscaler_is_created(connection, namespace):
    scaling = client.AutoscalingV2Api(connection)
    target = client.V2CrossVersionObjectReference(api_version="apps/v1", kind="Deployment", name="web")
    spec = client.V2HorizontalPodAutoscalerSpec(max_replicas=5, scale_target_ref=target)
    made = scaling.create_namespaced_horizontal_pod_autoscaler(
        namespace, client.V2HorizontalPodAutoscaler(metadata=meta("h"), spec=spec)
    )
    assert (made.spec.min_replicas, made.spec.metrics[0].resource.name) == (1, "cpu")


def test_a_dry_run_stores_nothing(core, namespace):
    made = core.create_namespaced_config_map(
        namespace, client.V1ConfigMap(metadata=meta("m")), dry_run="All", pretty="true"
    )
    assert made.metadata.uid
    assert refused(core.read_namespaced_config_map, "m", namespace)["code"] == 404


def test_refusals_carry_the_status_as_the_clients_users_read_it(core, apps, namespace):
    missing = refused(core.read_namespaced_pod, "none", namespace)
    assert (missing["message"], missing["details"]) == (
        'pods "none" not found',
        {"name": "none", "kind": "pods"},
    )
    apps.create_namespaced_replica_set(namespace, replica_set())
    again = refused(apps.create_namespaced_replica_set, namespace, replica_set())
    assert (again["code"], again["reason"]) == (409, "AlreadyExists")
    wrong = replica_set("other")
    wrong.spec.selector.match_labels = {"app": "web"}
    invalid = refused(apps.create_namespaced_replica_set, namespace, wrong)
    assert (invalid["code"], invalid["details"]["causes"][0]["field"]) == (
        422,
        "spec.template.metadata.labels",
    )


def test_plain_dicts_work_as_bodies(core, namespace):
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "v"}}
    made = core.create_namespaced_secret(namespace, body)
    assert (made.data, made.type) == ({"k": "dg=="}, "Opaque")
    service = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}
    made = core.create_namespaced_service(namespace, service)
    assert made.spec.ports[0].protocol == "TCP"
    assert core.delete_namespaced_service("web", namespace).kind == "Service"
    account = core.create_namespaced_service_account(namespace, {"metadata": {"name": "robot"}})
    assert core.delete_namespaced_service_account("robot", namespace).metadata.uid == account.metadata.uid


@pytest.mark.parametrize("kind", ["nodes", "namespaces"])
def test_cluster_scoped_kinds_are_listed(core, kind):
    listed = core.list_node() if kind == "nodes" else core.list_namespace()
    assert listed.metadata.resource_version.isdigit()
    assert len(listed.items) >= 2


def test_an_eviction_and_a_binding_are_posted(core, namespace):
    containers = [{"name": "c", "image": "web:1"}]
    core.create_namespaced_pod(
        namespace, {"metadata": {"name": "p"}, "spec": {"schedulerName": "mine", "containers": containers}}
    )
    target = client.V1ObjectReference(kind="Node", name="sandbox-node-1")
    # The answer is a Status, where the client expects a Binding with a target: its known fault.
    core.create_namespaced_pod_binding(
        "p", namespace, client.V1Binding(metadata=meta("p"), target=target), _preload_content=False
    )
    assert core.read_namespaced_pod("p", namespace).spec.node_name == "sandbox-node-1"
    core.create_namespaced_pod_eviction("p", namespace, client.V1Eviction(metadata=meta("p")))
    assert core.read_namespaced_pod("p", namespace).metadata.deletion_timestamp is not None
