"""The public API against a whole daemon: what a controller's author may rely on, and is told."""

from __future__ import annotations

import asyncio
import io
import json
import re
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
import pytest

from kcm import (
    BlockingContext,
    BlockingController,
    Cache,
    Context,
    Controller,
    DeadlineExceeded,
    Done,
    Key,
    Plan,
    ReconcileEnded,
    RequeueAfter,
    Result,
    RetryAfter,
    Undeclared,
    Waiting,
    anything,
    generation_changed,
    owns,
    primary,
    watches,
    with_finalizer,
    writes,
)
from kcm.config.schema import ControllerConfig
from kcm.objects import ConfigMap, Namespace, ObjectMeta, Pod, Resource, Spec, Untyped, owned_by, raw, untyped
from kcm.runtime import blocking
from kcm.runtime.controller import allowance_of
from kcm.serving.http import Request, Response
from kcm.telemetry import logging
from kcm.testing.objects import existing
from kcm.testing.virtual import run
from kcm.testing.world import Daemon, World, quick_configuration

MAPS = "/api/v1/namespaces/default/configmaps"
FINALIZER = "tests.kcm.dev/outside"

Story = Callable[[World, Daemon], Awaitable[None]]


@dataclass
class Notes:
    """What the controllers of this file are to do, and what they saw. One per test."""

    steps: list[Callable[[Context, ConfigMap], Awaitable[Result]]]
    blocking: list[Callable[[BlockingContext, ConfigMap], Result]]
    told: list[Any]


notes = Notes([], [], [])


@pytest.fixture(autouse=True)
def log() -> Iterator[io.StringIO]:
    notes.steps, notes.blocking, notes.told = [], [], []
    stream = io.StringIO()
    logging.configure("debug", "json", "test", stream=stream)
    yield stream
    logging.shutdown()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    logging.shutdown()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


class Steps(Controller[ConfigMap, ConfigMap]):
    name = "steps"
    watches = (primary(ConfigMap, namespace="default", label_selector="mine=true"),)
    writes: ClassVar[Any] = anything()

    def observe(self, cache: Cache, key: Key) -> ConfigMap | None:
        return cache.get(ConfigMap, key)

    async def reconcile(self, ctx: Context, seen: ConfigMap) -> Result:
        step = notes.steps.pop(0) if len(notes.steps) > 1 else notes.steps[0]
        return await step(ctx, seen)


class Careful(Steps):
    writes = (writes(ConfigMap, "patch"),)


class Silent(Steps):
    """Does not say what it writes, as in a first try."""

    watches = (
        primary(ConfigMap, namespace="default", label_selector="mine=true"),
        owns(Pod, namespace="default"),
        watches(Namespace, to=lambda namespace: ()),
    )
    writes = None


class Choosy(Steps):
    watches = (primary(ConfigMap, namespace="default", label_selector="mine=true", when=generation_changed),)


class Blocking(BlockingController[ConfigMap, ConfigMap]):
    name = "blocking"
    watches = (primary(ConfigMap, namespace="default", label_selector="mine=true"),)
    writes = writes(ConfigMap, "patch")
    workers = 2

    def observe(self, cache: Cache, key: Key) -> ConfigMap | None:
        return cache.get(ConfigMap, key)

    def reconcile_blocking(self, ctx: BlockingContext, seen: ConfigMap) -> Result:
        return (notes.blocking.pop(0) if len(notes.blocking) > 1 else notes.blocking[0])(ctx, seen)


class Hasty(Blocking):
    reconcile_timeout: ClassVar[float] = 1.0


SHOP = untyped("shops.example.com/v1", "Shop", "shops")
SHOPS = "/apis/shops.example.com/v1/namespaces/default/shops"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Labelled(Resource[Spec], frozen=True, kw_only=True):
    """The metadata of a ConfigMap."""

    api, kind, plural = "v1", "ConfigMap", "configmaps"
    metadata: ObjectMeta
    spec: Spec = Spec()


class Frugal(Controller[Labelled, Labelled]):
    """Has the server leave out what it does not read."""

    name = "frugal"
    watches = (primary(Labelled, namespace="default", label_selector="mine=true", metadata_only=True),)
    writes = writes(Labelled, "patch")

    def observe(self, cache: Cache, key: Key) -> Labelled | None:
        return cache.get(Labelled, key)

    async def reconcile(self, ctx: Context, seen: Labelled) -> Result:
        if "seen" not in seen.metadata.annotations:
            changes = {"metadata": {"annotations": {"seen": "yes"}}}
            (await ctx.apply(Plan.patch(seen, changes, because="new"))).raise_failure()
        return Done()


