"""The life of a pod on its node, and what the API is told of it: pure."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcm.sandbox.cluster.behaviour import PREFIX, Pace, behaviour_of, read_duration
from kcm.sandbox.cluster.containers import Now
from kcm.sandbox.cluster.life import Arrived, Ended, due, step
from kcm.sandbox.cluster.report import Placed, status_of, told
from kcm.sandbox.cluster.views import PodView

T0 = datetime(2026, 1, 1, tzinfo=UTC)
PACE = Pace(start=1.0, stop=1.0)
STAGE = "pod-container-running-failed.stage.kwok.x-k8s.io"


def pod(annotations=(), image="web:1", policy="Always", deleted_at=None, **fields):
    spec = {"nodeName": "n", "restartPolicy": policy, "containers": [{"name": "c", "image": image}], **fields}
    notes = {PREFIX + name: value for name, value in annotations}
    meta = {"name": "p", "namespace": "d", "uid": "u", "generation": 1, "annotations": notes}
    if deleted_at is not None:
        meta["deletionTimestamp"] = T0 + timedelta(seconds=deleted_at)
    return msgspec.convert({"metadata": meta, "spec": spec}, PodView)


class Story:
    """Lives a pod's life and keeps every status that differs from the one before."""

    def __init__(self, view):
        self.view, self.life, self.now = view, Arrived(), 0.0
        self.placed = Placed(T0, "10.0.0.1", "10.1.0.1", {})
        self.told, self.notes = [], []

    def until(self, end, view=None):
        self.view = view or self.view
        behaviour = behaviour_of(self.view, PACE)
        while True:
            now = Now(self.now, T0 + timedelta(seconds=self.now))
            moved = step(self.life, self.view, behaviour, now)
            self.life = moved.life
            self.notes += [note.reason for note in moved.notes]
            status = status_of(self.life, self.view, behaviour, self.placed, now)
            if not self.told or status != self.told[-1][1]:
                self.told.append((self.now, status))
                self.placed = told(self.placed, status)
            at = due(self.life, self.view, behaviour, now)
            if at is None or at > end:
                self.now = end
                return self
            assert at > self.now or at == self.now == 0.0, "a life that is due again at once never rests"
            self.now = at

    @property
    def shown(self):
        return [(at, short(status)) for at, status in self.told]


def short(status):
    """Return phase, what each container is doing, and what is True."""
    doing = []
    for each in status["containerStatuses"]:
        ((state, detail),) = each["state"].items()
        doing.append(
            detail.get("reason", state) + (f" x{each['restartCount']}" if each["restartCount"] else "")
        )
    true = {each["type"] for each in status["conditions"] if each["status"] == "True"}
    return status["phase"], " ".join(doing), "Ready" in true


