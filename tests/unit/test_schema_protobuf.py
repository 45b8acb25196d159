"""Protobuf bodies: what kubectl sends, and what nobody should."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcm.sandbox.schema.fields import TYPES, parse_type
from kcm.sandbox.schema.protobuf import MOST_FIELDS, ProtobufError, decode_object
from kcm.sandbox.schema.wire import fields_of, signed, varint


def number(value: int) -> bytes:
    out = b""
    value &= (1 << 64) - 1
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(tag: int, value: int | str | bytes) -> bytes:
    """Return one field: an int as a varint, all else with its length."""
    if isinstance(value, int):
        return number(tag << 3) + number(value)
    data = value.encode() if isinstance(value, str) else value
    return number(tag << 3 | 2) + number(len(data)) + data


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    meta = field(1, field(1, api_version) + field(2, kind))
    return b"k8s\0" + meta + field(2, raw) + field(3, "") + field(4, "")


def named(name: str = "x") -> bytes:
    return field(1, field(1, name) + field(2, "") + field(7, 0) + field(8, b""))


def read(kind: str, raw: bytes, api_version: str = "v1") -> dict:
    return {
        key: value
        for key, value in decode_object(envelope(api_version, kind, raw)).items()
        if key not in ("kind", "apiVersion")
    }


# Bytes as kubectl 1.32 sends them.
@pytest.mark.parametrize(
    ("sent", "obj"),
    [
        pytest.param(
            "6b3873000a0f0a02763112094e616d657370616365121a0a120a02706212001a0022002a0032003800420012001a02"
            "0a001a002200",
            {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "pb"}, "spec": {}, "status": {}},
            id="create namespace",
        ),
        pytest.param(
            "6b3873000a0f0a0276311209436f6e6669674d617012220a110a016312001a0022002a003200380042001206"
            "0a016112016212050a017a12001a002200",
            {
                "kind": "ConfigMap",
                "apiVersion": "v1",
                "metadata": {"name": "c"},
                "data": {"a": "b", "z": ""},
            },
            id="create configmap",
        ),
        pytest.param(
            "6b3873000a200a09706f6c6963792f76311213506f6444697372757074696f6e42756467657412370a120a027064"
            "12001a0022002a0032003800420012150a09080110001a0335302512080a060a01611201621a0a08001800200028"
            "0030001a002200",
            {
                "kind": "PodDisruptionBudget",
                "apiVersion": "policy/v1",
                "metadata": {"name": "pd"},
                # What is not absent in JSON either stays, though it is zero.
                "spec": {"minAvailable": "50%", "selector": {"matchLabels": {"a": "b"}}},
                "status": {},
            },
            id="create poddisruptionbudget",
        ),
    ],
)
def test_what_kubectl_sends_is_read(sent: str, obj: dict) -> None:
    assert decode_object(bytes.fromhex(sent)) == obj


def test_every_kind_of_field_is_read_as_json_has_it() -> None:
    probe = field(1, field(2, field(1, "/ok") + field(2, field(1, 1) + field(2, 0) + field(3, "web"))))
    limits = field(1, field(1, "cpu") + field(2, field(1, "100m")))
    container = b"".join(
        (
            field(1, "main"),
            field(2, "web:1"),
            field(3, "run"),
            field(3, ""),
            field(8, limits),
            field(11, probe + field(2, 5)),
            field(15, field(2, 0) + field(6, 1)),
        )
    )
    volume = field(1, "v") + field(2, field(19, field(1, field(1, "settings")) + field(3, 0)))
    spec = field(1, volume) + field(2, container) + field(4, 0) + field(11, 0)
    found = read("Pod", named() + field(2, spec))["spec"]
    assert found == {
        "volumes": [{"name": "v", "configMap": {"name": "settings", "defaultMode": 0}}],
        "containers": [
            {
                "name": "main",
                "image": "web:1",
                "command": ["run", ""],
                "resources": {"limits": {"cpu": "100m"}},
                "readinessProbe": {"httpGet": {"path": "/ok", "port": "web"}, "initialDelaySeconds": 5},
                "securityContext": {"privileged": False, "readOnlyRootFilesystem": True},
            }
        ],
        "terminationGracePeriodSeconds": 0,
    }


def test_times_and_bytes_are_text() -> None:
    moment = field(1, 1767225600) + field(2, 123456789)
    lease = read(
        "Lease",
        named() + field(2, field(1, "me") + field(2, 15) + field(4, moment)),
        "coordination.k8s.io/v1",
    )
    assert lease["spec"] == {
        "holderIdentity": "me",
        "leaseDurationSeconds": 15,
        "renewTime": "2026-01-01T00:00:00.123456Z",
    }
    secret = read(
        "Secret", field(1, field(8, field(1, 1767225600))) + field(2, field(1, "k") + field(2, b"\xff"))
    )
    assert secret == {"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, "data": {"k": "/w=="}}


def test_numbers_are_signed_and_lists_may_be_packed() -> None:
    context = field(3, -1) + field(4, 7) + field(4, number(8) + number(9))
    found = read("Pod", field(2, field(14, context)))
    assert found["spec"]["securityContext"]["supplementalGroups"] == [7, 8, 9]


def test_what_the_table_does_not_know_is_skipped() -> None:
    raw = (
        named()
        + field(400, "new")
        + field(401, 7)
        + number(402 << 3 | 1)
        + b"12345678"
        + number(403 << 3 | 5)
    )
    assert read("ConfigMap", raw + b"1234") == {"metadata": {"name": "x"}}


def test_a_message_that_comes_in_parts_is_one_message() -> None:
    assert read("ConfigMap", field(1, field(1, "x")) + field(1, field(3, "n"))) == {
        "metadata": {"name": "x", "namespace": "n"}
    }


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param(b"", "prefix", id="nothing"),
        pytest.param(b"{}", "prefix", id="JSON"),
        pytest.param(envelope("v1", "Nothing", b""), 'no kind "Nothing"', id="a kind nobody knows"),
        pytest.param(envelope("v1", "PodSpec", b""), 'no kind "PodSpec"', id="a type that is no kind"),
        pytest.param(envelope("v1", "Pod", field(1, "x")[:-1]), "cut short", id="too short"),
        pytest.param(envelope("v1", "Pod", b"\xff" * 11), "too long", id="an endless number"),
        pytest.param(envelope("v1", "Pod", b"\x00"), "field number 0", id="field 0"),
        pytest.param(envelope("v1", "Pod", b"\x0b"), "wire type 3", id="a group"),
        pytest.param(envelope("v1", "Pod", field(1, 7)), "was expected", id="a number for a message"),
        pytest.param(envelope("v1", "Pod", field(1, field(7, "x"))), "was expected", id="text for a number"),
        pytest.param(envelope("v1", "Pod", field(1, field(1, b"\xff"))), "UTF-8", id="no text"),
        pytest.param(
            envelope("v1", "Pod", field(1, field(8, field(1, 1 << 62)))), "out of range", id="a time far away"
        ),
        pytest.param(
            envelope("v1", "ConfigMap", field(2, b"") * (MOST_FIELDS + 1)), "too many", id="too many fields"
        ),
    ],
)
def test_what_is_no_such_message_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(ProtobufError, match=said):
        decode_object(body)


@given(st.sampled_from(sorted(TYPES)), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(kind: str, raw: bytes) -> None:
    try:
        assert isinstance(decode_object(envelope("v1", kind, raw)), dict)
    except ProtobufError:
        pass


@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers_survive(value: int) -> None:
    ((tag, _, found),) = fields_of(memoryview(field(5, value)))
    assert (tag, signed(found)) == (5, value)
    data = number(value)
    assert varint(memoryview(data), 0)[1] == len(data)


def test_a_number_is_used_once_in_each_type() -> None:
    for type_ in TYPES.values():
        used = [each.numbers for each in type_.fields.values() if each.numbers]
        assert len(used) == len(set(used)), type_.name


def test_a_definition_tells_numbers_and_what_zero_means() -> None:
    fields = parse_type("X", "p", "a? 1 int; b! 2.3 [Pod] by name; c string").fields
    assert (fields["a"].numbers, fields["a"].nullable, fields["a"].required) == ((1,), True, False)
    assert (fields["b"].numbers, fields["b"].merge_key, fields["b"].required) == ((2, 3), "name", True)
    assert fields["c"].numbers == ()