class Greedy(Steps):
    watches = (primary(ConfigMap, metadata_only=True),)


class ShopsOfOthers(Controller[Untyped, Untyped]):
    """Works with a type that nobody has declared."""

    name = "shops"
    watches = (primary(SHOP, indexes={"street": lambda shop: (shop.at("spec", "street"),)}),)
    writes = writes(SHOP, "apply", "status")

    def observe(self, cache: Cache, key: Key) -> Untyped | None:
        shop = cache.get(SHOP, key)
        return shop if shop and len(cache.by_index(SHOP, "street", "Main")) == 1 else None

    async def reconcile(self, ctx: Context, seen: Untyped) -> Result:
        if seen.metadata.name == "one":
            metadata = ObjectMeta(name="two", namespace="default")
            street = {"street": "Side", "deep": [{"kept": True}]}
            wanted = SHOP(metadata=metadata, spec=raw(street))
            (await ctx.apply(Plan.apply(wanted, manager="m", because="c"))).raise_failure()
        elif seen.at("status", "seen") is None:
            told = {"seen": seen.at("spec", "deep", 0, "kept")}
            (await ctx.apply(Plan.patch_status(seen, told, because="s"))).raise_failure()
        return Done()


def test_a_type_that_nobody_has_declared_is_watched_indexed_applied_and_patched() -> None:
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": free, "status": free}}}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": schema,
        "subresources": {"status": {}},
    }
    names = {"plural": "shops", "kind": "Shop"}
    spec = {"group": "shops.example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    head = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    one = {"apiVersion": "shops.example.com/v1", "kind": "Shop", "metadata": {"name": "one"}}

    async def main() -> None:
        async with World(nodes=0) as world:
            metadata = {"name": "shops.shops.example.com"}
            await world.call("POST", CRDS, {**head, "metadata": metadata, "spec": spec})
            daemon = world.start({"shops": f"{__name__}:ShopsOfOthers"})
            await world.clock.sleep(5)
            await world.call("POST", SHOPS, {**one, "spec": {"street": "Main"}})
            await world.clock.sleep(5)
            two = await world.call("GET", f"{SHOPS}/two")
            assert two["spec"] == {"street": "Side", "deep": [{"kept": True}]}
            assert two["status"] == {"seen": True}
            await daemon.stop()

    run(main())


def test_of_a_watch_of_metadata_the_rest_is_never_sent() -> None:
    asked: set[str] = set()

    async def main() -> None:
        async with World(nodes=0) as world:
            handle = world.api.handle

            async def listen(request: Request) -> Response:
                if request.path == MAPS and request.method == "GET" and request.query:
                    asked.add(request.headers["accept"].partition(";g=")[0])
                return await handle(request)

            world.api.handle = listen  # type: ignore[method-assign]  # what the daemon connects to
            daemon = world.start({"mine": f"{__name__}:Frugal"})
            metadata = {"name": "a", "labels": {"mine": "true"}}
            await world.call("POST", MAPS, {"metadata": metadata, "data": {"x": "1"}})

            async def seen() -> bool:
                found = await world.call("GET", f"{MAPS}/a")
                return found["metadata"].get("annotations") == {"seen": "yes"} and found["data"] == {"x": "1"}

            await world.until(seen)
            await daemon.stop()

    run(main())
    assert asked
    assert all(each.startswith("application/json;as=PartialObjectMetadata") for each in asked)


def play(kind: type[Controller[Any, Any]], story: Story) -> None:
    async def main() -> None:
        async with World(nodes=0) as world:
            daemon = world.start({"mine": f"{__name__}:{kind.__name__}"})
            body = {"metadata": {"name": "a", "labels": {"mine": "true"}}, "data": {"x": "1"}}
            await world.call("POST", MAPS, body)
            await story(world, daemon)
            await daemon.stop()

    run(main())


async def data(world: World, name: str = "a") -> dict[str, str]:
    found: dict[str, str] = (await world.call("GET", f"{MAPS}/{name}")).get("data", {})
    return found


def becomes(expected: dict[str, str], name: str = "a") -> Story:
    async def story(world: World, daemon: Daemon) -> None:
        async def holds() -> bool:
            present = {each["metadata"]["name"]: each.get("data", {}) for each in await world.items(MAPS)}
            return present.get(name) == expected

        await world.until(holds)

    return story


def test_retry_after_is_heeded(log: io.StringIO) -> None:
    times: list[float] = []

    async def fails_once(ctx: Context, seen: ConfigMap) -> Result:
        times.append(asyncio.get_running_loop().time())
        if len(times) == 1:
            raise RetryAfter(42.0, "the storage is being moved")
        return Done()

    async def story(world: World, daemon: Daemon) -> None:
        await world.clock.sleep(100)

    notes.steps = [fails_once]
    play(Steps, story)
    assert len(times) == 2
    assert times[1] - times[0] == pytest.approx(42.0, abs=0.1)
    assert any(each.get("error") == "the storage is being moved" for each in lines(log))


def test_a_call_to_the_outside_is_bounded_and_tried_again(log: io.StringIO) -> None:
    async def asks(ctx: Context, seen: ConfigMap) -> Result:
        async with ctx.within(5, "the registry"):
            await asyncio.get_running_loop().create_future()
        return Done()

    async def answered(ctx: Context, seen: ConfigMap) -> Result:
        async with ctx.within(5, "the registry"):
            (await ctx.apply(Plan.patch(seen, {"data": {"x": "2"}}, because="asked"))).raise_failure()
        return Done()

    notes.steps = [asks, answered]
    play(Steps, becomes({"x": "2"}))
    assert any(each.get("error") == "the registry did not answer within 5 s" for each in lines(log))


def test_a_time_out_inside_the_block_stays_what_it_is() -> None:
    async def raises(ctx: Context, seen: ConfigMap) -> Result:
        try:
            async with ctx.within(5, "the registry"):
                raise TimeoutError("somebody else's")
        except DeadlineExceeded:
            notes.told.append("wrong")
        except TimeoutError as error:
            notes.told.append(str(error))
        return Done()

    async def story(world: World, daemon: Daemon) -> None:
        await world.clock.sleep(1)

    notes.steps = [raises]
    play(Steps, story)
    assert notes.told == ["somebody else's"]


@pytest.mark.parametrize(
    ("nonsense", "shown"),
    [
        pytest.param(None, "None", id="a forgotten return"),
        pytest.param(True, "True", id="a truth"),
        pytest.param(RequeueAfter(-1), "RequeueAfter(seconds=-1)", id="the past"),
        pytest.param(RequeueAfter(float("nan")), "RequeueAfter(seconds=nan)", id="no number"),
    ],
)
def test_a_reconcile_that_returns_nonsense_is_named(log: io.StringIO, nonsense: Any, shown: str) -> None:
    async def returns(ctx: Context, seen: ConfigMap) -> Result:
        answer: Result = nonsense
        return answer

    async def returns_at_last(ctx: Context, seen: ConfigMap) -> Result:
        (await ctx.apply(Plan.patch(seen, {"data": {"x": "2"}}, because="well"))).raise_failure()
        return Done()

    notes.steps = [returns, returns_at_last]
    play(Steps, becomes({"x": "2"}))
    (told,) = [each for each in lines(log) if each.get("message", each.get("msg")) == "controller is wrong"]
    assert f"Steps.reconcile returned {shown}: return Done()" in told["error"]
    assert told["key"] == "default/a"


def test_a_write_that_was_not_declared_is_refused_before_anything_is_sent(log: io.StringIO) -> None:
    async def oversteps(ctx: Context, seen: ConfigMap) -> Result:
        allowed = Plan.patch(seen, {"data": {"x": "2"}}, because="may")
        await ctx.apply(allowed + Plan.delete(seen, because="may not"))
        return Done()

    async def story(world: World, daemon: Daemon) -> None:
        await world.clock.sleep(60)
        assert await data(world) == {"x": "1"}

    notes.steps = [oversteps]
    play(Careful, story)
    (told,) = [each for each in lines(log) if "may not delete configmaps" in str(each.get("error"))]
    assert told["error"] == (
        f"{__name__}.Careful may not delete configmaps default/a (may not): it does not declare that, and "
        'nothing of the plan was carried out; add writes(ConfigMap, "delete") to its `writes`'
    )


def status_of(seen: ConfigMap) -> Plan:
    return Plan.patch_status(seen, {"x": "y"}, because="s")


def finalizers_of(seen: ConfigMap) -> Plan:
    return Plan.patch(seen, {"metadata": {"finalizers": [FINALIZER]}}, because="f")


def labels_of(seen: ConfigMap) -> Plan:
    return Plan.patch(seen, {"metadata": {"finalizers": [FINALIZER], "labels": {"l": "m"}}}, because="l")


def namespace_of(seen: ConfigMap) -> Plan:
    return Plan.create(Namespace(metadata=ObjectMeta(name="new")), because="n")


def apply_of(seen: ConfigMap) -> Plan:
    return Plan.apply(pod_of(seen), manager="m", because="a")


def pods_of(seen: ConfigMap) -> Plan:
    return Plan.create(pod_of(seen), because="c") + Plan.delete(pod_of(seen), because="d")


def pod_of(seen: ConfigMap) -> Pod:
    return existing(Pod(metadata=owned_by(seen)))


@pytest.mark.parametrize(
    ("plan", "refused"),
    [
        pytest.param(status_of, "", id="its status"),
        pytest.param(finalizers_of, "", id="its finalizers"),
        pytest.param(pods_of, "", id="what it owns"),
        pytest.param(apply_of, "", id="what it owns, applied"),
        pytest.param(labels_of, "may not patch configmaps default/a (l)", id="more of itself"),
        pytest.param(namespace_of, "may not create namespaces new (n)", id="what it only watches"),
    ],
)
def test_what_a_controller_may_write_without_saying_so_is_what_its_watches_imply(
    plan: Callable[[ConfigMap], Plan], refused: str
) -> None:
    seen = existing(ConfigMap(metadata=ObjectMeta(name="a", namespace="default")))
    allowance = allowance_of(Silent())
    if not refused:
        allowance.check(plan(seen))
        return
    with pytest.raises(Undeclared, match=re.escape(refused)) as told:
        allowance.check(plan(seen))
    assert "which replaces what its watches imply" in str(told.value)


def test_what_is_no_plan_is_refused_where_it_is_applied(log: io.StringIO) -> None:
    async def forgets(ctx: Context, seen: ConfigMap) -> Result:
        nothing: Any = None
        await ctx.apply(nothing)
        return Done()

    async def story(world: World, daemon: Daemon) -> None:
        await world.clock.sleep(1)

    notes.steps = [forgets]
    play(Steps, story)
    told = [each for each in lines(log) if "ctx.apply takes a Plan, not None" in str(each.get("error"))]
    assert told
    assert "in forgets" in told[0]["traceback"]


def test_a_predicate_keeps_updates_away_and_nothing_else() -> None:
    async def looks(ctx: Context, seen: ConfigMap) -> Result:
        notes.told.append(seen.data["x"])
        return Done()

    async def story(world: World, daemon: Daemon) -> None:
        await world.clock.sleep(5)
        await world.patch(f"{MAPS}/a", {"data": {"x": "2"}})
        await world.clock.sleep(5)

    notes.steps = [looks]
    play(Choosy, story)
    # ConfigMaps count no generations, so that the update passes: nothing can be told from it.
    assert notes.told == ["1", "2"]


def test_a_server_side_apply_owns_its_fields_and_leaves_those_of_others(log: io.StringIO) -> None:
    def wanted(**content: str) -> ConfigMap:
        return ConfigMap(metadata=ObjectMeta(name="b", namespace="default"), data=content)

    async def applies(ctx: Context, seen: ConfigMap) -> Result:
        plan = Plan.apply(wanted(one="1", two="2"), manager="m", because="all")
        (await ctx.apply(plan)).raise_failure()
        less = Plan.apply(wanted(one="1"), manager="m", because="less")
        (await ctx.apply(less)).raise_failure()
        theirs = Plan.apply(wanted(one="3"), manager="other", because="mine now")
        outcome = await ctx.apply(theirs)
        notes.told.append(type(outcome.failed[0].error).__name__)
        forced = Plan.apply(wanted(one="3"), manager="other", force=True, because="mine now")
        (await ctx.apply(forced)).raise_failure()
        return Done()

    async def story(world: World, daemon: Daemon) -> None:
        await becomes({"one": "3"}, "b")(world, daemon)

    notes.steps = [applies]
    play(Steps, story)
    assert notes.told == ["FieldsTaken"]


def test_a_finalizer_is_there_before_anything_outside_is_and_goes_after_it() -> None:
    outside: set[str] = set()
    refuses = True

    async def reconcile(ctx: Context, seen: ConfigMap) -> Result:
        async def ensure(held: ConfigMap) -> Result:
            live = await ctx.live(ConfigMap, held.key)
            assert live is not None
            assert FINALIZER in live.metadata.finalizers
            outside.add(held.key.name)
            # What ensure is given is current: a write that asks for its resourceVersion goes through.
            outcome = await ctx.apply(Plan.patch(held, {"data": {"x": "seen"}}, because="e", exact=True))
            outcome.raise_failure()
            return Done()

        async def cleanup(held: ConfigMap) -> Result:
            if refuses:
                raise RetryAfter(1.0, "not now")
            outside.discard(held.key.name)
            (await ctx.apply(Plan.patch(held, {"data": {"x": "bye"}}, because="c"))).raise_failure()
            return Done()

        return await with_finalizer(ctx, seen, FINALIZER, ensure=ensure, cleanup=cleanup)

    async def story(world: World, daemon: Daemon) -> None:
        nonlocal refuses
        await becomes({"x": "seen"})(world, daemon)
        await world.patch(f"{MAPS}/a", {"metadata": {"finalizers": [FINALIZER, "other.dev/too"]}})
        await world.call("DELETE", f"{MAPS}/a")
        await world.clock.sleep(30)
        held = (await world.call("GET", f"{MAPS}/a"))["metadata"]["finalizers"]
        assert (held, outside) == ([FINALIZER, "other.dev/too"], {"a"})
        refuses = False
        await world.clock.sleep(30)
        assert (await world.call("GET", f"{MAPS}/a"))["metadata"]["finalizers"] == ["other.dev/too"]
        assert not outside

    notes.steps = [reconcile]
    play(Steps, story)


def test_a_blocking_reconcile_writes_through_the_loop() -> None:
    main_thread = threading.get_ident()

    def works(ctx: BlockingContext, seen: ConfigMap) -> Result:
        if seen.data["x"] != "1":
            return Done()
        live = ctx.live(ConfigMap, seen.key)
        year = ctx.now().year
        here = threading.get_ident() != main_thread
        value = f"{here} {year} {live is not None and live.data['x']}"
        ctx.apply(Plan.patch(seen, {"data": {"x": value}}, because="done")).raise_failure()
        ctx.emit(seen, "Normal", "Done", "in a thread")
        ctx.log.info("from the thread")
        return Done()

    notes.blocking = [works]
    play(Blocking, becomes({"x": "True 2026 1"}))


def test_what_a_blocking_reconcile_raises_is_tried_again_as_ever(log: io.StringIO) -> None:
    def raises(ctx: BlockingContext, seen: ConfigMap) -> Result:
        raise RetryAfter(3.0, "from a thread")

    def exits(ctx: BlockingContext, seen: ConfigMap) -> Result:
        raise SystemExit(3)

    def works(ctx: BlockingContext, seen: ConfigMap) -> Result:
        if seen.data["x"] == "1":
            ctx.apply(Plan.patch(seen, {"data": {"x": "2"}}, because="done")).raise_failure()
        return Done()

    notes.blocking = [raises, exits, works]
    play(Blocking, becomes({"x": "2"}))
    told = " ".join(str(each.get("error")) for each in lines(log))
    assert "from a thread" in told
    assert "SystemExit(3)" in told


def test_a_thread_that_outlasts_its_deadline_writes_nothing_more_and_is_waited_for(log: io.StringIO) -> None:
    go_on = threading.Event()

    def hangs(ctx: BlockingContext, seen: ConfigMap) -> Result:
        # While it waits for the loop, virtual time runs; the deadline of a second passes in it.
        try:
            ctx._ask(lambda: asyncio.sleep(5))
        except ReconcileEnded:
            notes.told.append("cut off")
        go_on.wait(20)
        try:
            ctx.apply(Plan.patch(seen, {"data": {"x": "late"}}, because="too late"))
        except ReconcileEnded as error:
            notes.told.append(str(error))
        return Done()

    def works(ctx: BlockingContext, seen: ConfigMap) -> Result:
        notes.told.append("next")
        return Done()

    async def story(world: World, daemon: Daemon) -> None:
        await world.clock.sleep(30)
        assert notes.told == ["cut off"]
        go_on.set()
        # Ended, not only done with its work: the loop has then been told.
        for thread in [each for each in threading.enumerate() if each.name == "kcm reconcile"]:
            # Beside the loop: the thread may wait for it.
            await asyncio.to_thread(thread.join, 20)
        await world.clock.sleep(120)
        assert await data(world) == {"x": "1"}

    notes.blocking = [hangs, works]
    play(Hasty, story)
    assert notes.told[:2] == ["cut off", "the reconcile was cut off: its thread may do nothing more"]
    assert notes.told[2:] == ["next"]
    assert any("thread left behind" in str(each) for each in lines(log))


def test_no_more_than_so_many_threads_are_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking, "MOST_ABANDONED", 2)
    go_on = threading.Event()

    def hangs(ctx: BlockingContext, seen: ConfigMap) -> Result:
        notes.told.append(seen.key.name)
        with suppress(ReconcileEnded):
            ctx._ask(lambda: asyncio.sleep(5))
        go_on.wait(60)
        return Done()

    async def story(world: World, daemon: Daemon) -> None:
        for name in ("b", "c", "d"):
            await world.call("POST", MAPS, {"metadata": {"name": name, "labels": {"mine": "true"}}})
        await world.clock.sleep(60)
        # The second of two workers was under way when the first was left behind.
        assert len(notes.told) == 3, "those have a thread that does not end; the last waits"
        go_on.set()
        for thread in [each for each in threading.enumerate() if each.name == "kcm reconcile"]:
            # Beside the loop: the thread may wait for it.
            await asyncio.to_thread(thread.join, 20)
        await world.clock.sleep(300)
        assert set(notes.told) == {"a", "b", "c", "d"}

    notes.blocking = [hangs]
    play(Hasty, story)


