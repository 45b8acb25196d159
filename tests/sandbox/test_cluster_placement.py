"""Where pods go: the pure decision, and how requests are counted."""

import msgspec
import pytest

from kcm.sandbox.cluster.placement import Chosen, Room, Unschedulable, choose_node
from kcm.sandbox.cluster.quantities import Amount, capacity_of, requested_by, scaled
from kcm.sandbox.cluster.views import NodeView, PodSpecView


def node(name, **parts):
    text = {"metadata": {"name": name, "labels": parts.pop("labels", {})}, "spec": parts}
    return msgspec.convert(text, NodeView)


def room(name, used=0, pods=10, **parts):
    return Room(node(name, **parts), Amount(4000, 2**30, pods), Amount(used * 1000, 0, used))


def spec(**fields):
    return msgspec.convert({"containers": [{"name": "c"}], **fields}, PodSpecView)


TAINT = [{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}]
SOFT = [{"key": "slow", "effect": "PreferNoSchedule"}]


def wants_zone(operator, *values):
    term = {"matchExpressions": [{"key": "zone", "operator": operator, "values": list(values)}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    return {"affinity": {"nodeAffinity": required}}


@pytest.mark.parametrize(
    ("pod", "rooms", "chosen"),
    [
        pytest.param({}, [room("a", used=2), room("b", used=1)], "b", id="the emptiest"),
        pytest.param({}, [room("b"), room("a")], "a", id="by name among equals"),
        pytest.param(
            {"nodeSelector": {"disk": "ssd"}},
            [room("a"), room("b", labels={"disk": "ssd"})],
            "b",
            id="selector",
        ),
        pytest.param({}, [room("a", taints=TAINT), room("b", used=3)], "b", id="not on a taint"),
        pytest.param(
            {"tolerations": [{"key": "dedicated", "operator": "Exists"}]},
            [room("a", taints=TAINT), room("b", used=3)],
            "a",
            id="a tolerated taint",
        ),
        pytest.param(
            {"tolerations": [{"key": "dedicated", "value": "gpu"}]},
            [room("a", taints=TAINT)],
            "a",
            id="a taint tolerated by value",
        ),
        pytest.param(
            {"tolerations": [{"operator": "Exists"}]},
            [room("a", taints=TAINT)],
            "a",
            id="tolerates everything",
        ),
        pytest.param({}, [room("a", taints=SOFT), room("b", used=3)], "b", id="rather not on a soft taint"),
        pytest.param({}, [room("a", taints=SOFT)], "a", id="on a soft taint when there is nothing else"),
        pytest.param(
            {}, [room("a", unschedulable=True), room("b", used=3)], "b", id="not on a cordoned node"
        ),
        pytest.param(
            wants_zone("In", "x"), [room("a"), room("b", labels={"zone": "x"})], "b", id="affinity In"
        ),
        pytest.param(
            wants_zone("Gt", "4"),
            [room("a", labels={"zone": "3"}), room("b", labels={"zone": "5"})],
            "b",
            id="affinity Gt",
        ),
        pytest.param(
            wants_zone("DoesNotExist"), [room("a", labels={"zone": "x"}), room("b")], "b", id="absent"
        ),
    ],
)
def test_a_pod_goes_to_the_right_node(pod, rooms, chosen):
    view = spec(**pod)
    assert choose_node(view, requested_by(view), rooms) == Chosen(chosen)


@pytest.mark.parametrize(
    ("pod", "rooms", "message"),
    [
        pytest.param(
            {"containers": [{"name": "c", "resources": {"requests": {"cpu": "9"}}}]},
            [room("a"), room("b")],
            "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: "
            "2 Preemption is not helpful for scheduling.",
            id="too big for an empty node",
        ),
        pytest.param(
            {"containers": [{"name": "c", "resources": {"requests": {"cpu": "3"}}}]},
            [room("a", used=2), room("b", taints=TAINT)],
            "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s). "
            "preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, "
            "1 Preemption is not helpful for scheduling.",
            id="too big for what is left",
        ),
        pytest.param(
            {"nodeSelector": {"a": "b"}},
            [room("a"), room("b", taints=TAINT)],
            "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, "
            "1 node(s) had untolerated taint(s). "
            "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.",
            id="for several reasons",
        ),
        pytest.param(
            {},
            [room("a", pods=0)],
            "0/1 nodes are available: 1 Too many pods. "
            "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
            id="full",
        ),
        pytest.param(
            {},
            [room("a", unschedulable=True)],
            "0/1 nodes are available: 1 node(s) were unschedulable. "
            "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
            id="cordoned",
        ),
    ],
)
def test_a_refusal_says_why(pod, rooms, message):
    view = spec(**pod)
    assert choose_node(view, requested_by(view), rooms) == Unschedulable(message)


def test_without_nodes_there_is_no_count():
    view = spec()
    assert choose_node(view, requested_by(view), []) == Unschedulable("no nodes available to schedule pods")


@pytest.mark.parametrize(
    ("text", "factor", "amount"),
    [
        ("100m", 1000, 100),
        ("1.5", 1000, 1500),
        ("1Gi", 1, 2**30),
        ("1e3", 1, 1000),
        ("1n", 1000, 1),
        ("0", 1, 0),
    ],
)
def test_quantities_are_counted_and_rounded_up(text, factor, amount):
    assert scaled(text, factor) == amount


@pytest.mark.parametrize("text", ["", "much", "1" * 99, "1Zi", "--1"])
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(ValueError, match="quantit"):
        scaled(text)


def test_a_pod_occupies_its_containers_or_its_largest_init_step():
    def container(name, cpu, **more):
        return {"name": name, "resources": {"requests": {"cpu": cpu}}, **more}

    view = spec(
        containers=[container("a", "1"), {"name": "b", "resources": {"limits": {"cpu": "1"}}}],
        initContainers=[container("side", "500m", restartPolicy="Always"), container("init", "4")],
        overhead={"cpu": "100m"},
    )
    assert requested_by(view) == Amount(cpu=4600, memory=0, pods=1)


def test_a_nodes_capacity_is_read_from_what_it_reports():
    assert capacity_of({"cpu": "2", "memory": "1Ki", "pods": "110"}) == Amount(2000, 1024, 110)
