"""The lease machine alone: processes that pause, requests that hang, thousands of seconds.

The world here is a list of due events. A paused process gets none of them until it resumes, as
under SIGSTOP or a suspension: time goes on for all others, and for its own boottime.
"""

import heapq
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kcm.election import ElectionSettings
from kcm.election.lease import start, step, wake_at
from kcm.election.record import Found, Record
from kcm.election.states import (
    Acquiring,
    Candidate,
    Depose,
    Deposed,
    Elect,
    Ended,
    Extend,
    Idle,
    Input,
    Leading,
    Moment,
    Output,
    Read,
    ReadFailed,
    Refused,
    Releasing,
    Resign,
    Saw,
    State,
    Tick,
    Watching,
    Write,
    WriteFailed,
    Written,
)

SETTINGS = ElectionSettings()
LEASE, DEADLINE, RETRY = SETTINGS.lease_duration, SETTINGS.renew_deadline, SETTINGS.retry_period
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    """A server with one Lease, nodes, and the time between them."""

    def __init__(self, seed: int, nodes: int, faults: float) -> None:
        self.rng = Random(seed)
        self.faults = faults
        self.now = 0.0
        self.number = 0
        self.due: list[tuple[float, int, Callable[[], None]]] = []
        self.lease: Found | None = None
        self.version = 1
        self.writes: list[tuple[float, str]] = []
        self.nodes = [Node(self, f"n{number}") for number in range(nodes)]
        self.elections: list[tuple[float, str]] = []

    def at(self, delay: float, act: Callable[[], None]) -> None:
        self.number += 1
        heapq.heappush(self.due, (self.now + delay, self.number, act))

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> float:
        began, end = self.now, self.now + seconds
        while self.due and self.due[0][0] <= end and not until():
            self.now, _, act = heapq.heappop(self.due)
            act()
            self.judge()
        if not until():
            self.now = end
        return self.now - began

    def judge(self) -> None:
        believers = [node.name for node in self.nodes if node.believes()]
        assert len(believers) <= 1, f"at {self.now:.3f} {believers} lead at once"

    def commit(self, base: Found | None, record: Record) -> Found | None:
        held, wanted = (lease.version if lease else None for lease in (self.lease, base))
        if held != wanted:
            return None
        self.version += 1
        self.lease = Found(record, str(self.version))
        self.writes.append((self.now, record.holder))
        self.publish(Saw(self.lease, self.lease.version))
        return self.lease

    def publish(self, saw: Saw) -> None:
        for node in self.nodes:
            if node.watching and self.rng.random() >= self.faults:
                self.at(self.rng.uniform(0.001, 0.05), lambda node=node: node.receive(saw))  # type: ignore[misc]