@pytest.mark.parametrize(
    "unfinished",
    [
        pytest.param(Waiting("for the volume"), id="it waits"),
        pytest.param(RequeueAfter(5.0), id="it comes back"),
        pytest.param(None, id="it has forgotten to return"),
    ],
)
def test_a_finalizer_stays_until_cleanup_is_done(unfinished: Any) -> None:
    ready = False

    async def reconcile(ctx: Context, seen: ConfigMap) -> Result:
        async def ensure(held: ConfigMap) -> Result:
            return Done()

        async def cleanup(held: ConfigMap) -> Result:
            notes.told.append("cleanup")
            answer: Result = Done() if ready else unfinished
            return answer

        return await with_finalizer(ctx, seen, FINALIZER, ensure=ensure, cleanup=cleanup)

    async def story(world: World, daemon: Daemon) -> None:
        nonlocal ready
        await world.clock.sleep(5)
        await world.call("DELETE", f"{MAPS}/a")
        await world.clock.sleep(30)
        assert (await world.call("GET", f"{MAPS}/a"))["metadata"]["finalizers"] == [FINALIZER]
        assert len(notes.told) >= 2, "it is tried again"
        ready = True
        await world.clock.sleep(90)
        assert "a" not in {each["metadata"]["name"] for each in await world.items(MAPS)}

    notes.steps = [reconcile]
    play(Steps, story)


