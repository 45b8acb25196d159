from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcm.base.clock import SystemClock
from kcm.cache import feed
from kcm.cache.changes import BadItem, Change, bad_change
from kcm.cache.channel import LARGEST_FRAME, FeedError, FrameChannel, Unpacker, pack
from kcm.cache.feed import Changes, FeedData, FeedSink, Progress, ReplaceBegin, ReplaceEnd, ReplaceItems
from kcm.cache.store import Store

decode = msgspec.json.Decoder(FeedData).decode


class Outlet:
    """A host's end that can stop reading."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.congested = False
        self._waiting: list[Callable[[], None]] = []

    def send(self, payload: bytes) -> None:
        self.payloads.append(payload)

    def when_clear(self, callback: Callable[[], None]) -> None:
        self._waiting.append(callback)

    def clear(self) -> None:
        self.congested = False
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()

    def taken(self) -> list[FeedData]:
        payloads, self.payloads = self.payloads, []
        return [decode(payload) for payload in payloads]


def body(name: str, version: int) -> bytes:
    return b'{"metadata":{"name":"%s","resourceVersion":"%d"}}' % (name.encode(), version)


def put(name: str, version: int) -> Change:
    return Change("s", name, str(version), body(name, version))


def gone(name: str, version: int) -> Change:
    return Change("d", name, str(version), body(name, version))


def filled(*changes: Change, version: str = "10") -> Store:
    store = Store(SystemClock())
    store.replace(changes, version)
    return store


def test_a_new_reader_is_given_everything_at_once() -> None:
    outlet = Outlet()
    filled(put("a", 3), put("b", 4)).subscribe(FeedSink(5, outlet))
    begin, items, end = outlet.taken()
    assert begin == ReplaceBegin(5)
    assert isinstance(items, ReplaceItems)
    assert [bytes(item) for item in items.objects] == [body("a", 3), body("b", 4)]
    assert end == ReplaceEnd(5, "10")


def test_a_reader_of_an_empty_store_hears_of_its_first_fill() -> None:
    store, outlet = Store(SystemClock()), Outlet()
    store.subscribe(FeedSink(0, outlet))
    assert outlet.taken() == []
    store.replace([], "3")
    assert outlet.taken() == [ReplaceBegin(0), ReplaceEnd(0, "3")]


def test_changes_of_a_batch_travel_in_one_frame_in_order() -> None:
    store, outlet = filled(), Outlet()
    store.subscribe(FeedSink(0, outlet))
    outlet.taken()
    store.apply([put("a", 11), gone("a", 12), bad_change(BadItem("b", "odd", "u", "13"))])
    (changes,) = outlet.taken()
    assert isinstance(changes, Changes)
    assert (changes.kinds, changes.version) == ("sdb", "13")
    assert msgspec.json.decode(changes.objects[2], type=BadItem) == BadItem("b", "odd", "u", "13")


def test_progress_is_told() -> None:
    store, outlet = filled(), Outlet()
    store.subscribe(FeedSink(0, outlet))
    outlet.taken()
    store.progress("12")
    store.progress("11")
    assert outlet.taken() == [Progress(0, "12")]


def test_large_lists_and_batches_are_cut_into_pieces_far_below_a_frame() -> None:
    many = [Change("s", f"k{n}", str(n + 100), b'{"x":"' + b"y" * 3000 + b'"}') for n in range(1000)]
    store, outlet = filled(*many, version="5000"), Outlet()
    store.subscribe(FeedSink(0, outlet))
    assert max(map(len, outlet.payloads)) < LARGEST_FRAME / 8
    items = [message for message in outlet.taken() if isinstance(message, ReplaceItems)]
    assert sum(len(message.objects) for message in items) == 1000
    later = [msgspec.structs.replace(change, version=str(6000 + n)) for n, change in enumerate(many)]
    store.apply(later)
    pieces = outlet.taken()
    assert len(pieces) > 5
    assert all(isinstance(piece, Changes) for piece in pieces)
    versions = [piece.version for piece in pieces if isinstance(piece, Changes)]
    assert versions == sorted(versions)
    assert versions[-1] == "6999"


def test_a_reader_that_is_behind_gets_what_it_missed_in_order() -> None:
    store, outlet = filled(put("a", 3)), Outlet()
    outlet.congested = True
    skips: list[None] = []
    sink = FeedSink(0, outlet, lambda: skips.append(None))
    store.subscribe(sink)
    store.apply([put("b", 11)])
    store.progress("15")
    assert outlet.payloads == []
    outlet.clear()
    *_, items, end = outlet.taken()
    assert isinstance(items, ReplaceItems)
    assert len(items.objects) == 2
    assert end == ReplaceEnd(0, "15")
    outlet.congested = True
    store.apply([put("b", 16)])
    store.apply([put("c", 17), gone("a", 18)])
    store.progress("20")
    assert outlet.payloads == []
    outlet.clear()
    (changes,) = outlet.taken()
    assert isinstance(changes, Changes)
    assert (changes.kinds, changes.version) == ("ssd", "20")
    assert not skips


def test_a_reader_far_behind_is_not_buffered_for_but_given_everything_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed, "MOST_QUEUED", 200)
    store, outlet = filled(put("a", 3)), Outlet()
    skips: list[None] = []
    sink = FeedSink(0, outlet, lambda: skips.append(None))
    store.subscribe(sink)
    outlet.taken()
    outlet.congested = True
    for version in range(11, 111):
        store.apply([put("a", version)])
    assert outlet.payloads == []
    assert skips
    outlet.clear()
    begin, items, end = outlet.taken()
    assert begin == ReplaceBegin(0)
    assert isinstance(items, ReplaceItems)
    assert bytes(items.objects[0]) == body("a", 110)
    assert end == ReplaceEnd(0, "110")


def test_news_of_a_rollback_is_not_lost_when_the_replace_is_begun_anew() -> None:
    store, outlet = filled(put("a", 3)), Outlet()
    store.subscribe(FeedSink(0, outlet))
    outlet.taken()
    outlet.congested = True
    store.replace([put("a", 2)], "5", rolled_back=True)
    store.replace([put("a", 6)], "6")
    outlet.clear()
    ends = [message for message in outlet.taken() if isinstance(message, ReplaceEnd)]
    assert ends == [ReplaceEnd(0, "6", rolled_back=True)]


def test_a_store_drops_and_counts_what_is_not_newer_than_its_position() -> None:
    store = filled(put("a", 3))
    store.apply([put("a", 9), put("a", 10), put("b", 11), put("b", 11)])
    assert dict(store.bodies) == {"a": body("a", 3), "b": body("b", 11)}
    assert (store.version, store.counts().stale_dropped) == ("11", 3)
    store.replace([], "9")
    assert (store.version, store.counts().objects) == ("11", 2)


def test_versions_are_compared_as_numbers_not_as_text() -> None:
    store = filled(put("a", 3), version="99")
    store.apply([put("a", 100)])
    assert store.version == "100"


def test_a_store_goes_back_only_when_the_server_did() -> None:
    store = filled(put("a", 3))
    store.replace([put("b", 2)], "5", rolled_back=True)
    assert (store.version, store.epoch, list(store.bodies)) == ("5", 1, ["b"])


def test_a_bad_object_keeps_its_last_readable_state_but_not_a_namesakes() -> None:
    old = Change("s", "a", "3", b'{"metadata":{"name":"a","resourceVersion":"3","uid":"u1"}}')
    store = filled(old)
    store.apply([bad_change(BadItem("a", "odd", "u1", "11"))])
    assert (store.bodies["a"], list(store.bad)) == (old.body, ["a"])
    store.replace([bad_change(BadItem("a", "odd", "u1", "11"))], "12")
    assert store.bodies["a"] == old.body
    store.replace([bad_change(BadItem("a", "odd", "u2", "13"))], "14")
    assert list(store.bodies) == []
    store.apply([put("a", 15)])
    assert (list(store.bodies), list(store.bad)) == (["a"], [])


def test_new_readers_of_an_outdated_store_wait_for_its_next_fill() -> None:
    store, first, second = filled(put("a", 3)), Outlet(), Outlet()
    store.subscribe(FeedSink(0, first))
    store.outdate()
    store.subscribe(FeedSink(0, second))
    store.apply([put("a", 11)])
    assert len(first.taken()) == 4
    assert second.taken() == []
    store.replace([put("a", 11)], "12")
    assert len(second.taken()) == 3


def test_a_cancelled_reader_hears_nothing() -> None:
    store, outlet = filled(), Outlet()
    sink = FeedSink(0, outlet)
    store.subscribe(sink)
    outlet.taken()
    store.unsubscribe(sink)
    store.unsubscribe(sink)
    store.apply([put("a", 11)])
    assert outlet.payloads == []


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=20), st.data())
def test_frames_arrive_whole_however_the_stream_is_cut(payloads: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(pack(payload) for payload in payloads)
    unpacker = Unpacker()
    found: list[bytes] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += unpacker.take(stream[:size])
        stream = stream[size:]
    assert found == payloads
    assert not unpacker.torn


@given(st.binary(max_size=2000))
def test_no_bytes_make_the_unpacker_hold_more_than_a_frame(noise: bytes) -> None:
    unpacker = Unpacker()
    try:
        for payload in unpacker.take(noise):
            assert 0 < len(payload) <= LARGEST_FRAME
    except FeedError:
        pass


@pytest.mark.parametrize("head", [b"\0\0\0\0", b"\xff\xff\xff\xff", (LARGEST_FRAME + 1).to_bytes(4, "big")])
def test_an_impossible_length_is_an_error(head: bytes) -> None:
    with pytest.raises(FeedError, match="bytes"):
        Unpacker().take(head)


@pytest.mark.parametrize("size", [0, LARGEST_FRAME + 1])
def test_an_impossible_payload_is_not_sent(size: int) -> None:
    with pytest.raises(FeedError, match="bytes"):
        pack(b"x" * size)


class End:
    """One end of a channel, and what it heard."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.lost: list[str] = []
        self.stuck: list[float] = []
        self.news = asyncio.Event()

    def on_message(self, payload: bytes) -> None:
        self.heard.append(payload)
        self.news.set()

    def on_lost(self, reason: str) -> None:
        self.lost.append(reason)
        self.news.set()

    def on_stuck(self, seconds: float) -> None:
        self.stuck.append(seconds)
        self.news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self.news.clear()
                await self.news.wait()


