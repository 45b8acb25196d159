"""The judge of these tests finds what it is there to find."""

import json

import pytest
from verdicts import ACCOUNT, Record, Term, verdict

ONE, TWO = "kcm/1 (kcm-a_1)", "kcm/1 (kcm-b_2)"
PODS = "/api/v1/namespaces/default/pods"
BOUND = {"uid": "u", "resourceVersion": "7"}


def lease(at, holder):
    kept = {"resource": "leases", "name": "kcm", "namespace": "kcm-system", "holder": holder, "at": at}
    return {"commit": {**kept, "agent": f"kcm/1 ({holder})/leader-election"}}


def request(began, agent, method="POST", path=PODS, status=201, preconditions=BOUND, who=ACCOUNT):
    fields = {"began": began, "agent": f"{agent}/replicaset", "method": method, "path": path, "query": {}}
    return {"request": {**fields, "status": status, "who": who, "preconditions": preconditions, "at": began}}


HANDED_OVER = [lease(1.0, "kcm-a_1"), lease(2.0, "kcm-a_1"), lease(5.0, ""), lease(6.0, "kcm-b_2")]


@pytest.fixture
def judged(tmp_path):
    """Judge these lines after a hand-over at 5 seconds: judged(line, ...)."""

    def judge(*lines):
        path = tmp_path / "record"
        path.write_text("".join(json.dumps(line) + "\n" for line in [*HANDED_OVER, *lines]) + '{"torn')
        return verdict(Record(path))

    return judge


def test_writes_of_each_leader_in_its_term_are_in_order(judged):
    assert judged(request(2.0, ONE), request(4.9, ONE), request(6.1, TWO, "DELETE")) == []


@pytest.mark.parametrize(
    ("line", "says"),
    [
        pytest.param(request(6.5, ONE), "S7", id="a write of a deposed leader"),
        pytest.param(request(6.5, ONE, status=409), "S7", id="one that was refused"),
        pytest.param(request(5.5, ONE), "S7", id="a write after the release"),
        pytest.param(request(5.5, TWO), "S7", id="a write of a standby"),
        pytest.param(
            request(2.0, ONE, "DELETE", preconditions={"uid": "u"}), "S2", id="a deletion of any state"
        ),
        pytest.param(request(2.0, ONE, who="system:admin"), "not as", id="a write in another name"),
        pytest.param(request(2.0, ONE, "GET", status=403), "forbidden", id="a right that is missing"),
        pytest.param({"broken": {"invariant": "no surplus", "text": "x", "at": 3.0}}, "no surplus", id="S1"),
    ],
)
def test_what_is_not_in_order_is_named(judged, line, says):
    (found,) = judged(line)
    assert found.startswith(says)


def test_reads_events_and_the_lease_itself_are_nobody_s_writes(judged):
    events = "/apis/events.k8s.io/v1/namespaces/kcm-system/events"
    leases = "/apis/coordination.k8s.io/v1/namespaces/kcm-system/leases/kcm"
    assert (
        judged(request(9.0, ONE, "GET"), request(9.0, ONE, path=events), request(9.0, ONE, path=leases)) == []
    )


def test_a_term_ends_by_release_or_by_another_holder(tmp_path):
    path = tmp_path / "record"
    lines = [*HANDED_OVER, lease(30.0, "kcm-a_1")]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert Record(path).terms() == [
        Term("kcm-a_1", 1.0, 5.0, True),
        Term("kcm-b_2", 6.0, 30.0, False),
        Term("kcm-a_1", 30.0, float("inf"), False),
    ]
