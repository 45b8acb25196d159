"""Whatever people, pods and nodes do to a Deployment: S1, S4 and S5 hold at every revision, and it ends.

Each example is a random sequence of what the issue names (scale, image change, pause, resume,
rollback, failure and readiness of pods, loss of a node), some with all hosts killed behind a
write. In the end everything is healed; the rollout must complete, and then nobody may write
anything for ten quiet minutes but heartbeats (reliability L1).

The suite runs a few dozen examples, the same ones each time. `KCM_EXAMPLES=5000` runs that many
new ones; what they find is shrunk and printed.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kcm.sandbox.api.audit import Mutation
from kcm.testing.invariants import NoSurplus, OneSetPerTemplate, is_active
from kcm.testing.rollout_bounds import RolloutBounds
from kcm.testing.virtual import run
from kcm.testing.world import WORKLOADS, World, deployment

PODS = "/api/v1/namespaces/default/pods"
WEB = "/apis/apps/v1/namespaces/default/deployments/web"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
NODES = 3
ASKED = int(os.environ.get("KCM_EXAMPLES", "0"))
HEARTBEATS = frozenset(("leases.coordination.k8s.io", "nodes"))


class Op(NamedTuple):
    """What is done, with a number, and how many seconds pass until the next."""

    what: str
    number: int
    then: float


WHAT = (
    "scale",
    "image",
    "bad image",
    "surge",
    "pause",
    "resume",
    "rollback",
    "restart",
    "history",
    "min ready",
    "delete",
    "delete all",
    "fail",
    "unready",
    "ready",
    "lose node",
)
OPS = st.builds(
    Op, st.sampled_from(WHAT), st.integers(0, 12), st.sampled_from((0.0, 0.01, 0.3, 1.0, 5.0, 20.0))
)
STRATEGIES = st.one_of(
    st.just({"type": "Recreate"}),
    st.builds(
        lambda surge, unavailable: {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable},
        },
        st.sampled_from((0, 1, 3, "25%", "50%")),
        st.sampled_from((1, 2, "25%")),
    ),
    st.just({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}),
)


class Case(NamedTuple):
    """One run."""

    replicas: int
    strategy: dict[str, Any]
    min_ready: int
    history: int
    crash_after: int | None
    ops: tuple[Op, ...]


CASES = st.builds(
    Case,
    st.integers(0, 8),
    STRATEGIES,
    st.sampled_from((0, 0, 3)),
    st.sampled_from((0, 1, 10)),
    st.none() | st.integers(1, 60),
    st.lists(OPS, min_size=2, max_size=12).map(tuple),
)


def template(tag: str) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": f"example/web:{tag}"}]}}}}


def change(op: Op) -> dict[str, Any] | None:
    """Return what an operation changes in the Deployment, None where it is about pods or nodes."""
    match op.what:
        case "scale":
            return {"spec": {"replicas": op.number}}
        case "image":
            return template(str(1 + op.number % 4))
        case "bad image":
            return template("nonexistent")
        case "surge":
            return {"spec": {"strategy": {"rollingUpdate": {"maxSurge": 1 + op.number}}}}
        case "pause" | "resume":
            return {"spec": {"paused": op.what == "pause"}}
        case "rollback":
            wanted = {"deprecated.deployment.rollback.to": str(op.number % 4)}
            return {"metadata": {"annotations": wanted}}
        case "restart":
            notes = {"kubectl.kubernetes.io/restartedAt": str(op.number)}
            return {"spec": {"template": {"metadata": {"annotations": notes}}}}
        case "history":
            return {"spec": {"revisionHistoryLimit": op.number % 3}}
        case "min ready":
            return {"spec": {"minReadySeconds": op.number}}
    return None


async def do(world: World, op: Op) -> None:
    """Do it; what the server refuses (a Recreate with a surge) is not done."""
    wanted = change(op)
    if wanted is not None:
        recreates = (await world.call("GET", WEB))["spec"]["strategy"]["type"] == "Recreate"
        if not (recreates and op.what == "surge"):
            await world.patch(WEB, wanted)
        return
    pods = sorted(
        (pod for pod in await world.items(PODS) if is_active(pod)), key=lambda pod: pod["metadata"]["name"]
    )
    if not pods:
        return
    chosen = f"{PODS}/{pods[op.number % len(pods)]['metadata']['name']}"
    match op.what:
        case "delete":
            await world.call("DELETE", chosen)
        case "delete all":
            for pod in pods:
                await world.call("DELETE", f"{PODS}/{pod['metadata']['name']}")
        case "fail":
            await world.patch(f"{chosen}/status", {"status": {"phase": "Failed"}})
        case "unready" | "ready":
            note = {"sandbox.kcm.dev/fault": "never-ready" if op.what == "unready" else None}
            await world.patch(chosen, {"metadata": {"annotations": note}})
        case "lose node":
            await lose_node(world, 1 + op.number % NODES, pods)


async def lose_node(world: World, number: int, pods: list[dict[str, Any]]) -> None:
    """Do what a cluster does when a node has been gone for long: its pods are removed by force."""
    name = f"sandbox-node-{number}"
    await world.patch(f"/api/v1/nodes/{name}", {"spec": {"unschedulable": True}})
    gone = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
    for pod in pods:
        if pod["spec"].get("nodeName") == name:
            await world.call("DELETE", f"{PODS}/{pod['metadata']['name']}", gone)


async def heal(world: World, replicas: int) -> None:
    """Take away what stands in the way, and ask for something new."""
    for number in range(NODES):
        await world.patch(f"/api/v1/nodes/sandbox-node-{number + 1}", {"spec": {"unschedulable": False}})
    wanted = {"spec": {**template("9")["spec"], "paused": False, "replicas": replicas, "minReadySeconds": 1}}
    await world.patch(
        WEB, {**wanted, "metadata": {"annotations": {"deprecated.deployment.rollback.to": None}}}
    )


async def complete(world: World, replicas: int) -> bool:
    found = await world.call("GET", WEB)
    status = found["status"]
    reasons = {each["type"]: each["reason"] for each in status.get("conditions", ())}
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    return (
        all(status.get(name) == replicas for name in counts)
        and reasons["Progressing"] == "NewReplicaSetAvailable"
        and status["observedGeneration"] == found["metadata"]["generation"]
        and not status.get("terminatingReplicas")
    )


async def play(case: Case) -> None:
    async with World(nodes=NODES) as world:
        surplus = NoSurplus(world.api, exact=True)
        bounds, twins = RolloutBounds(world.api), OneSetPerTemplate(world.api)
        # The recorder brings counts of events up to date when they have rested: writes of its own.
        daemon = world.start(WORKLOADS, crash_after=case.crash_after, recorder=False)
        wanted = deployment(
            "web",
            case.replicas,
            strategy=case.strategy,
            minReadySeconds=case.min_ready,
            revisionHistoryLimit=case.history,
        )
        await world.call("POST", DEPLOYMENTS, wanted)
        for op in case.ops:
            await do(world, op)
            await world.clock.sleep(op.then)
        replicas = 1 + case.replicas % 4
        await heal(world, replicas)
        await world.until(lambda: complete(world, replicas), within=300.0, what=f"{replicas} complete")
        await world.clock.sleep(60.0)
        written = await quiet(world, 600.0)
        await daemon.stop()
        assert not surplus.surplus
        assert not bounds.broken
        assert not twins.broken
        assert not written


async def quiet(world: World, seconds: float) -> list[str]:
    """Let time pass; return what was written but heartbeats."""
    written: list[str] = []

    def note(mutation: Mutation) -> None:
        if mutation.resource not in HEARTBEATS:
            written.append(f"{mutation.verb} {mutation.resource} {mutation.name} by {mutation.user_agent}")

    unsubscribe = world.api.audit.subscribe(note)
    await world.clock.sleep(seconds)
    unsubscribe()
    return written


@settings(
    max_examples=ASKED or 25,
    derandomize=not ASKED,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(CASES)
def test_case_6_whatever_happens_bounds_hold_and_it_ends_in_peace(case: Case) -> None:
    run(play(case))
