"""reference: apiserver 3 (Accept) and 4: what is refused, and the Status that says so."""

import base64
import http.client
import json
import socket

import pytest
from paths import autoscaler, configmap, lease, pod
from target import JSON, OPERATIONS

UNREADABLE = "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; "
HANDLED = "cannot be handled as a"


def shape_of(answer):
    return {key: value for key, value in answer.json.items() if key not in ("message", "details")}


# --- the shape


def test_a_refusal_is_a_status(target, paths):
    """reference: apiserver 4: {kind:Status,apiVersion:v1,metadata:{},status:Failure,…}"""
    answer = target.get(paths.of("pods", "none")).ok(404)
    assert shape_of(answer) == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "reason": "NotFound",
        "code": 404,
    }
    assert answer.headers["Content-Type"] == JSON


@pytest.mark.parametrize(
    ("resource", "details"),
    [
        ("pods", {"name": "none", "kind": "pods"}),
        ("deployments", {"name": "none", "group": "apps", "kind": "deployments"}),
        ("leases", {"name": "none", "group": "coordination.k8s.io", "kind": "leases"}),
    ],
    ids=["pods", "deployments", "leases"],
)
def test_what_is_not_found_is_named_with_its_group(target, paths, resource, details):
    """reference: apiserver 4, 404 NotFound: deployments.apps "x" not found; details.kind = plural"""
    answer = target.get(paths.of(resource, "none")).ok(404)
    full = ".".join(filter(None, (resource, details.get("group"))))
    assert answer.message == f'{full} "none" not found'
    assert answer.json["details"] == details


def test_details_of_the_invalid_name_the_kind(target, paths, name):
    """reference: apiserver 4: details.kind (422: Kind); several as [a, b]"""
    body = {"metadata": {"name": name}, "spec": {**autoscaler()["spec"], "maxReplicas": 0, "minReplicas": -1}}
    answer = target.post(paths.of("horizontalpodautoscalers"), body).ok(422)
    details = answer.json["details"]
    assert (details["name"], details["group"], details["kind"]) == (
        name,
        "autoscaling",
        "HorizontalPodAutoscaler",
    )
    head = f'HorizontalPodAutoscaler.autoscaling "{name}" is invalid: ['
    assert answer.message.startswith(head)
    assert answer.message.endswith("]")
    assert len(answer.causes) >= 2


def test_one_failure_stands_without_brackets(target, paths, name):
    """reference: apiserver 4, 422 Invalid: `… is invalid: spec.selector: Required value`"""
    answer = target.post(paths.of("leases"), lease(name, leaseDurationSeconds=0)).ok(422)
    assert answer.message == (
        f'Lease.coordination.k8s.io "{name}" is invalid: '
        "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"
    )


# --- bodies

