"""The test kit, as an author of a controller uses it: it passes the sound and finds the unsound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from kcm import Cache, Context, Controller, Done, Key, Plan, RequeueAfter, Result, primary, writes
from kcm.objects import ConfigMap, Namespace, ObjectMeta, owned_by
from kcm.testing.crashes import crash_after_every_write, quiet
from kcm.testing.objects import being_deleted, existing, steps
from kcm.testing.ownership import AtMost
from kcm.testing.virtual import run
from kcm.testing.world import World

MAPS = "/api/v1/namespaces/default/configmaps"


@dataclass
class Pair:
    original: ConfigMap
    copies: list[ConfigMap]


class Copier(Controller[ConfigMap, Pair]):
    """Keeps a copy of every ConfigMap that is labelled so."""

    name = "copier"
    watches = (primary(ConfigMap),)
    writes = writes(ConfigMap, "create", "patch")

    def observe(self, cache: Cache, key: Key) -> Pair | None:
        found = cache.get(ConfigMap, key)
        if found is None or "copy" not in found.metadata.labels:
            return None
        mine = [each for each in cache.list(ConfigMap) if each.metadata.owner_references]
        return Pair(found, mine)

    async def reconcile(self, ctx: Context, seen: Pair) -> Result:
        (await ctx.apply(decide(seen, self.name_of(seen.original)))).raise_failure()
        return Done()

    def name_of(self, original: ConfigMap) -> str:
        return f"{original.metadata.name}-copy"


class Forgetful(Copier):
    """Names what it makes by a number that dies with its host, and looks for that name only."""

    made = 0

    def observe(self, cache: Cache, key: Key) -> Pair | None:
        pair = super().observe(cache, key)
        return Pair(pair.original, []) if pair and self.fresh else None

    @property
    def fresh(self) -> bool:
        return not getattr(self, "_done", False)

    def name_of(self, original: ConfigMap) -> str:
        self._done = True
        Forgetful.made += 1
        return f"{original.metadata.name}-{Forgetful.made}"


class Restless(Copier):
    """Writes when it has looked, and looks again and again."""

    async def reconcile(self, ctx: Context, seen: Pair) -> Result:
        change = {"metadata": {"annotations": {"seen": ctx.now().isoformat()}}}
        (await ctx.apply(Plan.patch(seen.original, change, because="again"))).raise_failure()
        return RequeueAfter(0.5)


def decide(seen: Pair, name: str) -> Plan:
    if seen.original.metadata.deletion_timestamp:
        return Plan.nothing()
    for copy in seen.copies:
        if copy.data != seen.original.data:
            return Plan.patch(copy, {"data": dict(seen.original.data)}, because="the data differ")
        return Plan.nothing()
    copy = ConfigMap(metadata=owned_by(seen.original, name), data=seen.original.data)
    return Plan.create(copy, because="there is none")


async def label_one(world: World) -> None:
    body = {"metadata": {"name": "web", "labels": {"copy": ""}}, "data": {"a": "1"}}
    await world.call("POST", MAPS, body)


async def names(world: World) -> list[str]:
    return sorted(
        each["metadata"]["name"]
        for each in await world.items(MAPS)
        if each["metadata"].get("ownerReferences")
    )


def here(controller: type[Controller[Any, Any]]) -> dict[str, str]:
    return {"copier": f"{controller.__module__}:{controller.__name__}"}


def test_a_sound_controller_survives_a_crash_after_every_write() -> None:
    assert crash_after_every_write(here(Copier), label_one, names) == 1


def test_a_controller_that_forgets_what_it_made_is_found_by_a_crash() -> None:
    with pytest.raises(AssertionError, match="cut behind write 1 of 1"):
        crash_after_every_write(here(Forgetful), label_one, names)


def test_a_scenario_in_which_nothing_is_written_proves_nothing_and_says_so() -> None:
    async def nothing(world: World) -> None:
        await world.clock.sleep(1)

    with pytest.raises(AssertionError, match="nothing to cut at"):
        crash_after_every_write(here(Copier), nothing, names)


def test_a_controller_that_wakes_itself_never_comes_to_rest() -> None:
    async def main() -> None:
        async with World(nodes=0) as world:
            daemon = world.start(here(Restless))
            await label_one(world)
            with pytest.raises(AssertionError, match="still writing"):
                await quiet(world, 1.0, within=5.0)
            await daemon.stop()

    run(main())


class Careless(Copier):
    """Puts down what it has done where everybody sees it."""

    def observe(self, cache: Cache, key: Key) -> Pair | None:
        pair = super().observe(cache, key)
        if pair is not None:
            pair.original.metadata.labels["seen"] = "true"  # type: ignore[index] # on purpose
        return pair


def test_a_controller_that_changes_what_it_was_handed_fails_its_test() -> None:
    async def main() -> None:
        async with World(nodes=0) as world:
            daemon = world.start(here(Careless))
            await label_one(world)
            await world.until(lambda: names(world))
            await daemon.stop()

    with pytest.raises(AssertionError, match="changed what its cache had handed out: ConfigMap default/web"):
        run(main())


def test_more_owned_objects_than_there_may_be_are_seen_at_every_revision() -> None:
    async def main() -> list[str]:
        async with World(nodes=0) as world:
            twins = AtMost(world.api, "configmaps", 1)
            owner = await world.call("POST", MAPS, {"metadata": {"name": "owner"}})
            reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "controller": True}
            reference["uid"] = owner["metadata"]["uid"]
            for name in ("one", "two"):
                await world.call("POST", MAPS, {"metadata": {"name": name, "ownerReferences": [reference]}})
            await world.call("DELETE", f"{MAPS}/one")
            return twins.broken

    (broken,) = run(main())
    assert "2 configmaps of one owner, two" in broken


@pytest.mark.parametrize(
    ("copies", "expected"),
    [
        pytest.param([], ["create configmaps default/web-copy: there is none"], id="none yet"),
        pytest.param([{"a": "1"}], [], id="right"),
        pytest.param([{"a": "0"}], ["patch configmaps default/copy [data.a]: the data differ"], id="other"),
    ],
)
def test_a_decision_reads_as_a_table(copies: list[dict[str, str]], expected: list[str]) -> None:
    original = existing(ConfigMap(metadata=ObjectMeta(name="web", labels={"copy": ""}), data={"a": "1"}))
    made = [existing(ConfigMap(metadata=owned_by(original, "copy"), data=data)) for data in copies]
    assert steps(decide(Pair(original, made), "web-copy")) == expected


def test_an_object_that_is_being_deleted_says_what_holds_it() -> None:
    gone = being_deleted(ConfigMap(metadata=ObjectMeta(name="web")), "example.dev/hold")
    assert gone.metadata.finalizers == ("example.dev/hold",)
    assert gone.metadata.deletion_timestamp is not None
    assert not decide(Pair(gone, []), "web-copy")
    assert existing(Namespace(metadata=ObjectMeta(name="shop"))).key == ("", "shop")
