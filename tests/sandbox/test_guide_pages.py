"""The programs in docs/concepts run and print what the pages show; those of the migration pages work."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kcm.objects.definitions import definition_of
from kcm.runtime.soundness import fault_of
from kcm.testing.virtual import run
from kcm.testing.world import Json, World

DOCS = Path(__file__).parents[2] / "docs"
CONCEPTS = sorted((DOCS / "concepts").glob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def as_module() -> Iterator[Any]:
    """Run a text as a module that can be imported by its name."""
    made: list[str] = []

    def load(name: str, text: str) -> ModuleType:
        module = sys.modules[name] = ModuleType(name)
        made.append(name)
        exec(compile(text, f"{name}.py", "exec"), module.__dict__)
        return module

    yield load
    for name in made:
        del sys.modules[name]


@pytest.mark.parametrize("page", CONCEPTS, ids=lambda page: page.stem)
def test_a_program_prints_what_the_page_shows(page: Path, as_module: Any) -> None:
    programs = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert programs, "a concept page has a program that shows it"
    for text, shown in programs:
        assert shown, "what it prints stands below it"
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            as_module("concept", text)
        assert alike(printed.getvalue(), shown), printed.getvalue()


def alike(printed: str, shown: str) -> bool:
    """Say whether the words are the same, and the numbers nearly."""
    number = re.compile(r"\d+")
    if number.sub("#", printed) != number.sub("#", shown):
        return False
    pairs = zip(number.findall(printed), number.findall(shown), strict=True)
    return all(abs(int(one) - int(other)) <= max(2, int(other) // 5) for one, other in pairs)


def program(page: str, holding: str) -> str:
    (found,) = (text for text, _ in BLOCK.findall((DOCS / page).read_text("utf-8")) if holding in text)
    return str(found)


class Accounts(ModuleType):
    """What is outside, as the page on kopf has it."""

    class Refused(Exception):
        """It does not want to."""

    def __init__(self) -> None:
        super().__init__("accounts")
        self.there: dict[str, str] = {}
        self.down = False

    def put(self, identity: str, email: str) -> None:
        if self.down:
            raise OSError("down")
        self.there[identity] = email

    def remove(self, identity: str) -> None:
        self.there.pop(identity, None)


async def define(world: World, type_: Any) -> None:
    await world.call("POST", CRDS, definition_of(type_))
    await world.clock.sleep(1)


async def maps(world: World) -> list[Json]:
    found = await world.items(MAPS)
    return [each for each in found if each["metadata"]["name"] != "kube-root-ca.crt"]


def test_the_controller_of_the_page_on_kopf_does_what_the_page_says(
    as_module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = Accounts()
    monkeypatch.setitem(sys.modules, "accounts", accounts)
    page = as_module("from_kopf", program("from-kopf.md", "class AccountController"))
    assert not fault_of(page.AccountController)
    # Virtual time does not wait for threads.
    monkeypatch.setattr(page, "asyncio", NoThreads)

    async def main() -> None:
        async with World(nodes=0) as world:
            await define(world, page.Account)
            daemon = world.start({"accounts": "from_kopf:AccountController"})
            body: Json = {"apiVersion": "example.dev/v1", "kind": "Account", "metadata": {"name": "ann"}}
            path = "/apis/example.dev/v1/namespaces/default/accounts"
            accounts.down = True
            await world.call("POST", path, {**body, "spec": {"email": "ann@example.dev"}})
            await world.clock.sleep(5)
            assert not await maps(world)
            accounts.down = False
            await world.clock.sleep(15)
            assert list(accounts.there.values()) == ["ann@example.dev"]
            await world.call("DELETE", f"{MAPS}/ann")
            await world.clock.sleep(1)
            assert [each["metadata"]["name"] for each in await maps(world)] == ["ann"]
            await world.call("DELETE", f"{path}/ann")
            await world.clock.sleep(1)
            assert (await world.items(path), accounts.there) == ([], {})
            await daemon.stop()

    run(main())


class NoThreads:
    """In the place of asyncio."""

    @staticmethod
    async def to_thread(function: Any, *arguments: Any) -> Any:
        return function(*arguments)


def test_the_controller_of_the_page_on_controller_runtime_works(as_module: Any) -> None:
    page = as_module("from_runtime", program("from-controller-runtime.md", "class WebsiteController"))
    assert not fault_of(page.WebsiteController)

    async def main() -> None:
        async with World(nodes=0) as world:
            await define(world, page.Website)
            daemon = world.start({"website": "from_runtime:WebsiteController"})
            path = "/apis/example.dev/v1/namespaces/default/websites"
            body: Json = {"apiVersion": "example.dev/v1", "kind": "Website", "metadata": {"name": "front"}}
            await world.call("POST", path, {**body, "spec": {"text": "one"}})
            await world.clock.sleep(2)
            await world.patch(f"{path}/front", {"spec": {"text": "two"}})
            await world.clock.sleep(2)
            assert [each["data"] for each in await maps(world)] == [{"index.html": "two"}]
            (site,) = await world.items(path)
            assert [(each["type"], each["status"]) for each in site["status"]["conditions"]] == [
                ("Ready", "True")
            ]
            await daemon.stop()

    run(main())


@pytest.mark.parametrize("page", ["from-kopf.md", "from-controller-runtime.md"])
def test_every_python_block_of_a_migration_page_is_python(page: str) -> None:
    for text, _ in BLOCK.findall((DOCS / page).read_text("utf-8")):
        ast.parse(text)


@pytest.mark.parametrize(
    ("page", "example"),
    [
        ("README.md", "examples/04_backup_policy/backup_policy.py"),
        ("docs/controllers.md", "examples/01_namespace_team/namespace_team.py"),
    ],
)
def test_what_a_page_shows_of_an_example_is_in_it(page: str, example: str) -> None:
    programs = [text for text, _ in BLOCK.findall((DOCS.parent / page).read_text("utf-8"))]
    (shown,) = (text for text in programs if text.startswith("def decide("))
    whole = (DOCS.parent / example).read_text("utf-8")
    # Docstrings may be left out, so each line counts, in the order of the file.
    lines = iter(whole.splitlines())
    for line in filter(str.strip, shown.splitlines()):
        assert line in lines, line