BODIES = {
    "cut": (b'{"metadata":', UNREADABLE + "json parse error: unexpected end of JSON input"),
    "empty": (b"", UNREADABLE + "json parse error: unexpected end of JSON input (<empty>)"),
    "list": (b"[]", UNREADABLE + "json parse error: json: cannot unmarshal array"),
    "deep": (
        b'{"metadata":{"name":"a"},"data":' + b"[" * 20000 + b"]" * 20000 + b"}",
        UNREADABLE + "json parse error: invalid character '[' exceeded max depth",
    ),
    "number-for-string": (
        b'{"metadata":{"name":"a"},"data":{"k":5}}',
        f'ConfigMap in version "v1" {HANDLED} ConfigMap: '
        "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
    ),
    "string-for-object": (
        b'{"metadata":"a"}',
        f'ConfigMap in version "v1" {HANDLED} ConfigMap: json: cannot unmarshal string',
    ),
    "bad-base64": (
        b'{"metadata":{"name":"a"},"binaryData":{"k":"%"}}',
        f'ConfigMap in version "v1" {HANDLED} ConfigMap: illegal base64',
    ),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_cannot_be_read_is_a_bad_request(target, paths, case):
    """reference: apiserver 4, 400 BadRequest"""
    body, said = BODIES[case]
    answer = target.post(paths.of("configmaps"), body).ok(400)
    assert answer.reason == "BadRequest"
    assert answer.message.startswith(said)


NUMBERS = {"fraction": "1.5", "too-big": "99999999999", "string": '"many"', "bool": "true"}


@pytest.mark.parametrize("case", NUMBERS)
def test_a_number_has_its_type(target, paths, name, case):
    """reference: apiserver 4, 400 BadRequest: the Go type is named"""
    spec = f'{{"maxReplicas":{NUMBERS[case]},"scaleTargetRef":{{"kind":"D","name":"x"}}}}'
    body = f'{{"metadata":{{"name":"{name}"}},"spec":{spec}}}'.encode()
    answer = target.post(paths.of("horizontalpodautoscalers"), body).ok(400)
    assert "cannot unmarshal" in answer.message
    assert "Go struct field HorizontalPodAutoscalerSpec.spec.maxReplicas of type int32" in answer.message


def test_null_is_as_good_as_absent(target, paths):
    """reference: apiserver 5: null for a field is its zero value"""
    target.post(paths.of("configmaps"), b'{"metadata":{"name":null}}').ok(422)


def test_names_of_fields_have_their_case(target, paths):
    """reference: apiserver 2, fieldValidation: `Metadata` is an unknown field"""
    answer = target.post(paths.of("configmaps"), b'{"Metadata":{"name":"x"}}').ok(422)
    assert answer.headers["Warning"] == '299 - "unknown field \\"Metadata\\""'


def test_a_body_over_3_mib_is_too_large(target, paths, name):
    """reference: apiserver 4, 413: body >3 MiB `limit is 3145728`"""
    body = json.dumps(configmap(name, {"k": "x" * 3_200_000})).encode()
    answer = target.post(paths.of("configmaps"), body).ok(413)
    assert answer.message == "Request entity too large: limit is 3145728"
    assert answer.reason == "RequestEntityTooLarge"


def test_a_configmap_over_1_mib_is_invalid(target, paths, name):
    """reference: apiserver 5, 422 TooLong"""
    answer = target.post(paths.of("configmaps"), configmap(name, {"k": "x" * 1_100_000})).ok(422)
    assert (
        answer.message == f'ConfigMap "{name}" is invalid: []: Too long: may not be more than 1048576 bytes'
    )


def test_a_yaml_bomb_does_not_go_off(target, paths, name):
    """reference: apiserver 4 and issue: YAML bombs; the answer is quick and the server lives"""
    lines = [f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 9)}]" for number in range(1, 20)]
    body = "\n".join(["a0: &a0 [x, x]", *lines, "metadata:", f"  name: {name}"]).encode()
    assert 400 <= target.post(paths.of("configmaps"), body, kind="application/yaml").code < 500
    target.get("/livez").ok(200)


# --- media types


def test_an_unknown_content_type_is_refused(target, paths):
    """reference: apiserver 4, 415"""
    answer = target.post(paths.of("configmaps"), b"x", kind="text/plain").ok(415)
    assert answer.reason == "UnsupportedMediaType"
    assert answer.message == (
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    )


def test_an_unknown_patch_type_is_refused(target, made):
    """reference: apiserver 7: json-patch, merge-patch, strategic-merge, apply-patch+yaml; else 415"""
    path, _ = made("configmaps")
    assert target.patch(path, {}, JSON).ok(415).reason == "UnsupportedMediaType"


def test_what_cannot_be_produced_is_not_acceptable(target, paths):
    """reference: apiserver 3, Accept: none → 406; 4, 406"""
    answer = target.get(paths.of("configmaps"), headers={"Accept": "text/html"}).ok(406)
    assert answer.reason == "NotAcceptable"


