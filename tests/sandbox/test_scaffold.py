"""What `kcm new` writes works at once: its tests pass, its manifests are taken, its role is enough."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from kcm.base.errors import ConfigurationError
from kcm.cli.main import main
from kcm.cli.new import write_project
from kcm.cli.rbac import controller_of
from kcm.config.loader import parse
from kcm.config.schema import Configuration
from kcm.runtime.roles import Right, rights_of
from kcm.sandbox.access.users import User, account_name
from kcm.serving.http import Request, Response
from kcm.testing.virtual import run
from kcm.testing.world import Json, World, quick_configuration

CONTROLLER = {"my-operator": "my_operator.controller:GreetingController"}
GREETINGS = "/apis/example.dev/v1alpha1/namespaces/default/greetings"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("projects") / "my-operator"
    write_project("my-operator", target)
    return target


@pytest.fixture
def importable(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(project))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_operator"]:
        del sys.modules[name]


def documents(project: Path) -> list[Json]:
    texts = [(project / "deploy" / name).read_text() for name in ("operator.yaml", "crd.yaml", "roles.yaml")]
    return [each for text in texts for each in yaml.safe_load_all(text)]


def test_its_own_tests_pass(project: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=project, capture_output=True, text=True, timeout=120, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


@pytest.mark.parametrize("name", ["my-operator", "xs", "backup-policy-operator"])
def test_it_is_clean_as_its_own_settings_have_it(name: str, tmp_path: Path) -> None:
    write_project(name, tmp_path / name)
    for words in (("check",), ("format", "--check")):
        command = [sys.executable, "-m", "ruff", *words, "--no-cache", "."]
        done = subprocess.run(
            command, cwd=tmp_path / name, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_left_to_fill_in(project: Path) -> None:
    for path in project.rglob("*"):
        assert "__" not in path.relative_to(project).as_posix().replace("__init__", "").replace(
            "__pycache__", ""
        )
        if path.is_file() and path.suffix != ".pyc":
            left = [
                word
                for word in ("__name__", "__module__", "__Kind__", "__plural__")
                if word in path.read_text()
            ]
            assert left == [], path


def shipped(project: Path) -> Configuration:
    """Return the configuration that is deployed, as far as a world can run it."""
    (own,) = (each for each in documents(project) if each["kind"] == "ConfigMap")
    election = parse(own["data"]["kcm.yaml"].encode(), "kcm.yaml").leader_election
    return msgspec.structs.replace(quick_configuration(), leader_election=election)


async def apply(world: World, obj: Json) -> None:
    """Create an object at the path of its kind."""
    api, kind = obj["apiVersion"], obj["kind"]
    found = await world.call("GET", f"/apis/{api}" if "/" in api else f"/api/{api}")
    resource = next(each for each in found["resources"] if each["kind"] == kind and "/" not in each["name"])
    root = f"/apis/{api}" if "/" in api else f"/api/{api}"
    scope = f"/namespaces/{obj['metadata']['namespace']}" if resource["namespaced"] else ""
    await world.call("POST", f"{root}{scope}/{resource['name']}", obj)


@pytest.mark.usefixtures("importable")
def test_on_a_server_that_asks_who_is_there_its_roles_are_enough_and_none_is_idle(project: Path) -> None:
    async def main() -> list[str]:
        async with World(nodes=0, configuration=shipped(project)) as world:
            for obj in documents(project):
                await apply(world, obj)
            await world.clock.sleep(1)
            token = await world.call(
                "POST", "/api/v1/namespaces/my-operator/serviceaccounts/my-operator/token", {"spec": {}}
            )
            let_in_by(world, token["status"]["token"])
            decided = world.api.gate.record()
            daemon = world.start(CONTROLLER)
            sample = yaml.safe_load((project / "deploy" / "sample.yaml").read_text())
            await world.call("POST", GREETINGS, sample)
            await world.until(lambda: greets(world, "hello hello"))
            await world.patch(f"{GREETINGS}/web", {"spec": {"copies": 1}})
            await world.until(lambda: greets(world, "hello"))
            await daemon.stop()
            user = account_name("my-operator", "my-operator")
            own = [one for one in decided if one.user == user]
            assert own
            assert [one for one in own if not one.allowed] == []
            return [str(each) for each in world.api.gate.unused_grants(User(user), own, ["my-operator"])]

    unused = run(main())
    # For lost answers and live looks, for an admission plugin, for events and for who stands by.
    spare = ('"get"', "finalizers", "events", "leases")
    assert [each for each in unused if not any(word in each for word in spare)] == []


async def greets(world: World, text: str) -> bool:
    maps = await world.items("/api/v1/namespaces/default/configmaps")
    return [each["data"].get("greeting") for each in maps if each["metadata"]["name"] == "web"] == [text]


def let_in_by(world: World, token: str) -> None:
    """Let the daemon, which connects from now on, be one with this token; the test itself stays trusted."""
    trusted, secured = world.api.handle, world.api.handle_secured

    async def handle(request: Request) -> Response:
        if request.headers.get("user-agent") == "test":
            return await trusted(request)
        return await secured(
            replace(request, headers={**request.headers, "authorization": f"Bearer {token}"})
        )

    world.api.handle = handle  # type: ignore[method-assign]  # what the daemon connects to


@pytest.mark.usefixtures("importable")
def test_the_rights_are_those_that_the_declarations_take() -> None:
    reads = {
        Right("", group, plural, verb)
        for group, plural in (("example.dev", "greetings"), ("", "configmaps"))
        for verb in ("get", "list", "watch")
    }
    writes = {
        Right("", "", "configmaps", "create"),
        Right("", "", "configmaps", "patch"),
        Right("", "example.dev", "greetings/status", "patch"),
        Right("", "example.dev", "greetings/finalizers", "update"),
    }
    assert rights_of(controller_of("my_operator.controller:GreetingController")) == reads | writes


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["new", "My Operator"], "expected a name such as my-operator", id="no name"),
        pytest.param(["new", "json"], "Python has a module json already", id="a module of Python's"),
        pytest.param(["new", "mine", "--group", "example"], "is no domain such as example.dev", id="group"),
        pytest.param(
            ["rbac", "json:JSONEncoder"], "is no class derived from kcm.Controller", id="no controller"
        ),
        pytest.param(["rbac", "not_there:Mine"], "cannot import not_there", id="no module"),
    ],
)
def test_what_cannot_be_written_is_refused_in_a_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_exists_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="exists already and is not empty"):
        write_project("my-operator", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