class Node:
    """One process: its machine, its inbox, whether it is stopped."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.me = Candidate(name, SETTINGS)
        self.paused_until = 0.0
        self.cut_off = False
        self.watching = True
        self.wall_step = 0.0
        self.inbox: list[Input] = []
        self.state: State = start(self.moment(), self.me)
        self.timer = 0
        self.reading = False
        self.believed_until = -1.0
        self.working = False
        world.at(0.0, self.read)

    def moment(self) -> Moment:
        return Moment(self.world.now, EPOCH + timedelta(seconds=self.world.now + self.wall_step))

    def believes(self) -> bool:
        return self.working and self.world.now < self.believed_until

    def receive(self, event: Input) -> None:
        if self.world.now < self.paused_until:
            self.inbox.append(event)
            return
        self.state, outputs = step(self.state, event, self.moment(), self.me)
        for output in outputs:
            self.carry_out(output)
        self.timer += 1
        timer = self.timer
        delay = min(max(wake_at(self.state, self.me) - self.world.now, 0.001), 0.5)
        self.world.at(delay, lambda: self.receive(Tick()) if timer == self.timer else None)

    def pause(self, seconds: float) -> None:
        self.paused_until = max(self.paused_until, self.world.now + seconds)
        self.world.at(self.paused_until - self.world.now, self.resume)

    def resume(self) -> None:
        if self.world.now < self.paused_until:
            return
        waiting, self.inbox = [Tick(), *self.inbox], []
        self.world.rng.shuffle(waiting)
        for event in waiting:
            self.receive(event)

    def carry_out(self, output: Output) -> None:
        match output:
            case Read():
                self.read()
            case Write():
                self.write(output)
            case Elect(term=term):
                assert not self.working
                self.working, self.believed_until = True, term.deadline
                self.world.elections.append((self.world.now, self.name))
            case Extend(deadline=deadline):
                assert deadline > self.believed_until
                self.believed_until = deadline
            case Depose():
                self.world.at(self.world.rng.uniform(0.0, 1.0), self.idle)
            case _:
                pass

    def idle(self) -> None:
        self.working = False
        self.receive(Idle())

    def fault(self) -> str:
        if self.cut_off:
            return "before"
        if self.world.rng.random() >= self.world.faults:
            return ""
        return self.world.rng.choice(["before", "after", "refused", "slow", "slow"])

    def read(self) -> None:
        if self.reading:
            return
        self.reading = True
        world, asked, fault = self.world, self.world.now, self.fault()
        delay = world.rng.uniform(0.1, 4.5) if fault == "slow" else world.rng.uniform(0.001, 0.05)

        def answer() -> None:
            self.reading = False
            if fault in ("before", "after", "refused"):
                self.receive(ReadFailed())
                return
            self.receive(Saw(held[0], held[0].version if held[0] else "", asked))

        held: list[Found | None] = []
        world.at(delay, lambda: held.append(world.lease))
        world.at(
            SETTINGS.renew_timeout if fault == "before" else delay + world.rng.uniform(0.001, 2 * delay),
            answer,
        )

    def write(self, order: Write) -> None:
        world, fault = self.world, self.fault()
        timeout = SETTINGS.renew_timeout
        if fault == "before":
            world.at(timeout, lambda: self.receive(WriteFailed(order.attempt)))
            return
        if fault == "refused":
            world.at(0.01, lambda: self.receive(WriteFailed(order.attempt)))
            return
        there = world.rng.uniform(0.1, 9.0) if fault == "slow" else world.rng.uniform(0.001, 0.05)
        back = world.rng.uniform(0.001, 0.05)
        if there + back > timeout or fault == "after":
            world.at(timeout, lambda: self.receive(WriteFailed(order.attempt)))
            world.at(there, lambda: world.commit(order.base, order.attempt.record) and None)
            return

        def arrive() -> None:
            lease = world.commit(order.base, order.attempt.record)
            answer = Refused(order.attempt) if lease is None else Written(order.attempt, lease)
            world.at(back, lambda: self.receive(answer))

        world.at(there, arrive)


def trouble(world: World, last: str) -> None:
    """One random misfortune; whatever it does ends by itself.

    `last` is "resign" or "delete", not both: a process that is started while there is no Lease
    cannot know of the leader that someone deleted it under. For the same reason it is deleted only
    when everyone has seen it, and not again before: a create cannot name the version it is based on.
    """
    node = world.rng.choice(world.nodes)
    length = world.rng.choice([0.3, 3.0, 8.0, 14.0, 20.0, 60.0]) * world.rng.uniform(0.5, 1.5)
    match world.rng.choice(["pause", "pause", "cut off", "blind", "wall", last]):
        case "pause":
            node.pause(length)
        case "cut off":
            node.cut_off = True
            world.at(length, lambda: setattr(node, "cut_off", False))
        case "blind":
            node.watching = False
            world.at(length, lambda: setattr(node, "watching", True))
        case "wall":
            node.wall_step += world.rng.uniform(-90_000, 90_000)
        case "delete" if all(knows(node) for node in world.nodes):
            world.version += 1
            world.lease = None
            world.publish(Saw(None, str(world.version)))
        case "resign" if len(world.nodes) > 1:
            node.receive(Resign())
            world.at(length, lambda: reborn(world, node))


def knows(node: Node) -> bool:
    sighting = getattr(node.state, "sighting", None)
    return sighting is not None and sighting.found is not None and not isinstance(node.state, Acquiring)


def reborn(world: World, node: Node) -> None:
    """A process that ended is started again, under a new identity."""
    if isinstance(node.state, Ended) and node in world.nodes:
        world.nodes[world.nodes.index(node)] = Node(world, f"{node.name}+")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32),
    nodes=st.sampled_from([1, 2, 3]),
    faults=st.sampled_from([0.0, 0.05, 0.3, 0.6]),
    last=st.sampled_from(["resign", "delete"]),
)
def test_never_two_leaders_by_their_own_deadlines_and_soon_one_after_the_faults(
    seed: int, nodes: int, faults: float, last: str
) -> None:
    world = World(seed, nodes, faults)
    for _ in range(30):
        trouble(world, last)
        world.run(world.rng.uniform(1.0, 40.0))
    world.faults = 0.0
    world.run(100.0)
    for node in world.nodes:
        if isinstance(node.state, Ended):
            reborn(world, node)
    took = world.run(60.0, until=lambda: any(node.believes() for node in world.nodes))
    assert took <= LEASE + 2.0
    before = len(world.elections)
    world.run(500.0)
    assert len(world.elections) == before
    assert any(node.believes() for node in world.nodes)


@pytest.mark.parametrize("pause", [5.0, 9.0, 11.0, 16.0, 60.0])
def test_a_stopped_leader_is_succeeded_in_time_and_does_not_lead_when_it_wakes(pause: float) -> None:
    for seed in range(20):
        world = World(seed, 2, 0.0)
        world.run(20.0 + seed / 7)
        leader = next(node for node in world.nodes if node.believes())
        other = next(node for node in world.nodes if node is not leader)
        leader.pause(pause)
        stopped = world.now
        world.run(pause)
        if pause > LEASE:
            assert world.elections[-1][1] == other.name
            assert world.elections[-1][0] - stopped <= LEASE + 2.0
        world.run(5.0)
        assert leader.believes() == (pause < DEADLINE - RETRY) or pause in (9.0, 11.0)
        assert any(node.believes() for node in world.nodes) or pause in (9.0, 11.0)
        assert not (other.believes() and leader.working)


# --- rules, one by one


def lease(
    holder: str, *, version: str = "10", renewed: str = "r1", duration: int = 15, transitions: int = 3
) -> Found:
    return Found(Record(holder, duration, "a1", renewed, transitions), version)


ME = Candidate("me", SETTINGS)


def at(seconds: float) -> Moment:
    return Moment(seconds, EPOCH + timedelta(seconds=seconds))


def after(state: State, *events: tuple[float, Input]) -> tuple[State, tuple[Output, ...]]:
    outputs: tuple[Output, ...] = ()
    for seconds, event in events:
        state, outputs = step(state, event, at(seconds), ME)
    return state, outputs


def saw(found: Found | None, asked: float | None = None, version: str = "") -> Saw:
    return Saw(found, found.version if found else version, asked)


def leading(now: float = 0.0) -> Leading:
    state, outputs = step(start(at(now), ME), saw(None, now), at(now), ME)
    (order,) = outputs
    assert isinstance(order, Write)
    assert order.base is None
    state, outputs = step(state, Written(order.attempt, Found(order.attempt.record, "10")), at(now + 0.1), ME)
    assert isinstance(outputs[0], Elect)
    assert isinstance(state, Leading)
    return state


def test_a_newcomer_waits_a_whole_duration_of_the_holder_whatever_the_times_say() -> None:
    state, outputs = after(start(at(100), ME), (100, saw(lease("other", duration=40, renewed="1970"), 100)))
    assert outputs == ()
    state, outputs = after(
        state, (139.9, saw(lease("other", duration=40, renewed="1970"), 139)), (139.95, Tick())
    )
    assert isinstance(state, Watching)
    state, outputs = after(state, (140.0, Tick()))
    assert isinstance(state, Acquiring)
    (order,) = outputs
    assert isinstance(order, Write)
    assert (order.attempt.record.holder, order.attempt.record.transitions) == ("me", 4)


def test_every_change_of_the_record_starts_the_countdown_anew_but_an_annotation_does_not() -> None:
    state, _ = after(
        start(at(0), ME), (0, saw(lease("other"), 0)), (14, saw(lease("other", renewed="r2", version="11")))
    )
    assert isinstance(after(state, (15, Tick()))[0], Watching)
    state, _ = after(state, (20, saw(lease("other", renewed="r2", version="12"))))
    assert isinstance(after(state, (28.9, Tick()))[0], Watching)
    assert isinstance(after(state, (29.0, Tick()))[0], Acquiring)


@pytest.mark.parametrize("duration", [0, -5, 10**30])
def test_senseless_durations_of_a_holder_are_bounded(duration: int) -> None:
    from kcm.election.record import found
    from kcm.objects.leases import Lease, LeaseMeta, LeaseSpec

    seen = found(
        Lease(
            metadata=LeaseMeta(resource_version="5"),
            spec=LeaseSpec(holder_identity="other", lease_duration_seconds=duration),
        )
    )
    state, _ = after(start(at(0), ME), (0, saw(seen, 0)))
    assert isinstance(state, Watching)
    assert wake_at(replace(state, read_at=1e9), ME) == (15.0 if duration <= 0 else 3600.0)


def test_a_released_lease_and_an_own_record_are_claimed_at_once() -> None:
    state, outputs = after(start(at(0), ME), (0, saw(lease("", duration=1), 0)))
    assert isinstance(state, Acquiring)
    assert isinstance(outputs[0], Write)
    assert outputs[0].attempt.record.transitions == 4
    state, outputs = after(start(at(0), ME), (0, saw(lease("me"), 0)))
    assert isinstance(state, Acquiring)
    assert isinstance(outputs[0], Write)
    assert (outputs[0].attempt.record.transitions, outputs[0].attempt.record.acquired) == (3, "a1")


def test_a_refused_claim_is_followed_by_a_read_and_not_by_another_claim() -> None:
    state, outputs = after(start(at(0), ME), (0, saw(lease(""), 0)))
    assert isinstance(outputs[0], Write)
    state, outputs = after(state, (0.1, Refused(outputs[0].attempt)))
    assert outputs == (Read(),)
    state, outputs = after(state, (0.2, saw(lease("other", version="11"), 0.1)), (15.1, Tick()))
    assert isinstance(state, Watching)
    assert isinstance(after(state, (15.2, Tick()))[0], Acquiring)


def test_the_deadline_counts_from_when_the_renewal_was_sent() -> None:
    state = leading()
    assert state.deadline == DEADLINE
    renewing, outputs = step(state, Tick(), at(2.0), ME)
    (order,) = outputs
    assert isinstance(order, Write)
    renewed, outputs = step(renewing, Written(order.attempt, Found(order.attempt.record, "11")), at(6.9), ME)
    assert outputs[0] == Extend(2.0 + DEADLINE)
    assert isinstance(renewed, Leading)


def test_a_renewal_answered_after_the_deadline_does_not_save_the_leader() -> None:
    renewing, outputs = step(leading(), Tick(), at(2.0), ME)
    assert isinstance(outputs[0], Write)
    answer = Written(outputs[0].attempt, Found(outputs[0].attempt.record, "11"))
    state, outputs = step(renewing, answer, at(DEADLINE), ME)
    assert isinstance(state, Deposed)
    assert any(isinstance(output, Depose) for output in outputs)


def test_a_renewal_whose_answer_was_lost_is_recognised_when_it_is_seen() -> None:
    renewing, outputs = step(leading(), Tick(), at(2.0), ME)
    assert isinstance(outputs[0], Write)
    attempt = outputs[0].attempt
    _, outputs = after(renewing, (7.0, WriteFailed(attempt)), (7.05, saw(Found(attempt.record, "11"))))
    assert outputs == (Extend(2.0 + DEADLINE),)


def test_a_refused_renewal_is_followed_by_a_read_and_repeated_on_what_was_read() -> None:
    renewing, outputs = step(leading(), Tick(), at(2.0), ME)
    assert isinstance(outputs[0], Write)
    ours = outputs[0].attempt.record
    # Somebody put a label on the Lease; no watch tells of it.
    state, outputs = step(renewing, Refused(outputs[0].attempt), at(2.1), ME)
    assert outputs == (Read(),)
    assert isinstance(state, Leading)
    state, outputs = step(state, saw(Found(renewing.sighting.found.record, "12"), 2.1), at(2.2), ME)
    (again,) = outputs
    assert isinstance(again, Write)
    assert again.base is not None
    assert again.base.version == "12"
    assert again.attempt.record.holder == ours.holder


def test_an_old_watch_event_is_no_news_and_does_not_depose() -> None:
    state, outputs = step(leading(), saw(lease("other", version="9")), at(1.0), ME)
    assert isinstance(state, Leading)
    assert outputs == ()


def test_a_read_sent_later_is_believed_even_if_versions_went_back() -> None:
    state, _ = step(leading(), saw(lease("other", version="9"), 0.5), at(1.0), ME)
    assert isinstance(state, Deposed)


def test_a_read_sent_before_the_own_write_is_not_believed() -> None:
    state, _ = step(leading(), saw(lease("other", version="9"), 0.05), at(1.0), ME)
    assert isinstance(state, Leading)


def test_a_standby_that_sees_the_lease_deleted_waits_a_whole_duration() -> None:
    state, _ = after(start(at(0), ME), (0, saw(lease("other"), 0)), (3, saw(None, version="11")))
    assert isinstance(after(state, (9, saw(None, 8)), (17.9, Tick()))[0], Watching)
    assert isinstance(after(state, (18.0, Tick()))[0], Acquiring)


def test_nothing_is_written_between_losing_and_the_end_of_work() -> None:
    state, outputs = step(leading(), saw(lease("other", version="11")), at(1.0), ME)
    assert isinstance(state, Deposed)
    for seconds in range(2, 100):
        state, outputs = step(state, Tick(), at(seconds), ME)
        assert outputs == ()
    state, outputs = step(state, Idle(), at(100), ME)
    assert outputs == (Read(),)


def test_a_release_refused_by_an_own_late_renewal_is_repeated() -> None:
    state, outputs = after(leading(), (1.0, Resign()), (1.2, Idle()))
    assert isinstance(outputs[-1], Write)
    assert outputs[-1].final
    assert outputs[-1].attempt.record.holder == ""
    state, outputs = after(state, (1.3, Refused(outputs[-1].attempt)))
    assert outputs == (Read(),)
    state, outputs = after(state, (1.4, saw(lease("me", version="12", renewed="late"), 1.3)))
    assert isinstance(outputs[0], Write)
    assert outputs[0].final
    state, _ = after(state, (1.5, Written(outputs[0].attempt, Found(outputs[0].attempt.record, "13"))))
    assert state == Ended(released=True)


def test_a_release_that_cannot_be_done_is_given_up() -> None:
    state, _ = after(leading(), (1.0, Resign()), (1.2, Idle()))
    seconds = 1.2
    while not isinstance(state, Ended):
        assert isinstance(state, Releasing)
        seconds += 0.5
        assert seconds < 1.2 + SETTINGS.renew_timeout + 1.0
        state, _ = step(state, Tick(), at(seconds), ME)
    assert state == Ended(released=False)


def test_asking_to_stop_during_a_claim_gives_the_lease_back_if_it_was_won() -> None:
    state, outputs = after(start(at(0), ME), (0, saw(None, 0)))
    assert isinstance(outputs[0], Write)
    claim = outputs[0].attempt
    state, outputs = after(state, (0.1, Resign()), (0.2, Written(claim, Found(claim.record, "5"))))
    assert isinstance(outputs[0], Write)
    assert outputs[0].final
    assert not any(isinstance(output, Elect) for output in outputs)