@pytest.mark.parametrize(
    ("view", "shown"),
    [
        pytest.param(
            pod(),
            [(0, ("Pending", "ContainerCreating", False)), (1, ("Running", "running", True))],
            id="starts and is ready in two writes",
        ),
        pytest.param(pod([("start-delay", "0s")]), [(0, ("Running", "running", True))], id="starts at once"),
        pytest.param(
            pod(containers=[{"name": "c", "image": "i", "readinessProbe": {"initialDelaySeconds": 5}}]),
            [
                (0, ("Pending", "ContainerCreating", False)),
                (1, ("Running", "running", False)),
                (6, ("Running", "running", True)),
            ],
            id="is ready after its probe's delay",
        ),
        pytest.param(
            pod([("fault", "never-ready")]),
            [(0, ("Pending", "ContainerCreating", False)), (1, ("Running", "running", False))],
            id="is never ready",
        ),
        pytest.param(
            pod(containers=[{"name": "c", "image": "webserver:404", "readinessProbe": {}}]),
            [(0, ("Pending", "ContainerCreating", False)), (1, ("Running", "running", False))],
            id="answers its probe with 404",
        ),
        pytest.param(
            pod(image="nginx:nonexistent"),
            [
                (0, ("Pending", "ContainerCreating", False)),
                (1, ("Pending", "ErrImagePull", False)),
                (2, ("Pending", "ImagePullBackOff", False)),
                (12, ("Pending", "ErrImagePull", False)),
                (13, ("Pending", "ImagePullBackOff", False)),
            ],
            id="cannot pull its image",
        ),
        pytest.param(
            pod([("fault", "crash-loop")]),
            [
                (0, ("Pending", "ContainerCreating", False)),
                (1, ("Running", "running", True)),
                (2, ("Running", "running x1", True)),
                (3, ("Running", "CrashLoopBackOff x1", False)),
                (13, ("Running", "running x2", True)),
                (14, ("Running", "CrashLoopBackOff x2", False)),
            ],
            id="crashes again and again, but its phase stays Running",
        ),
        pytest.param(
            pod([("fault", "oom")], policy="Never"),
            [
                (0, ("Pending", "ContainerCreating", False)),
                (1, ("Running", "running", True)),
                (2, ("Failed", "OOMKilled", False)),
            ],
            id="runs out of memory for good",
        ),
        pytest.param(
            pod([("fault", "evicted"), ("fault-after", "3s")]),
            [
                (0, ("Pending", "ContainerCreating", False)),
                (1, ("Running", "running", True)),
                (4, ("Failed", "", False)),
            ],
            id="is evicted",
        ),
        pytest.param(
            pod([("run-for", "5s")], policy="OnFailure"),
            [
                (0, ("Pending", "ContainerCreating", False)),
                (1, ("Running", "running", True)),
                (6, ("Succeeded", "Completed", False)),
            ],
            id="completes",
        ),
        pytest.param(
            pod(initContainers=[{"name": "one"}, {"name": "two"}]),
            [
                (0, ("Pending", "PodInitializing", False)),
                (1, ("Pending", "PodInitializing", False)),
                (2, ("Pending", "PodInitializing", False)),
                (3, ("Running", "running", True)),
            ],
            id="runs its init containers in turn",
        ),
        pytest.param(
            pod([("fault", "liveness")], containers=[{"name": "c", "livenessProbe": {"periodSeconds": 2}}]),
            [
                (0, ("Pending", "ContainerCreating", False)),
                (1, ("Running", "running", True)),
                (8, ("Running", "running x1", True)),
                (15, ("Running", "CrashLoopBackOff x1", False)),
            ],
            id="fails its liveness probe three times and is restarted",
        ),
        pytest.param(
            pod(containers=[{"name": "c", "startupProbe": {"initialDelaySeconds": 3}, "readinessProbe": {}}]),
            [
                (0, ("Pending", "ContainerCreating", False)),
                (1, ("Running", "running", False)),
                (4, ("Running", "running", True)),
            ],
            id="is not asked whether it is ready before it has started up",
        ),
        pytest.param(
            msgspec.convert(
                {
                    "metadata": {
                        "name": "p",
                        "namespace": "d",
                        "uid": "u",
                        "labels": {f"{STAGE}": "true", "app": "x"},
                        "annotations": {f"{STAGE}/delay": "4s"},
                    },
                    "spec": {"nodeName": "n", "containers": [{"name": "c"}]},
                },
                PodView,
            ),
            [
                (0, ("Pending", "ContainerCreating", False)),
                (1, ("Running", "running", True)),
                (5, ("Failed", "failed", False)),
            ],
            id="fails by KWOK's chaos stage, whatever its restart policy",
        ),
    ],
)
def test_a_pod_that(view, shown):
    assert Story(view).until(20).shown == shown


def init_states(story):
    """Return what each init container was doing, whenever that changed."""
    seen = []
    for at, status in story.told:
        doing = []
        for each in status["initContainerStatuses"]:
            ((state, detail),) = each["state"].items()
            doing.append(
                detail.get("reason", state) + f" x{each['restartCount']}" * bool(each["restartCount"])
            )
        if not seen or seen[-1][1] != doing:
            seen.append((at, doing))
    return seen


def test_an_init_container_that_fails_is_tried_again_and_holds_the_others():
    story = Story(pod([("fault", "init")], initContainers=[{"name": "one"}, {"name": "two"}])).until(20)
    assert init_states(story) == [
        (0, ["PodInitializing", "PodInitializing"]),
        (1, ["running", "PodInitializing"]),
        (2, ["running x1", "PodInitializing"]),
        (3, ["CrashLoopBackOff x1", "PodInitializing"]),
        (13, ["running x2", "PodInitializing"]),
        (14, ["CrashLoopBackOff x2", "PodInitializing"]),
    ]
    assert {status["phase"] for _, status in story.told} == {"Pending"}
    initialised = {each["type"]: each["status"] for each in story.told[-1][1]["conditions"]}["Initialized"]
    assert initialised == "False"
    story.until(60, pod(initContainers=[{"name": "one"}, {"name": "two"}]))
    assert story.shown[-1][1] == ("Running", "running", True)