def test_a_finalizer_holds_for_code_that_blocks_too() -> None:
    outside: set[str] = set()
    refuses = True

    def reconcile(ctx: BlockingContext, seen: ConfigMap) -> Result:
        def ensure(held: ConfigMap) -> Result:
            live = ctx.live(ConfigMap, held.key)
            assert live is not None
            assert FINALIZER in live.metadata.finalizers
            outside.add(held.key.name)
            ctx.apply(Plan.patch(held, {"data": {"x": "seen"}}, because="e", exact=True)).raise_failure()
            return Done()

        def cleanup(held: ConfigMap) -> Result:
            if refuses:
                return Waiting("not now")
            outside.discard(held.key.name)
            ctx.apply(Plan.patch(held, {"data": {"x": "bye"}}, because="c")).raise_failure()
            return Done()

        return ctx.with_finalizer(seen, FINALIZER, ensure=ensure, cleanup=cleanup)

    async def story(world: World, daemon: Daemon) -> None:
        nonlocal refuses
        await becomes({"x": "seen"})(world, daemon)
        await world.call("DELETE", f"{MAPS}/a")
        await world.clock.sleep(10)
        assert (await world.call("GET", f"{MAPS}/a"))["metadata"]["finalizers"] == [FINALIZER]
        refuses = False
        await world.clock.sleep(90)
        assert "a" not in {each["metadata"]["name"] for each in await world.items(MAPS)}
        assert not outside

    notes.blocking = [reconcile]
    play(Blocking, story)


