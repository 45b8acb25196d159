"""Events on their way out of a host, through the manager, and into whoever hears them."""

import asyncio

import msgspec
import pytest

from kcm.manager.eventpost import MOST_RECORDS, EventPost
from kcm.objects import Emitted, Key
from kcm.objects.events import ObjectReference
from kcm.runtime import events
from kcm.runtime.events import EventSink, Outbox
from kcm.runtime.inbox import MOST_WAITING, Inbox, emitted
from kcm.runtime.plan import Emit
from kcm.telemetry.metrics import Metrics
from kcm.testing.virtual import VirtualClock, run


def reference(name="web", uid="u"):
    return ObjectReference("apps/v1", "ReplicaSet", "default", name, uid=uid)


def emit(note="text", name="web", uid="u", reason="Test", type_="Normal"):
    return Emit(reference(name, uid), type_, reason, note)


def counted(metrics, name, label="reason"):
    """Return a counter's samples above 0, by one of their labels."""
    samples = (sample for family in metrics.read() for sample in family.samples)
    found = {}
    for sample in samples:
        if sample.name == name and sample.value:
            value = dict(sample.labels).get(label, "")
            found[value] = found.get(value, 0) + sample.value
    return found


class Stage:
    """A sink and its outbox; what was posted is in `batches`."""

    def __init__(self):
        self.metrics, self.batches, self.clock = Metrics(), [], VirtualClock()
        self.outbox = Outbox(self.batches.append)
        self.sink = EventSink("test", "tester", "machine", self.outbox, self.clock, self.metrics)

    @property
    def records(self):
        return [msgspec.json.decode(record, type=Emitted) for batch in self.batches for record in batch]

    @property
    def dropped(self):
        return counted(self.metrics, "kcm_events_dropped_total")


def play(scenario):
    async def main():
        stage = Stage()
        await scenario(stage)
        return stage

    return run(main())


def test_events_leave_in_their_order_and_in_batches_without_anybody_waiting():
    async def act(stage):
        for number in range(600):
            stage.sink.emit(emit(str(number), uid=str(number)))
        assert not stage.batches
        await asyncio.sleep(0.1)

    stage = play(act)
    assert [record.note for record in stage.records] == [str(number) for number in range(600)]
    assert max(map(len, stage.batches)) == events.BATCH
    first = stage.records[0]
    assert (first.component, first.instance, first.action) == ("tester", "tester-machine", "Test")


def test_beyond_its_rate_an_object_costs_one_record_that_tells_how_often():
    async def act(stage):
        for number in range(5000):
            stage.sink.emit(emit(f"pod {number}"))
        for _ in range(40):
            stage.sink.emit(emit("no", type_="Warning"))
        await asyncio.sleep(10.0)

    records = play(act).records
    assert sum(record.times for record in records) == 5040
    assert len(records) == 25 + 1 + 25 + 1
    pods, warnings = [record for record in records if record.times > 1]
    assert (pods.times, pods.mixed, pods.note) == (4975, True, "pod 4999")
    assert (warnings.times, warnings.mixed, warnings.note) == (15, False, "no")


def test_the_rate_comes_back_with_one_event_in_five_minutes():
    async def act(stage):
        for _ in range(30):
            stage.sink.emit(emit())
        await asyncio.sleep(301.0)
        for _ in range(2):
            stage.sink.emit(emit("later"))
        stage.sink.flush()
        stage.outbox.flush()

    assert [record.times for record in play(act).records] == [1] * 25 + [5, 1, 1]


def test_a_burst_of_ten_thousand_objects_costs_bounded_memory_and_the_rest_is_counted():
    async def act(stage):
        for number in range(10_000):
            stage.sink.emit(emit(uid=str(number)))
        await asyncio.sleep(0.1)

    stage = play(act)
    assert len(stage.records) == events.QUEUED
    assert stage.dropped == {"full": 10_000 - events.QUEUED}


def test_an_object_of_many_reasons_is_bounded_too():
    async def act(stage):
        for number in range(5000):
            stage.sink.emit(emit(reason=f"Reason{number}"))
        await asyncio.sleep(10.0)

    stage = play(act)
    assert 25 < len(stage.records) <= 25 + events.FOLDS
    assert sum(record.times for record in stage.records) + sum(stage.dropped.values()) == 5000


@pytest.mark.parametrize(
    "rubbish",
    [
        emit("\ud800"),
        emit(None),
        emit(reason=None),
        emit(note=12),
        Emit(None, "Normal", "R", "n"),
        Emit([], "Normal", "R", "n"),
        Emit(reference("x" * 100_000), "Normal", "R", "n"),
        emit(note=object()),
    ],
    ids=range(8),
)
def test_rubbish_is_dropped_and_counted_and_never_raises(rubbish):
    async def act(stage):
        stage.sink.emit(rubbish)
        stage.sink.emit(emit("good"))
        for _ in range(30):
            stage.sink.emit(rubbish)
        await asyncio.sleep(10.0)

    stage = play(act)
    assert [record.note for record in stage.records] == ["good"]
    assert stage.dropped == {"unreadable": 31}


def test_what_is_too_long_is_cut():
    async def act(stage):
        stage.sink.emit(emit("é" * 5000, reason="R" * 5000))
        await asyncio.sleep(1.0)

    (record,) = play(act).records
    assert (len(record.note), len(record.reason), len(record.action)) == (1024, 128, 128)