def test_an_init_container_that_fails_for_good_fails_the_pod():
    story = Story(pod([("fault", "init")], policy="Never", initContainers=[{"name": "one"}])).until(20)
    last = story.told[-1][1]
    assert last["phase"] == "Failed"
    assert last["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 1


def test_a_sidecar_starts_first_runs_on_and_counts_as_ready():
    init = [{"name": "proxy", "restartPolicy": "Always"}, {"name": "setup"}]
    story = Story(pod(initContainers=init)).until(10)
    assert init_states(story) == [
        (0, ["PodInitializing", "PodInitializing"]),
        (1, ["running", "running"]),
        (2, ["running", "Completed"]),
    ]
    last = story.told[-1][1]
    assert story.notes.count("Started") == 3
    assert [each["ready"] for each in last["initContainerStatuses"]] == [True, True]
    assert last["phase"] == "Running"


def test_a_pod_that_completed_says_so_in_its_conditions():
    story = Story(pod([("run-for", "5s")], policy="Never")).until(20)
    verdicts = {each["type"]: (each["status"], each["reason"]) for each in story.told[-1][1]["conditions"]}
    assert verdicts == {
        "PodReadyToStartContainers": ("False", None),
        "Initialized": ("True", "PodCompleted"),
        "Ready": ("False", "PodCompleted"),
        "ContainersReady": ("False", "PodCompleted"),
    }


def test_a_deleted_pod_reaches_a_final_phase_before_it_goes():
    story = Story(pod()).until(5)
    story.until(20, pod(deleted_at=35))
    assert story.shown[-1] == (6, ("Succeeded", "Completed", False))
    assert isinstance(story.life, Ended)
    assert story.notes == ["Pulled", "Created", "Started", "Killing"]


def test_a_container_that_outlives_its_grace_is_killed():
    story = Story(pod([("stop-delay", "1m")])).until(5)
    story.until(60, pod([("stop-delay", "1m")], deleted_at=15))
    assert story.shown[-1] == (15, ("Failed", "Error", False))
    assert story.told[-1][1]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137


def test_a_shorter_grace_ends_a_stopping_pod_sooner():
    slow = [("stop-delay", "1m")]
    story = Story(pod(slow)).until(5).until(10, pod(slow, deleted_at=50))
    story.until(60, pod(slow, deleted_at=12))
    assert story.told[-1][0] == 12


def test_a_pod_deleted_while_it_starts_fails():
    story = Story(pod([("start-delay", "1m")])).until(5)
    story.until(20, pod([("start-delay", "1m")], deleted_at=35))
    assert story.shown[-1] == (6, ("Failed", "ContainerStatusUnknown", False))


def test_a_fault_can_be_put_on_a_running_pod_and_taken_off_again():
    story = Story(pod()).until(10)
    story.until(20, pod([("fault", "never-ready")]))
    assert story.shown[-1] == (10, ("Running", "running", False))
    story.until(30, pod())
    assert story.shown[-1] == (20, ("Running", "running", True))


def test_a_transition_time_moves_only_with_its_status():
    told = Story(pod(containers=[{"name": "c", "readinessProbe": {"initialDelaySeconds": 5}}])).until(9).told

    def times(status):
        return {each["type"]: each["lastTransitionTime"][-3:-1] for each in status["conditions"]}

    assert times(told[0][1]) == dict.fromkeys(times(told[0][1]), "00")
    assert times(told[-1][1])["Initialized"] == "00"
    assert times(told[-1][1])["PodReadyToStartContainers"] == "01"
    assert times(told[-1][1])["Ready"] == times(told[-1][1])["ContainersReady"] == "06"


def test_a_readiness_gate_holds_ready_back_but_not_containers_ready():
    view = pod(readinessGates=[{"conditionType": "example.com/up"}])
    (*_, (_, status)) = Story(view).until(5).told
    verdicts = {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}
    assert verdicts["Ready"] == ("False", "ReadinessGatesNotReady")
    assert verdicts["ContainersReady"][0] == "True"


def test_unready_containers_are_named_in_the_condition():
    (_, status), *_ = (
        Story(pod(containers=[{"name": "a"}, {"name": "b"}])).told
        or Story(pod(containers=[{"name": "a"}, {"name": "b"}])).until(0.5).told
    )
    ready = next(each for each in status["conditions"] if each["type"] == "Ready")
    assert (ready["reason"], ready["message"]) == (
        "ContainersNotReady",
        "containers with unready status: [a b]",
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5.0),
        ("1m30s", 90.0),
        ("500ms", 0.5),
        ("", None),
        ("5", None),
        ("s", None),
        ("9" * 50 + "s", None),
    ],
)
def test_durations_are_read_or_ignored(text, seconds):
    assert read_duration(text) == seconds


@given(
    fault=st.sampled_from(
        ["", "crash-loop", "oom", "evicted", "never-ready", "image-pull", "liveness", "init", "nonsense"]
    ),
    delays=st.lists(st.sampled_from(["0s", "1ms", "1s", "7s", "x"]), min_size=4, max_size=4),
    policy=st.sampled_from(["Always", "OnFailure", "Never"]),
    init=st.integers(0, 3),
    deleted=st.none() | st.integers(0, 30),
)
def test_every_life_rests_and_ends_when_it_is_asked_to(fault, delays, policy, init, deleted):
    names = ("start-delay", "stop-delay", "run-for", "fault-after")
    notes = [("fault", fault), *zip(names, delays, strict=True)]
    fields = {"policy": policy, "initContainers": [{"name": f"i{n}"} for n in range(init)]}
    story = Story(pod(notes, **fields)).until(10)
    if deleted is not None:
        story.until(60, pod(notes, deleted_at=10 + deleted, **fields))
        assert isinstance(story.life, Ended)
    phases = [status["phase"] for _, status in story.told]
    final = [index for index, phase in enumerate(phases) if phase in ("Succeeded", "Failed")]
    assert final in ([], [len(phases) - 1]), "nothing is told after a final phase"
