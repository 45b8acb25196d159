"""The examples, each installed in a world of its own: what their README promises, happens."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kcm.objects import ConfigMap, Namespace, ObjectMeta
from kcm.testing.virtual import run
from kcm.testing.world import Json, World

FOLDER = Path(__file__).parents[2] / "examples" / "01_namespace_team"
PAPER = Path(__file__).parents[2] / "docs" / "controllers.md"
CONTROLLER = {"namespace-team": "namespace_team:NamespaceTeamController"}
MAPS = "/api/v1/namespaces/shop/configmaps"
SHOP = "/api/v1/namespaces/shop"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module("namespace_team")
    sys.modules.pop("namespace_team", None)


def in_a_world(story: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        async with World(nodes=0) as world:
            daemon = world.start(CONTROLLER)
            labels = {"example.kcm.dev/team": "checkout"}
            await world.call("POST", "/api/v1/namespaces", {"metadata": {"name": "shop", "labels": labels}})
            try:
                await world.until(lambda: teams(world, ["checkout"]))
                await story(world)
            finally:
                await daemon.stop()

    run(main())


async def teams(world: World, expected: list[str]) -> bool:
    """Say whether the ConfigMaps `team` of the namespace hold just that."""
    found: list[Json] = await world.items(MAPS)
    return [each["data"]["team"] for each in found if each["metadata"]["name"] == "team"] == expected


@pytest.mark.usefixtures("example")
def test_a_config_map_that_was_deleted_comes_back() -> None:
    async def story(world: World) -> None:
        before = (await world.call("GET", f"{MAPS}/team"))["metadata"]["uid"]
        await world.call("DELETE", f"{MAPS}/team")

        async def is_back() -> bool:
            found = [each for each in await world.items(MAPS) if each["metadata"]["name"] == "team"]
            return bool(found) and found[0]["metadata"]["uid"] != before

        await world.until(is_back)

    in_a_world(story)


@pytest.mark.usefixtures("example")
def test_a_config_map_that_was_changed_is_put_right() -> None:
    async def story(world: World) -> None:
        await world.patch(f"{MAPS}/team", {"data": {"team": "somebody else"}})
        await world.until(lambda: teams(world, ["checkout"]))

    in_a_world(story)


@pytest.mark.usefixtures("example")
def test_the_config_map_follows_the_label_and_goes_with_it() -> None:
    async def story(world: World) -> None:
        await world.patch(SHOP, {"metadata": {"labels": {"example.kcm.dev/team": "payments"}}})
        await world.until(lambda: teams(world, ["payments"]))
        await world.patch(SHOP, {"metadata": {"labels": {"example.kcm.dev/team": None}}})
        await world.until(lambda: teams(world, []))

    in_a_world(story)


@pytest.mark.usefixtures("example")
def test_once_all_is_right_nothing_is_written_any_more() -> None:
    async def story(world: World) -> None:
        await world.clock.sleep(5)
        before = world.writes
        await world.clock.sleep(3600)
        assert world.writes == before

    in_a_world(story)


def test_the_decision_is_a_call(example: Any) -> None:
    namespace = Namespace(metadata=ObjectMeta(name="shop", labels={example.TEAM: "checkout"}))
    (create,) = example.decide(example.Seen(namespace, None)).actions
    assert create.object.data == {"team": "checkout"}
    assert create.object.key == ("shop", "team")
    right = ConfigMap(metadata=create.object.metadata, data={"team": "checkout"})
    assert not example.decide(example.Seen(namespace, right))


@pytest.mark.usefixtures("example")
def test_the_test_that_the_paper_shows_passes() -> None:
    (shown,) = (block for block in python_blocks() if "def test_" in block)
    names: dict[str, Any] = {}
    exec(shown, names)  # our own paper
    names["test_a_labelled_namespace_gets_its_config_map"]()


def test_the_paper_shows_the_example_as_it_is() -> None:
    source = squeezed((FOLDER / "namespace_team.py").read_text(encoding="utf-8"))
    (shown,) = (block for block in python_blocks() if "class NamespaceTeamController" in block)
    for part in re.split(r"\n\n+", shown.strip()):
        assert squeezed(part) in source


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAPER.read_text(encoding="utf-8"), re.DOTALL)


def squeezed(code: str) -> str:
    """Return the code without docstrings and blank lines."""
    lines = (line for line in code.splitlines() if line.strip() and not line.strip().startswith('"""'))
    return "\n".join(lines)
