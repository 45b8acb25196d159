"""What one pass decides: reference workloads 1.4 to 1.6, 1.8 and the cases 38, 43, 56, 62, 66, 70, 80."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from controllers.replicaset.claims import adoptable, strays
from controllers.replicaset.decide import BURST, decide
from controllers.replicaset.observe import Seen, look, selector_of
from controllers.replicaset.report import events, scaling_error, scaling_failure
from controllers.replicaset.status import ScalingFailure
from kcm import (
    Cache,
    Create,
    Delete,
    Key,
    Outcome,
    Pace,
    Plan,
    TerminalError,
    adoptions,
    reason_not_to_adopt,
    releases,
)
from kcm.cache.indexer import Indexer
from kcm.client.errors import Status, StatusCause, StatusDetails, error_of
from kcm.client.transport import Unanswered
from kcm.objects import LabelSelector, ObjectMeta, OwnerReference, Pod, PodTemplate, ReplicaSet
from kcm.objects.pods import PodMeta, PodSpec, PodStatus, TemplateMeta
from kcm.objects.replicasets import ReplicaSetSpec
from kcm.objects.selectors import SelectorRequirement
from kcm.runtime.applier import encode_object
from kcm.runtime.plan import Applied, Failed

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WEB = {"app": "web"}
KEY = Key("ns", "web")
SPEC = msgspec.Raw(b'{"containers":[{"image":"i","name":"c"}],"unknownField":[1.50,null]}')
TEMPLATE = PodTemplate(
    metadata=TemplateMeta(
        labels={"app": "web", "tier": "front"}, annotations={"a": "b"}, finalizers=("example.com/hold",)
    ),
    spec=SPEC,
)


def controlled(uid: str, kind: str = "ReplicaSet") -> OwnerReference:
    return OwnerReference("apps/v1", kind, "web", uid, controller=True, block_owner_deletion=True)


def replica_set(
    replicas: int = 3, *, uid: str = "rs-uid", deleting: bool = False, owner: str = "", **spec: Any
) -> ReplicaSet:
    return ReplicaSet(
        metadata=ObjectMeta(
            name="web",
            namespace="ns",
            uid=uid,
            resource_version="41",
            deletion_timestamp=NOW if deleting else None,
            owner_references=(controlled(owner, "Deployment"),) if owner else (),
        ),
        spec=ReplicaSetSpec(
            **{"replicas": replicas, "selector": LabelSelector(WEB), "template": TEMPLATE, **spec}
        ),
    )


def pod(
    name: str,
    *,
    owner: str = "rs-uid",
    labels: Mapping[str, str] = WEB,
    phase: str = "Running",
    deleting: bool = False,
    node: str = "n1",
    namespace: str = "ns",
) -> Pod:
    return Pod(
        metadata=PodMeta(
            name=name,
            namespace=namespace,
            uid=f"uid-{name}",
            resource_version="7",
            labels=labels,
            deletion_timestamp=NOW if deleting else None,
            owner_references=(controlled(owner),) if owner else (),
        ),
        spec=PodSpec(node_name=node),
        status=PodStatus(phase=phase),
    )


class Held:
    """Objects of one type, as a replica shows them."""

    trouble = ""
    version = "100"
    synced = True
    bad: Mapping[Key, str] = {}

    def __init__(self, objects: Iterable[Any]) -> None:
        self.objects: Indexer[Any] = Indexer(lambda key, reason: None)
        for each in objects:
            self.objects.put(each)


def seen(present: ReplicaSet, *pods: Pod, others: Iterable[ReplicaSet] = ()) -> Seen:
    found = look(Cache({ReplicaSet: Held([present, *others]), Pod: Held(pods)}), KEY)
    assert found is not None
    return found


def names(plan: Plan) -> list[str]:
    return [
        action.object.metadata.name if isinstance(action, Create) else action.target.key.name
        for action in plan.actions
        if isinstance(action, Create | Delete)
    ]


def many(count: int) -> list[Pod]:
    return [pod(f"web-{number}") for number in range(count)]


# Cases 38, 41, 43, 48, 52, 62, 68: (wanted, there) and what is done about it.
@pytest.mark.parametrize(
    ("wanted", "there", "created", "deleted", "more"),
    [
        pytest.param(3, many(3), 0, 0, False, id="52 as many as wanted"),
        pytest.param(0, [], 0, 0, False, id="none wanted, none there"),
        pytest.param(3, many(1), 2, 0, False, id="two short"),
        pytest.param(2, many(3), 0, 1, False, id="48 one too many"),
        pytest.param(0, many(3), 0, 3, False, id="to zero"),
        pytest.param(2, [*many(1), pod("f", phase="Failed")], 1, 0, False, id="41 failed ones are replaced"),
        pytest.param(2, [*many(1), pod("s", phase="Succeeded")], 1, 0, False, id="succeeded ones too"),
        pytest.param(2, [*many(1), pod("t", deleting=True)], 1, 0, False, id="41 terminating ones at once"),
        pytest.param(
            1, [*many(1), pod("x", owner="other")], 0, 0, False, id="66 pods of others do not count"
        ),
        pytest.param(1, [*many(1), pod("x", namespace="b")], 0, 0, False, id="no owner reaches elsewhere"),
        pytest.param(1, [pod("o", owner="")], 1, 0, False, id="orphans do not count before they are claimed"),
        pytest.param(500, [], 500, 0, False, id="62 a whole burst"),
        pytest.param(501, [], 500, 0, True, id="62 no more than a burst"),
        pytest.param(0, many(501), 0, 500, True, id="62 no more than a burst down"),
        pytest.param(2**31 - 1, [], 500, 0, True, id="the largest number"),
    ],
)
def test_the_difference_is_made_up(
    wanted: int, there: list[Pod], created: int, deleted: int, more: bool
) -> None:
    plan = decide(seen(replica_set(wanted), *there), NOW)
    kinds = [type(action) for action in plan.actions]
    assert (kinds.count(Create), kinds.count(Delete), len(kinds)) == (created, deleted, created + deleted)
    assert plan.recheck_in == (0.0 if more else None)
    assert plan.pace is (Pace.SLOW_START if created else Pace.TOGETHER if deleted else Pace.IN_ORDER)
    assert BURST == 500


def failed(name: str, age: float | None) -> Pod:
    created = None if age is None else NOW - timedelta(seconds=age)
    plain = pod(name, phase="Failed")
    return msgspec.structs.replace(
        plain, metadata=msgspec.structs.replace(plain.metadata, creation_timestamp=created)
    )


# Reliability 2, fault 42: a first round of failures is replaced at once, later ones ever more slowly.
@pytest.mark.parametrize(
    ("replicas", "ages", "wait"),
    [
        pytest.param(1, [0.0] * 3, 0.0, id="three are no reason to wait"),
        pytest.param(1, [0.0] * 4, 1.0, id="four are"),
        pytest.param(1, [0.3] * 7, 0.7, id="counted from the last creation"),
        pytest.param(1, [5.0] * 7, 0.0, id="the wait is over"),
        pytest.param(1, [0.0] * 12, 4.0, id="every round doubles it"),
        pytest.param(1, [0.0] * 400, 60.0, id="up to a minute"),
        pytest.param(1, [0.0] * 40_000, 60.0, id="whatever the number"),
        pytest.param(1, [-3600.0] * 4, 1.0, id="a clock that is behind makes no longer wait"),
        pytest.param(100, [0.0] * 99, 0.0, id="a round is as large as the replica set"),
        pytest.param(100, [0.0] * 100, 1.0, id="all of them failed once"),
        pytest.param(1, [601.0] * 50, 0.0, id="old failures are forgotten"),
        pytest.param(1, [None] * 50, 0.0, id="created nobody knows when"),
    ],
)
def test_pods_that_keep_failing_are_replaced_ever_more_slowly(
    replicas: int, ages: list[float | None], wait: float
) -> None:
    look_at = seen(replica_set(replicas), *(failed(f"f{number}", age) for number, age in enumerate(ages)))
    plan = decide(look_at, NOW)
    assert bool(plan.actions) is (wait == 0.0)
    if wait:
        assert plan.recheck_in == pytest.approx(wait)


def test_failed_pods_do_not_keep_others_from_being_deleted() -> None:
    look_at = seen(replica_set(1), *many(3), *(failed(f"f{number}", 0.0) for number in range(50)))
    assert len(decide(look_at, NOW).actions) == 2


@pytest.mark.parametrize("there", [0, 3, 9])
def test_68_a_replica_set_that_is_being_deleted_does_nothing(there: int) -> None:
    look_at = seen(replica_set(3, deleting=True), *many(there), pod("o", owner=""), pod("l", labels={}))
    assert decide(look_at, NOW) == Plan.nothing()
    assert adoptable(look_at) == strays(look_at) == []


def test_a_new_pod_is_what_the_template_says_and_nothing_else() -> None:
    (action,) = decide(seen(replica_set(1)), NOW).actions
    assert isinstance(action, Create)
    body = msgspec.json.decode(encode_object(action.object))
    name = body["metadata"].pop("name")
    assert name.startswith("web-")
    assert body == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "web-",
            "namespace": "ns",
            "labels": {"app": "web", "tier": "front"},
            "annotations": {"a": "b"},
            "finalizers": ["example.com/hold"],
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": "web",
                    "uid": "rs-uid",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {"containers": [{"image": "i", "name": "c"}], "unknownField": [1.5, None]},
    }
    assert SPEC in encode_object(action.object)


def test_the_same_view_decides_on_the_same_names_whatever_the_order() -> None:
    pods = many(5)
    first = decide(seen(replica_set(9), *pods), NOW)
    assert first == decide(seen(replica_set(9), *reversed(pods)), NOW)


def test_finished_and_terminating_pods_are_part_of_the_view() -> None:
    plain = names(decide(seen(replica_set(9)), NOW))
    failed = names(decide(seen(replica_set(9), pod("f", phase="Failed")), NOW))
    leaving = names(decide(seen(replica_set(9), pod("t", deleting=True)), NOW))
    assert len({*plain, *failed, *leaving}) == 27


@pytest.mark.parametrize("owner", ["", "rs-uid", "other"])
def test_a_name_that_any_pod_of_the_namespace_has_is_not_chosen(owner: str) -> None:
    # The stranger changes the view only if it is ours, so the names to avoid are asked for with it.
    (taken, *_) = names(decide(seen(replica_set(1)), NOW))
    stranger = pod(taken, owner=owner, labels={"app": "other"}, phase="Failed")
    assert taken not in names(decide(seen(replica_set(5), stranger), NOW))


def test_a_delete_holds_only_for_what_was_seen() -> None:
    (action,) = decide(seen(replica_set(0), pod("web-1")), NOW).actions
    assert isinstance(action, Delete)
    assert (action.target.uid, action.target.resource_version) == ("uid-web-1", "7")


# Case 56: who is related, and what crowding does.
def test_56_pods_on_a_node_crowded_with_relatives_go_first() -> None:
    old = replica_set(1, owner="deploy-uid", selector=LabelSelector({"app": "web", "v": "1"}))
    new = ReplicaSet(
        metadata=msgspec.structs.replace(old.metadata, name="web-2", uid="rs-2"),
        spec=msgspec.structs.replace(old.spec, selector=LabelSelector({"app": "web", "v": "2"})),
    )
    one, two = {"app": "web", "v": "1"}, {"app": "web", "v": "2"}
    pods = [
        pod("a", labels=one, node="n1"),
        pod("z", labels=one, node="n2"),
        pod("r", owner="rs-2", labels=two, node="n2"),
        pod("f", owner="rs-2", labels=two, node="n1", phase="Failed"),
        pod("s", owner="stranger", labels={"app": "db"}, node="n1"),
    ]
    look_at = seen(old, *pods, others=[new])
    assert look_at.crowding == {"n1": 1, "n2": 2}
    assert names(decide(look_at, NOW)) == ["z"]


def test_56_a_replica_set_without_a_controller_has_no_relatives() -> None:
    assert seen(replica_set(1), pod("a"), pod("b")).crowding == {}


def test_56_nobody_asks_for_relatives_when_nothing_is_chosen() -> None:
    for wanted, there in ((3, 2), (2, 2), (0, 2)):
        assert seen(replica_set(wanted, owner="deploy-uid"), *many(there)).crowding == {}


# Case 80: claims, nine.
@pytest.mark.parametrize(
    ("present", "deleting", "adopted", "released"),
    [
        pytest.param(pod("p"), False, 0, 0, id="ours and selected stays"),
        pytest.param(pod("p", labels={}), False, 0, 1, id="ours, not selected any more"),
        pytest.param(pod("p", owner=""), False, 1, 0, id="nobody's and selected"),
        pytest.param(pod("p", owner="", labels={}), False, 0, 0, id="nobody's, not selected"),
        pytest.param(pod("p", owner="other"), False, 0, 0, id="another's, though selected"),
        pytest.param(pod("p", owner=""), True, 0, 0, id="a dying replica set adopts nothing"),
        pytest.param(pod("p", labels={}), True, 0, 0, id="a dying replica set releases nothing"),
        pytest.param(pod("p", owner="", deleting=True), False, 0, 0, id="a dying orphan is left alone"),
        pytest.param(pod("p", owner="", namespace="b"), False, 0, 0, id="an orphan of another namespace"),
        pytest.param(pod("p", labels={}, deleting=True), False, 0, 0, id="a dying stray is left alone"),
        pytest.param(pod("p", owner="", phase="Failed"), False, 0, 0, id="a finished orphan is left alone"),
    ],
)
def test_80_claims(present: Pod, deleting: bool, adopted: int, released: int) -> None:
    look_at = seen(replica_set(deleting=deleting), present)
    assert (len(adoptable(look_at)), len(strays(look_at))) == (adopted, released)


def test_adoption_completes_our_reference_and_leaves_others_alone() -> None:
    (action,) = adoptions(replica_set(), [pod("p", owner="")]).actions
    assert msgspec.to_builtins(action.changes) == {
        "metadata": {
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": "web",
                    "uid": "rs-uid",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ]
        }
    }
    assert (action.kind, action.target.uid, action.exact) == ("strategic", "uid-p", False)


def test_80_release_takes_away_only_our_reference() -> None:
    (action,) = releases(replica_set(), [pod("p", labels={})]).actions
    assert action.changes == {"metadata": {"ownerReferences": [{"$patch": "delete", "uid": "rs-uid"}]}}
    assert (action.kind, action.target.uid) == ("strategic", "uid-p")


@pytest.mark.parametrize(
    ("live", "allowed"),
    [
        pytest.param(replica_set(), True, id="alive"),
        pytest.param(None, False, id="gone"),
        pytest.param(replica_set(uid="another"), False, id="another of its name"),
        pytest.param(replica_set(deleting=True), False, id="being deleted"),
    ],
)
def test_nothing_is_adopted_on_an_old_view(live: ReplicaSet | None, allowed: bool) -> None:
    assert (reason_not_to_adopt(replica_set(), live) == "") is allowed


# Bad objects are one key's problem (DESIGN 2.8).
NOTHING_LABELED = PodTemplate(metadata=TemplateMeta(), spec=SPEC)


@pytest.mark.parametrize(
    "absurd",
    [
        {"replicas": -1},
        {"replicas": 2**31},
        {"replicas": 10**30},
        {"min_ready_seconds": -1},
        {"min_ready_seconds": 2**63},
        {"selector": None},
        {"selector": LabelSelector()},
        {"selector": LabelSelector({"not a key": "v"})},
        {"selector": LabelSelector(match_expressions=(SelectorRequirement("app", "Near", ("web",)),))},
        {"selector": LabelSelector(match_expressions=(SelectorRequirement("app", "In"),))},
        {"template": NOTHING_LABELED},
    ],
    ids=str,
)
def test_on_the_word_of_a_nonsensical_replica_set_nothing_is_done(absurd: dict[str, Any]) -> None:
    with pytest.raises(TerminalError, match="ns/web"):
        seen(replica_set(**absurd), pod("p"), pod("o", owner=""))


@pytest.mark.parametrize(
    "selector", [None, LabelSelector(), LabelSelector({"no key!": "v"})], ids=["none", "empty", "invalid"]
)
def test_a_selector_that_selects_nothing_is_woken_by_nobody(selector: LabelSelector | None) -> None:
    assert selector_of(replica_set(selector=selector)) is None


def test_a_replica_set_that_is_gone_is_nothing_to_do() -> None:
    assert look(Cache({ReplicaSet: Held([]), Pod: Held([])}), KEY) is None


# Cases 70 and 1.8: what is told.
def refused(code: int, message: str, reason: str = "", cause: str = "") -> Exception:
    details = StatusDetails(causes=(StatusCause(reason=cause),)) if cause else None
    return error_of("POST /pods", Status("Status", "Failure", message, reason, code, details))


CREATE = decide(seen(replica_set(1)), NOW).actions[0]
DELETE = decide(seen(replica_set(0), pod("web-1")), NOW).actions[0]
QUOTA = refused(403, 'pods "web-x" is forbidden: exceeded quota', "Forbidden")
TERMINATING = refused(403, "namespace is being terminated", "Forbidden", "NamespaceTerminating")
CHANGED = refused(409, "the pod was changed", "Conflict")
TAKEN = refused(409, "the name is taken", "AlreadyExists")
BUSY = refused(429, "slow down")
LOST = Unanswered("no answer within 3 s")


@pytest.mark.parametrize(
    ("action", "error", "event", "failure"),
    [
        pytest.param(
            CREATE,
            QUOTA,
            ("FailedCreate", 'Error creating: pods "web-x" is forbidden: exceeded quota'),
            ScalingFailure("FailedCreate", 'pods "web-x" is forbidden: exceeded quota'),
            id="create refused",
        ),
        pytest.param(
            CREATE,
            LOST,
            ("FailedCreate", "Error creating: no answer within 3 s"),
            ScalingFailure("FailedCreate", "no answer within 3 s"),
            id="create unanswered",
        ),
        pytest.param(
            DELETE,
            QUOTA,
            ("FailedDelete", 'Error deleting: pods "web-x" is forbidden: exceeded quota'),
            ScalingFailure(
                "FailedDelete", 'unable to delete pods: pods "web-x" is forbidden: exceeded quota'
            ),
            id="delete refused",
        ),
        pytest.param(DELETE, CHANGED, None, None, id="a pod that changed is looked at again"),
        pytest.param(CREATE, TAKEN, None, None, id="a name that is taken is chosen anew"),
        pytest.param(CREATE, BUSY, None, None, id="a busy server is no news about pods"),
    ],
)
def test_failures_are_told_and_tried_again(
    action: Any, error: Exception, event: tuple[str, str] | None, failure: ScalingFailure | None
) -> None:
    outcome = Outcome(failed=(Failed(action, error),))
    told = [(emit.reason, emit.note) for emit in events(replica_set(), outcome).actions]
    assert told == ([event] if event else [])
    assert scaling_failure(outcome) == failure
    assert scaling_error(outcome) is error


def test_a_namespace_that_is_being_deleted_ends_the_pass_quietly() -> None:
    outcome = Outcome(failed=(Failed(CREATE, TERMINATING),))
    assert events(replica_set(), outcome) == Plan.nothing()
    assert scaling_failure(outcome) is None
    assert scaling_error(outcome) is None


def test_the_error_that_is_worth_telling_ends_the_pass() -> None:
    outcome = Outcome(failed=(Failed(CREATE, TERMINATING), Failed(CREATE, BUSY), Failed(CREATE, QUOTA)))
    assert scaling_error(outcome) is QUOTA


def test_what_was_done_is_told() -> None:
    outcome = Outcome(done=(Applied(CREATE), Applied(DELETE)))
    assert [(emit.type, emit.reason, emit.note) for emit in events(replica_set(), outcome).actions] == [
        ("Normal", "SuccessfulCreate", f"Created pod: {names(Plan((CREATE,)))[0]}"),
        ("Normal", "SuccessfulDelete", "Deleted pod: web-1"),
    ]


def test_a_message_of_any_length_is_cut() -> None:
    outcome = Outcome(failed=(Failed(CREATE, refused(422, "x" * 100_000)),))
    failure = scaling_failure(outcome)
    assert failure is not None
    assert len(failure.message) == 1000