async def connected(stuck_after: float = 30.0) -> tuple[FrameChannel, End, socket.socket]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    end = End()
    channel = await FrameChannel.open(ours, end.on_message, end.on_lost, end.on_stuck, stuck_after)
    return channel, end, theirs


def test_two_channels_talk() -> None:
    async def talk() -> None:
        ours, theirs = socket.socketpair()
        one, other = End(), End()
        a = await FrameChannel.open(ours, one.on_message, one.on_lost)
        b = await FrameChannel.open(theirs, other.on_message, other.on_lost)
        large = b"x" * LARGEST_FRAME
        a.send(b"first")
        a.send(large)
        b.send(b"answer")
        await other.until(lambda: len(other.heard) == 2)
        await one.until(lambda: len(one.heard) == 1)
        assert other.heard == [b"first", large]
        assert one.heard == [b"answer"]
        await a.finish(5.0)
        await other.until(lambda: bool(other.lost))
        assert other.lost == ["the peer ended"]
        assert one.lost == []
        b.send(b"into the void")

    asyncio.run(talk())


@pytest.mark.parametrize(
    ("bytes_", "reason"),
    [
        pytest.param(b"\0\0\0\x05abc", "the peer ended inside a frame", id="torn"),
        pytest.param(b"\xff\xff\xff\xff", "frame of 4294967295 bytes", id="oversized"),
        pytest.param(b"\0\0\0\0", "frame of 0 bytes", id="empty"),
        pytest.param(b"", "the peer ended", id="gone"),
    ],
)
def test_a_broken_stream_ends_the_channel_once_with_a_reason(bytes_: bytes, reason: str) -> None:
    async def broken() -> None:
        _, end, peer = await connected()
        peer.send(bytes_) if bytes_ else None
        peer.close()
        await end.until(lambda: bool(end.lost))
        assert end.heard == []
        assert len(end.lost) == 1
        assert reason in end.lost[0]

    asyncio.run(broken())


def test_a_peer_that_does_not_read_is_reported_and_readers_can_hold_back() -> None:
    async def stuck() -> None:
        channel, end, peer = await connected(stuck_after=0.01)
        while not channel.congested:
            channel.send(b"x" * 1024 * 1024)
        cleared: list[bool] = []
        channel.when_clear(lambda: cleared.append(True))
        await end.until(lambda: bool(end.stuck))
        assert cleared == []
        loop = asyncio.get_running_loop()
        while not cleared:
            await loop.sock_recv(peer, 1 << 20)
        assert not channel.congested
        peer.close()

    asyncio.run(stuck())


def test_what_a_peer_leaves_unread_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kcm.cache.channel.MOST_BUFFERED", 1024 * 1024)

    async def flooded() -> None:
        channel, end, peer = await connected()
        for _ in range(8):
            channel.send(b"x" * 1024 * 1024)
        assert end.lost == ["the peer left 1048576 bytes unread"]
        peer.close()

    asyncio.run(flooded())
