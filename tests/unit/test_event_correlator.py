"""Which events are written and when, in virtual time and against a simple model."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.eventrecorder.correlator import BURST, COMBINED, REMEMBERED, Correlator
from controllers.eventrecorder.wording import CountWording, SeriesWording, event_name
from kcm.objects import Emitted, Key
from kcm.objects.events import ObjectReference


def event(note="n", name="web", *, times=1, mixed=False, reason="R", at=0.0, component="c", version="1"):
    about = ObjectReference("v1", "Pod", "default", name, f"uid-{name}", version)
    return Emitted(about, "Normal", reason, note, "A", component, f"{component}-host", at, times, mixed)


class Desk:
    """A correlator, a server that takes everything, and the time; sweeps as the controller does."""

    def __init__(self, *, eager=False):
        self.correlator = Correlator(eager=eager)
        self.now = 0.0
        self.written = []
        self.server = {}

    def write(self, tell):
        story = tell.story
        verb = "update" if story.told else "create"
        if verb == "create":
            story.name = f"event-{len(self.server)}"
        self.written.append((verb, story.note, tell.times))
        assert tell.times > self.server.get(story.name, 0)
        self.server[story.name] = tell.times
        self.correlator.told(tell, self.now)

    def take(self, taken):
        tell = self.correlator.take(taken, self.now)
        if tell is not None:
            self.write(tell)
        return tell

    def pass_time(self, seconds, names=("web",)):
        end = self.now + seconds
        while True:
            keys = [Key("default", name) for name in names]
            dues = [(due, key) for key in keys if (due := self.correlator.due_in(key, self.now)) is not None]
            due, key = min(dues, default=(None, None))
            if due is None or self.now + due > end:
                break
            self.now += due
            for tell in self.correlator.sweep(key, self.now):
                self.write(tell)
        self.now = end


def test_an_event_is_created_its_second_occurrence_makes_a_series_and_later_ones_only_count():
    desk = Desk()
    for _ in range(20):
        desk.take(event())
        desk.now += 1
    assert desk.written == [("create", "n", 1), ("update", "n", 2)]


def test_the_last_count_is_written_when_nothing_has_happened_for_six_minutes_and_then_forgotten():
    desk = Desk()
    for _ in range(20):
        desk.take(event())
    desk.pass_time(359)
    assert len(desk.written) == 2
    desk.pass_time(2)
    assert desk.written[2:] == [("update", "n", 20)]
    assert len(desk.correlator) == 0
    desk.take(event())
    assert desk.written[3:] == [("create", "n", 1)]


def test_a_single_event_is_forgotten_without_another_write():
    desk = Desk()
    desk.take(event())
    desk.pass_time(361)
    assert desk.written == [("create", "n", 1)]
    assert len(desk.correlator) == 0
    assert desk.correlator.due_in(Key("default", "web"), desk.now) is None


def test_a_series_that_goes_on_is_written_every_half_hour():
    desk = Desk()
    for _ in range(120):
        desk.take(event())
        desk.pass_time(60)
    updates = [times for verb, _, times in desk.written if verb == "update"]
    assert updates[0] == 2
    assert [round(times / 30) for times in updates[1:]] == [1, 2, 3]


def test_the_tenth_note_is_combined_with_what_follows():
    desk = Desk()
    for number in range(30):
        desk.take(event(f"pod {number}"))
        desk.now += 600
    notes = [note for verb, note, _ in desk.written if verb == "create"]
    assert notes == [*(f"pod {number}" for number in range(9)), f"{COMBINED}pod 9"]


def test_notes_that_are_further_apart_than_ten_minutes_are_not_combined():
    desk = Desk()
    for number in range(30):
        desk.take(event(f"pod {number}"))
        desk.now += 601
    assert all(COMBINED not in note for _, note, _ in desk.written)


def test_who_tells_what_of_which_object_is_part_of_being_similar():
    desk = Desk()
    for number in range(9):
        desk.take(event(f"pod {number}"))
    for other in (event("pod 9", reason="S"), event("pod 9", "db"), event("pod 9", component="d")):
        desk.take(other)
    assert all(COMBINED not in note for _, note, _ in desk.written)
    desk.take(event("pod 9", version="2"))
    assert COMBINED in desk.written[-1][1]


def test_an_object_pays_for_25_writes_and_then_for_one_in_five_minutes():
    desk = Desk(eager=True)
    for _ in range(60):
        desk.take(event())
    assert [times for _, _, times in desk.written] == list(range(1, BURST + 1))
    desk.now += 300
    desk.take(event())
    desk.take(event())
    assert desk.written[BURST:] == [("update", "n", 61)]


def test_what_could_not_be_paid_for_at_all_is_counted():
    desk = Desk(eager=True)
    for _ in range(BURST):
        desk.take(event("first"))
    desk.take(event("second", times=3))
    desk.pass_time(400)
    assert desk.correlator.unpaid == 3
    assert all(note == "first" for _, note, _ in desk.written)


def test_what_a_host_has_already_counted_goes_into_the_combined_event():
    desk = Desk()
    desk.take(event("pod 1"))
    desk.take(event("pod 4999", times=4975, mixed=True))
    desk.take(event("pod 5000", times=10, mixed=True))
    desk.pass_time(400)
    combined = [(verb, times) for verb, note, times in desk.written if note.startswith(COMBINED)]
    assert combined == [("create", 4975), ("update", 4985)]


def test_ten_thousand_objects_are_remembered_in_bounded_memory():
    desk = Desk()
    for number in range(10_000):
        desk.take(event(name=f"pod-{number}"))
    assert len(desk.correlator) == REMEMBERED
    assert len(desk.correlator._by_object) == REMEMBERED
    assert len(desk.correlator._similar) == REMEMBERED


def test_a_story_that_the_server_does_not_want_is_forgotten():
    desk = Desk()
    tell = desk.correlator.take(event(), 0.0)
    desk.correlator.forget(tell.story)
    assert (len(desk.correlator), desk.correlator.unpaid) == (0, 0)
    assert desk.take(event()).times == 1


class Model:
    """The same rules, told simply: everything is looked up in the whole history."""

    def __init__(self, eager):
        self.eager, self.history, self.payments, self.stories = eager, [], {}, {}

    def combined(self, kind, note, now):
        self.history.append((kind, note, now))
        seen, before, over = [], None, False
        for each, told, when in self.history:
            if each != kind:
                continue
            if before is not None and when - before > 600:
                seen = []
            before = when
            if told not in seen:
                seen.append(told)
            over = len(seen) >= 10
            if over:
                seen.pop(0)
        return over

    def pays(self, name, now):
        tokens, at = self.payments.get(name, (Fraction(25), now))
        tokens = min(Fraction(25), tokens + Fraction(now - at) / 300)
        paid = tokens >= 1
        self.payments[name] = (tokens - paid, now)
        return paid

    def sweep(self, name, now):
        due = []
        for key, story in list(self.stories.items()):
            over = now - story["seen"] >= 360
            if key[0] != name:
                continue
            if story["count"] > story["told"] > 0 and (over or now - story["at"] >= 1800):
                due.append((key[2], story["count"]))
                story.update(told=story["count"], at=now)
            if over:
                del self.stories[key]
        return due

    def take(self, name, reason, note, times, mixed, now):
        combined = self.combined((name, reason), note, now) or mixed
        key = (name, reason, None if combined else note)
        story = self.stories.pop(key, {"count": 0, "told": 0, "at": 0})
        self.stories[key] = story
        story["count"] += times
        story["seen"] = now
        if (story["told"] > 1 and not self.eager) or not self.pays(name, now):
            return None
        story.update(told=story["count"], at=now)
        return key[2], story["count"]


STEPS = st.tuples(
    st.sampled_from([0, 0, 0, 75, 300, 450, 675, 1800]),
    st.sampled_from(["web", "db"]),
    st.sampled_from(["R", "S"]),
    st.integers(0, 12),
    st.sampled_from([1, 1, 1, 40]),
    st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=90), st.booleans())
def test_the_correlator_does_what_the_model_does(steps, eager):
    desk, model = Desk(eager=eager), Model(eager)
    now = total = 0
    for delay, name, reason, note, times, mixed in steps:
        now += delay
        mixed = mixed and times > 1
        for each in ("web", "db"):
            swept = []
            desk.now = float(now)
            for tell in desk.correlator.sweep(Key("default", each), desk.now):
                swept.append((tell.story.key.note, tell.times))
                desk.write(tell)
            assert swept == model.sweep(each, now)
        tell = desk.take(event(str(note), name, times=times, mixed=mixed, reason=reason))
        expected = model.take(name, reason, str(note), times, mixed, now)
        assert (tell and (tell.story.key.note, tell.times)) == expected
        total += times
    desk.pass_time(4000, ("web", "db"))
    assert sum(desk.server.values()) + desk.correlator.unpaid == total
    assert len(desk.correlator) == 0


def told(taken):
    return Correlator().take(taken, 0.0)


def test_a_new_style_event_has_what_the_server_demands_and_nothing_of_the_old():
    tell = told(event(at=1_700_000_000.25))
    tell.story.name = "web.1"
    whole = SeriesWording().whole(tell)
    assert (whole.event_time, whole.series) == ("2023-11-14T22:13:20.250000Z", None)
    assert (whole.metadata.namespace, whole.reporting_instance) == ("default", "c-host")
    again = told(event(times=3, at=1_700_000_000.25))
    assert SeriesWording().whole(again).series.count == 3
    assert SeriesWording().change(again) == {
        "series": {"count": 3, "lastObservedTime": "2023-11-14T22:13:20.250000Z"}
    }


def test_an_old_style_event_has_a_count_and_tells_its_last_note():
    tell = told(event(times=3, mixed=True, at=1_700_000_000.25))
    whole = CountWording().whole(tell)
    assert (whole.count, whole.first_timestamp, whole.source.component) == (3, "2023-11-14T22:13:20Z", "c")
    assert CountWording().change(tell) == {
        "count": 3,
        "lastTimestamp": "2023-11-14T22:13:20Z",
        "message": f"{COMBINED}n",
    }


def test_events_about_cluster_wide_objects_are_in_the_default_namespace():
    about = ObjectReference("v1", "Node", "", "one")
    tell = told(Emitted(about, "Normal", "R", "n", "A", "c", "i", 1.0))
    assert SeriesWording().whole(tell).metadata.namespace == "default"


def test_the_name_of_an_event_is_valid_whatever_the_object_is_called():
    assert event_name("web", 255, "") == "web.ff"
    for odd in ("system:node", "x" * 251, "Upper", "", "a..b", "-a", "ä"):
        name = event_name(odd, 255, "")
        assert len(name) == 36
        assert name != event_name(odd, 256, "")