def raw(event):
    return msgspec.Raw(msgspec.json.encode(event))


def record(note="n", name="web", type_="Normal", namespace="default"):
    about = ObjectReference("v1", "Pod", namespace, name, uid="u")
    return Emitted(about, type_, "R", note, "A", "c", "i", 1.0)


def inbox(wanted=None):
    keys, metrics = [], Metrics()
    return Inbox(wanted or emitted(), keys.append, metrics, "test"), keys, metrics


def test_an_inbox_keeps_the_order_of_each_object_until_it_is_handled():
    box, keys, _ = inbox()
    box.take([raw(record("1")), raw(record("x", "db")), raw(record("2"))])
    web = Key("default", "web")
    assert keys == [web, Key("default", "db"), web]
    first, second = box.waiting(web)
    assert (first.note, second.note) == ("1", "2")
    box.handled(first)
    assert box.waiting(web) == (second,)
    box.handled(first)
    assert (box.waiting(web), len(box)) == ((second,), 2)


def test_an_inbox_takes_what_it_wants_and_counts_what_is_no_event():
    box, _, metrics = inbox(emitted(type_="Warning", namespace="team"))
    rubbish = [b"1", b"{}", b'{"about":{}}', b'"' + b"x" * 100 + b'"', b"[" * 3000 + b"]" * 3000]
    wanted = record("yes", type_="Warning", namespace="team")
    box.take(
        [
            *map(msgspec.Raw, rubbish),
            raw(record()),
            raw(record(type_="Warning")),
            raw(wanted),
            raw(record(type_="Strange", namespace="team")),
        ]
    )
    assert [event.note for event in box.waiting(Key("team", "web"))] == ["yes"]
    assert len(box) == 1
    assert counted(metrics, "kcm_events_dropped_total") == {"unreadable": 6}


def test_an_inbox_is_bounded_and_what_is_left_at_the_end_is_counted():
    box, _, metrics = inbox()
    box.take([raw(record())] * (MOST_WAITING + 7))
    assert len(box) == MOST_WAITING
    box.give_up()
    assert len(box) == 0
    assert counted(metrics, "kcm_events_dropped_total") == {"full": 7, "lost": MOST_WAITING}


class Outlet:
    """A host's channel, which may be congested."""

    def __init__(self):
        self.congested, self.notes, self._waiting = False, [], []

    def send(self, payload):
        self.notes += [each["note"] for each in msgspec.json.decode(payload)["records"]]

    def when_clear(self, callback):
        self._waiting.append(callback)

    def clear(self):
        self.congested = False
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()


def sent(*notes):
    return [bytes(raw(record(note))) for note in notes]


def test_what_is_told_before_the_recorder_is_there_or_while_it_is_away_waits():
    post, outlet = EventPost(("a", "recorder"), Metrics()), Outlet()
    post.take(sent("1"))
    post.declared("a", False)
    post.declared("recorder", True)
    post.take(sent("2"))
    post.open("a", Outlet())
    assert not outlet.notes
    post.open("recorder", outlet)
    post.take(sent("3"))
    post.close("recorder")
    post.take(sent("4"))
    assert outlet.notes == ["1", "2", "3"]
    again = Outlet()
    post.declared("recorder", True)
    post.open("recorder", again)
    assert again.notes == ["4"]


def test_all_who_hear_are_told():
    post, one, two = EventPost(("one", "two"), Metrics()), Outlet(), Outlet()
    for name, outlet in (("one", one), ("two", two)):
        post.declared(name, True)
        post.open(name, outlet)
    post.take(sent("1", "2"))
    assert one.notes == two.notes == ["1", "2"]


def test_a_host_that_is_behind_is_waited_for_and_its_mailbox_is_bounded():
    metrics = Metrics()
    post, outlet = EventPost(("recorder",), metrics), Outlet()
    post.declared("recorder", True)
    post.open("recorder", outlet)
    outlet.congested = True
    for _ in range(MOST_RECORDS + 5):
        post.take(sent("x"))
    assert not outlet.notes
    assert counted(metrics, "kcm_events_dropped_total") == {"full": 5}
    outlet.clear()
    assert len(outlet.notes) == MOST_RECORDS


def test_a_host_that_is_to_stop_is_sent_everything_first():
    post, outlet = EventPost(("recorder",), Metrics()), Outlet()
    post.declared("recorder", True)
    post.open("recorder", outlet)
    outlet.congested = True
    post.take(sent("1", "2"))
    post.flush("recorder")
    assert outlet.notes == ["1", "2"]


def test_without_a_recorder_events_are_dropped_and_counted():
    metrics = Metrics()
    post = EventPost(("a", "b"), metrics)
    post.take(sent("1"))
    post.declared("a", False)
    post.declared("b", False)
    post.take(sent("2", "3"))
    assert counted(metrics, "kcm_events_dropped_total") == {"no-recorder": 3}


def test_a_record_of_a_strange_size_is_not_passed_on():
    metrics = Metrics()
    post, outlet = EventPost(("recorder",), metrics), Outlet()
    post.declared("recorder", True)
    post.open("recorder", outlet)
    post.take([b'"' + b"x" * 10_000 + b'"', *sent("good")])
    assert outlet.notes == ["good"]
    assert counted(metrics, "kcm_events_dropped_total") == {"unreadable": 1}