ACCEPTED = {
    "star": "*/*",
    "second-clause": "text/html, application/json",
    "none": None,
    "table-of-unknown-version": "application/json;as=Table;v=v9;g=meta.k8s.io,application/json",
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_the_first_serviceable_clause_is_taken(target, paths, case):
    """reference: apiserver 3, Accept: first serviceable clause; `*/*` = JSON"""
    answer = target.get(paths.of("configmaps"), headers={"Accept": ACCEPTED[case]}).ok(200)
    assert answer.headers["Content-Type"] == JSON
    assert answer.json["kind"] == "ConfigMapList"


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_protobuf_may_be_preferred_and_json_given(target, paths, form):
    """reference: apiserver 1, PROTOBUF: answers may stay JSON; Accept protobuf,json; 9, trap 3"""
    accept = f"application/vnd.kubernetes.protobuf,application/{form}"
    answer = target.get(paths.of("configmaps"), headers={"Accept": accept}).ok(200)
    assert answer.headers["Content-Type"] in ("application/vnd.kubernetes.protobuf", f"application/{form}")


def test_yaml_is_given_on_request(target, made, name):
    """reference: apiserver 3, Accept: application/yaml"""
    path, _ = made("configmaps")
    answer = target.get(path, headers={"Accept": "application/yaml"}).ok(200)
    assert answer.headers["Content-Type"] == "application/yaml"
    assert f"name: {name}" in answer.text


def test_errors_ignore_the_form_asked_for(target, paths):
    """reference: apiserver 3, Accept: errors ignore `as=`"""
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    answer = target.get(paths.of("configmaps", "none"), headers={"Accept": accept}).ok(404)
    assert answer.json["kind"] == "Status"


PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
PARTIALS = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


def test_metadata_alone_of_an_object(target, made):
    """reference: apiserver 3, Accept: PartialObjectMetadata for item"""
    path, before = made("configmaps", configmap())
    answer = target.get(path, headers={"Accept": PARTIAL}).ok(200)
    assert (answer.json["kind"], answer.json["apiVersion"]) == ("PartialObjectMetadata", "meta.k8s.io/v1")
    assert answer.meta["uid"] == before.meta["uid"]
    assert "data" not in answer.json


def test_metadata_alone_of_a_list(target, paths, made, name):
    """reference: apiserver 3, Accept: …List for lists"""
    made("configmaps", configmap())
    answer = target.get(paths.of("configmaps"), headers={"Accept": PARTIALS}).ok(200)
    assert answer.json["kind"] == "PartialObjectMetadataList"
    assert name in answer.names
    assert not [each for each in answer.json["items"] if "data" in each]


def test_metadata_alone_of_a_watch(target, paths, made, name):
    """reference: apiserver 3, Accept: PartialObjectMetadata for watch"""
    made("configmaps", configmap())
    query = {"fieldSelector": f"metadata.name={name}", "resourceVersion": "0"}
    with target.watch(paths.of("configmaps"), {"Accept": PARTIAL}, **query) as watch:
        found = watch.next()["object"]
    assert found["kind"] == "PartialObjectMetadata"
    assert "data" not in found


def test_metadata_alone_of_a_deletion_of_many(target, paths, made, name):
    """reference: apiserver 1, Go KCM: namespace controller: deletecollection"""
    made("leases")
    target.delete(paths.of("leases"), headers={"Accept": PARTIALS}, fieldSelector=f"metadata.name={name}").ok(
        200
    )


# --- methods and paths

METHODS = {
    "put-collection": ("PUT", "configmaps", ""),
    "patch-collection": ("PATCH", "configmaps", ""),
    "post-item": ("POST", "configmaps", "x"),
    "list-bindings": ("GET", "bindings", ""),
    "options": ("OPTIONS", "configmaps", ""),
    "unheard-of": ("BREW", "configmaps", ""),
}


@pytest.mark.parametrize("case", METHODS)
def test_a_method_that_is_not_there_is_refused(target, paths, case):
    """reference: apiserver 4, 405 MethodNotAllowed"""
    method, resource, item = METHODS[case]
    answer = target.ask(method, paths.of(resource, item), {}).ok(405)
    assert answer.reason == "MethodNotAllowed"
    assert answer.message == "the server does not allow this method on the requested resource"


def test_a_namespaced_kind_is_not_created_without_namespace(target):
    """reference: apiserver 4, 405"""
    target.post("/api/v1/pods", pod()).ok(405)


def test_all_namespaces_are_not_deleted_at_once(target):
    """reference: apiserver 2, deletecollection: not for namespaces"""
    target.delete("/api/v1/namespaces", dryRun="All").ok(405)


@pytest.mark.parametrize("path", ["/nothing", "/apis/none.example/v1/things"])
def test_an_unknown_path_is_a_plain_404(target, path):
    """reference: apiserver 4, 404: unknown route: text `404 page not found`"""
    answer = target.get(path).ok(404)
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.text == "404 page not found\n"


def test_an_unknown_resource_of_a_known_version_is_a_status(target, paths):
    """reference: apiserver 4, 404: `the server could not find the requested resource`"""
    answer = target.get(paths.of("things")).ok(404)
    assert (answer.reason, answer.message) == ("NotFound", "the server could not find the requested resource")


def test_a_namespace_that_is_not_there_is_named(target):
    """reference: apiserver 2, Admission: missing namespace → 404"""
    answer = target.post("/api/v1/namespaces/nowhere/configmaps", configmap()).ok(404)
    assert answer.message == 'namespaces "nowhere" not found'
    assert answer.json["details"] == {"name": "nowhere", "kind": "namespaces"}


# --- every answer


def test_answers_carry_an_audit_id_and_are_not_cached(target, paths):
    """reference: apiserver 3: responses carry Audit-Id and `Cache-Control: no-cache, private`"""
    headers = target.get(paths.of("configmaps")).headers
    assert len(headers["Audit-Id"]) == 36
    assert headers["Cache-Control"] == "no-cache, private"


def test_a_given_audit_id_is_kept(target, paths):
    """reference: apiserver 3: Audit-Id of the client's"""
    given = "conformance-audit-id-1"
    assert target.get(paths.of("configmaps"), headers={"Audit-ID": given}).headers["Audit-Id"] == given


def test_pretty_json_is_indented(target, made):
    """reference: apiserver 1, Python client: pretty"""
    path, before = made("configmaps")
    answer = target.get(path, pretty="true").ok(200)
    assert answer.text.startswith('{\n  "')
    assert answer.json == before.json


def test_a_short_answer_is_not_compressed(target, made):
    """reference: apiserver 3: gzip only >128 KiB"""
    path, _ = made("configmaps")
    assert target.get(path, headers={"Accept-Encoding": "gzip"}).headers["Content-Encoding"] is None


def test_requests_on_one_connection_are_answered_in_order(target, paths, made, name):
    """reference: apiserver 3: HTTP/1.1 suffices: keep-alive"""
    made("configmaps")
    connection = target.connect()
    codes = []
    for wanted in (name, "none", name):
        connection.request("GET", paths.of("configmaps", wanted), headers=target._headers)
        response = connection.getresponse()
        response.read()
        codes.append(response.status)
    connection.close()
    assert codes == [200, 404, 200]


def test_a_chunked_body_is_read(target, paths, name):
    """reference: apiserver 3: HTTP/1.1: transfer-encoding of requests"""
    connection = target.connect()
    body = json.dumps(configmap(name)).encode()
    headers = {**target._headers, "Content-Type": JSON, "Transfer-Encoding": "chunked"}
    pieces = iter((body[:10], body[10:]))
    connection.request("POST", paths.of("configmaps"), pieces, headers, encode_chunked=True)
    assert connection.getresponse().status == 201
    connection.close()


def test_half_a_request_hurts_nobody(target):
    """reference: apiserver 4 and issue: half requests"""
    connection = target.connect()
    connection.connect()
    connection.sock.sendall(b"GET /api HTT")
    connection.sock.shutdown(socket.SHUT_RDWR) if target.server.startswith("http://") else None
    connection.close()
    target.get("/livez").ok(200)


def test_nonsense_instead_of_http_is_refused(target):
    """reference: apiserver 4 and issue: malformed requests"""
    connection = target.connect()
    connection.connect()
    connection.sock.sendall(b"NONSENSE\r\n\r\n")
    answer = connection.sock.recv(1000)
    connection.close()
    assert answer == b"" or b" 400 " in answer.split(b"\r\n", 1)[0]
    target.get("/livez").ok(200)


def test_many_idle_connections_leave_room_for_more(target):
    """reference: issue: idle connections"""
    idle = [target.connect() for _ in range(50)]
    for connection in idle:
        connection.connect()
    target.get("/livez").ok(200)
    for connection in idle:
        connection.close()


def test_an_expect_header_is_answered(target, paths, name):
    """reference: apiserver 3: HTTP/1.1: 100-continue"""
    connection = target.connect()
    body = json.dumps(configmap(name)).encode()
    headers = {**target._headers, "Content-Type": JSON, "Expect": "100-continue"}
    try:
        connection.request("POST", paths.of("configmaps"), body, headers)
        assert connection.getresponse().status == 201
    except http.client.HTTPException as refusal:
        pytest.fail(f"no answer: {refusal!r}")
    finally:
        connection.close()


# --- patches that cannot be


def test_more_than_10000_operations_are_too_many(target, made):
    """reference: apiserver 4, 413: >10000 JSON-patch ops"""
    path, _ = made("configmaps")
    operations = [{"op": "test", "path": "/kind", "value": "ConfigMap"}] * 10001
    answer = target.patch(path, operations, OPERATIONS).ok(413)
    assert "The allowed maximum operations in a JSON patch is 10000, got 10001" in answer.message


# --- what is encoded


def test_a_secret_travels_as_base64(made):
    """reference: apiserver 5: Secret: stringData becomes data"""
    _, answer = made("secrets", {"stringData": {"k": "v"}})
    assert answer.json["data"] == {"k": base64.b64encode(b"v").decode()}
    assert "stringData" not in answer.json