def test_the_file_wins_over_the_deadline_of_the_class(log: io.StringIO) -> None:
    async def hangs(ctx: Context, seen: ConfigMap) -> Result:
        await asyncio.get_running_loop().create_future()
        return Done()

    async def main() -> None:
        section = ControllerConfig(reconcile_timeout=7.0)
        configuration = msgspec.structs.replace(quick_configuration(), controllers={"mine": section})
        async with World(nodes=0, configuration=configuration) as world:
            daemon = world.start({"mine": f"{__name__}:Steps"})
            await world.call("POST", MAPS, {"metadata": {"name": "a", "labels": {"mine": "true"}}})
            await world.clock.sleep(10)
            await daemon.stop()

    notes.steps = [hangs]
    run(main())
    timed_out = [each for each in lines(log) if each.get("after") == 7.0]
    assert timed_out


class Asynchronous(Steps):
    async def observe(self, cache: Cache, key: Key) -> ConfigMap | None:  # type: ignore[override] # on purpose
        return None


class Synchronous(Steps):
    def reconcile(self, ctx: Context, seen: ConfigMap) -> Result:  # type: ignore[override] # on purpose
        return Done()


class Single(Steps):
    watches = primary(ConfigMap)  # type: ignore[assignment] # on purpose


class Empty(Steps):
    watches = ()


