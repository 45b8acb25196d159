"""What goes over the wire for a Lease, through the real client on a transport in memory."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest

from kcm.base.errors import KcmError
from kcm.base.rng import SeededRng
from kcm.client.api import ApiClient
from kcm.client.transport import Request, Response, Stream
from kcm.election import ApiLease, Outdated
from kcm.election.record import Found, Record
from kcm.election.states import Saw
from kcm.objects.resource import Key
from kcm.telemetry.metrics import Metrics
from kcm.testing.virtual import VirtualClock, run

RECORD = Record("me", 15, "2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:02.000000Z", 3)
PATH = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"


def body(version: str = "8", name: str = "kcm") -> dict[str, object]:
    return {
        "metadata": {"name": name, "resourceVersion": version, "uid": "u1"},
        "spec": {
            "holderIdentity": "me", "leaseDurationSeconds": 15, "leaseTransitions": 3,
            "acquireTime": "2026-01-01T00:00:00.000000Z", "renewTime": "2026-01-01T00:00:02.000000Z",
        },
    }  # fmt: skip


class Lines:
    status = 200
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, lines: list[bytes]) -> None:
        self.lines = lines

    def expect_within(self, seconds: float) -> None:
        return

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for line in self.lines:
            yield line + b"\n"


class Wire:
    """Answers every request with the same thing and keeps what was asked."""

    host = "memory"

    def __init__(self, status: int = 200, answer: object = None, lines: list[bytes] | None = None) -> None:
        self.answer = Response(status, {}, json.dumps(body() if answer is None else answer).encode())
        self.lines = lines or []
        self.asked: list[Request] = []

    async def send(self, request: Request) -> Response:
        self.asked.append(request)
        return self.answer

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[Stream]:
        self.asked.append(request)
        yield Lines(self.lines)

    async def close(self) -> None:
        return


def lease(wire: Wire) -> ApiLease:
    client = ApiClient(
        wire, user_agent="kcm", metrics=Metrics(), clock=VirtualClock(), rng=SeededRng(1)
    )  # fmt: skip
    return ApiLease(client, Key("kube-system", "kcm"))


def test_a_renewal_is_a_merge_patch_on_an_exact_version() -> None:
    wire = Wire()
    found = run(lease(wire).write(Found(RECORD, "7"), RECORD, '{"versions":{"pods":"5"}}'))
    (request,) = wire.asked
    assert (request.method, request.target) == ("PATCH", f"{PATH}/kcm")
    assert dict(request.headers)["Content-Type"] == "application/merge-patch+json"
    assert json.loads(request.body) == {
        "metadata": {
            "resourceVersion": "7",
            "annotations": {"kcm.dev/last-writes": '{"versions":{"pods":"5"}}'},
        },
        "spec": body()["spec"],
    }
    assert found == Found(RECORD, "8", "u1")


def test_a_create_names_the_lease() -> None:
    wire = Wire(201)
    run(lease(wire).create(RECORD, "{}"))
    (request,) = wire.asked
    assert (request.method, request.target) == ("POST", PATH)
    sent = json.loads(request.body)
    assert (sent["apiVersion"], sent["kind"]) == ("coordination.k8s.io/v1", "Lease")
    assert (sent["metadata"]["name"], sent["metadata"]["namespace"]) == ("kcm", "kube-system")


@pytest.mark.parametrize(("status", "reason"), [(409, "Conflict"), (404, "NotFound")])
def test_a_write_that_finds_another_lease_is_outdated(status: int, reason: str) -> None:
    wire = Wire(status, {"kind": "Status", "code": status, "reason": reason})
    with pytest.raises(Outdated):
        run(lease(wire).write(Found(RECORD, "7"), RECORD, "{}"))


def test_a_create_that_finds_a_lease_is_outdated() -> None:
    wire = Wire(409, {"kind": "Status", "code": 409, "reason": "AlreadyExists"})
    with pytest.raises(Outdated):
        run(lease(wire).create(RECORD, "{}"))


@pytest.mark.parametrize("status", [401, 403, 422, 500])
def test_any_other_refusal_is_an_error_but_not_outdated(status: int) -> None:
    wire = Wire(status, {"kind": "Status", "code": status})
    with pytest.raises(KcmError) as raised:
        run(lease(wire).write(Found(RECORD, "7"), RECORD, "{}"))
    assert not isinstance(raised.value, Outdated)


def test_no_lease_is_none_and_rubbish_is_an_error() -> None:
    assert run(lease(Wire(404, {"kind": "Status", "code": 404, "reason": "NotFound"})).get()) is None
    assert run(lease(Wire()).get()) == Found(RECORD, "8", "u1")
    with pytest.raises(KcmError, match="no Lease that can be read"):
        run(lease(Wire(200, {"metadata": {"resourceVersion": 5}})).get())


def event(kind: str, obj: object) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode()


async def watched(wire: Wire) -> list[Saw]:
    async with lease(wire).watch("7") as events, asyncio.timeout(1):
        return [saw async for saw in events]


def test_a_watch_follows_the_one_lease_by_name() -> None:
    wire = Wire(
        lines=[
            event("MODIFIED", body("9")),
            event("MODIFIED", body("10", name="another")),
            event("BOOKMARK", {"metadata": {"resourceVersion": "11"}}),
            event("DELETED", body("12")),
        ]
    )
    assert run(watched(wire)) == [Saw(Found(RECORD, "9", "u1"), "9"), Saw(None, "12")]
    assert "fieldSelector=metadata.name%3Dkcm" in wire.asked[0].target
    assert "resourceVersion=7" in wire.asked[0].target


@pytest.mark.parametrize(
    "line",
    [
        event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}),
        event("ERROR", "rubbish"),
        event(
            "MODIFIED",
            {"metadata": {"name": "kcm", "resourceVersion": "9"}, "spec": {"leaseTransitions": "x"}},
        ),
        b"{",
        b"\xff",
    ],
)
def test_an_error_event_or_rubbish_ends_the_watch_with_an_error(line: bytes) -> None:
    with pytest.raises(KcmError):
        run(watched(Wire(lines=[line])))