class Twice(Steps):
    watches = primary(ConfigMap), primary(ConfigMap, label_selector="a=b")


class Odd(Steps):
    settings_type = int  # type: ignore[assignment] # on purpose


class Nowhere(Steps):
    watches = (primary(ConfigMap, namespace="Not There"),)


class Scoped(Steps):
    watches = (primary(Namespace, namespace="default"),)


class Unselective(Steps):
    watches = (primary(ConfigMap, label_selector="a=b=c"),)


class Fieldless(Steps):
    watches = (primary(ConfigMap, field_selector="name"),)


class Hoarding(Steps):
    writes: ClassVar[Any] = ["create"]


class Mapping(Steps):
    watches = primary(ConfigMap), watches(Pod, to=lambda: ())  # type: ignore[arg-type, misc] # on purpose


class Unmade(Steps):
    def __init__(self) -> None:
        raise LookupError("never called")


class Making(Steps):
    def __init__(self, settings: Any) -> None:
        sys.exit("not on this machine")


class Unfinished(Controller[ConfigMap, ConfigMap]):
    watches = (primary(ConfigMap),)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        pytest.param(Asynchronous, "observe must not be async", id="async observe"),
        pytest.param(Synchronous, "derive from kcm.BlockingController", id="reconcile that is not async"),
        pytest.param(Single, "put it into a tuple", id="no comma"),
        pytest.param(Empty, "needs primary(T)", id="nothing watched"),
        pytest.param(Twice, "has 2 primaries", id="two primaries"),
        pytest.param(Greedy, "metadata_only, which reads data, spec too", id="more than metadata"),
        pytest.param(Odd, "must be a class derived from kcm.objects.Spec", id="settings that are none"),
        pytest.param(Nowhere, "'Not There', which is no name of a namespace", id="no namespace"),
        pytest.param(Scoped, "objects of this type are in none", id="a namespace of cluster-scoped objects"),
        pytest.param(Unselective, "a label selector that cannot be", id="no label selector"),
        pytest.param(Fieldless, "expected metadata.name=x", id="no field selector"),
        pytest.param(Hoarding, "must be made of kcm.writes", id="writes that are none"),
        pytest.param(Mapping, "a function of the object, or of object and cache", id="no mapping"),
        pytest.param(Unmade, "takes 1 positional argument", id="an __init__ that takes no settings"),
        pytest.param(Making, "SystemExit('not on this machine')", id="an __init__ that exits"),
        pytest.param(Unfinished, "does not define observe and reconcile", id="methods missing"),
    ],
)
def test_a_class_that_cannot_work_is_refused_by_name(kind: type[Any], reason: str) -> None:
    async def main() -> None:
        async with World(nodes=0) as world:
            # Alone: a daemon goes on while one of its controllers is in order.
            controllers = {"mine": f"{__name__}:{kind.__name__}"}
            daemon = world.start(controllers, may_fail=True, recorder=False)
            await asyncio.wait_for(daemon.ended.wait(), 60)
            told = str(daemon.error)
            assert "controllers.mine" in told
            assert kind.__name__ in told
            assert reason in told

    run(main())
