"""What `kcm run my_controller.py` takes: a controller is found without running anything of its file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kcm.base.errors import ConfigurationError
from kcm.cli.targets import FirstTry, find_controller, with_first_try
from kcm.config.schema import Configuration

ONE = """
import kcm
raise SystemExit("nobody may run this")

class BackupPolicyController(kcm.Controller[int, int]):
    workers = 2

class Unrelated:
    name = "not me"
"""
TWO = """
from kcm import BlockingController, Controller

class First(Controller): name = "the-first"
class Second(BlockingController[int, int]):
    name: str = "the-second"
"""


@pytest.fixture(autouse=True)
def clean_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = list(sys.path)
    monkeypatch.setenv("PYTHONPATH", "")
    yield
    sys.path[:] = before


def written(folder: Path, text: str, name: str = "a_controller_of_mine.py") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_a_file_with_one_controller_needs_no_more_words(tmp_path: Path) -> None:
    found = find_controller(written(tmp_path, ONE))
    assert found == FirstTry("backup-policy", "a_controller_of_mine:BackupPolicyController")
    assert str(tmp_path) in sys.path


def test_of_several_one_is_named(tmp_path: Path) -> None:
    target = written(tmp_path, TWO)
    assert find_controller(f"{target}:Second").name == "the-second"
    with pytest.raises(ConfigurationError, match=r"has 2 controllers: name one, as .*:First"):
        find_controller(target)


def test_a_file_in_a_package_is_a_module_of_the_package(tmp_path: Path) -> None:
    package = tmp_path / "an_operator_of_mine" / "inner"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    found = find_controller(written(package, ONE, "controller.py"))
    assert found.implementation == "an_operator_of_mine.inner.controller:BackupPolicyController"
    assert str(tmp_path) in sys.path
    # Its types.py would be taken for Python's.
    assert str(package) not in sys.path


def test_a_module_is_found_where_python_looks() -> None:
    found = find_controller("controllers.replicaset.controller")
    assert found == FirstTry("replicaset", "controllers.replicaset.controller:ReplicaSetController")


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        pytest.param("x.py", "a = 1", "no class derived from kcm.Controller", id="no controller"),
        pytest.param("x.py", "def (", "is not valid Python", id="no Python"),
        pytest.param("my-controller.py", ONE, "letters, digits and _ only", id="no module name"),
        pytest.param("json.py", ONE, "Python has a module json already", id="the name of another module"),
    ],
)
def test_a_file_that_cannot_be_run_says_why(tmp_path: Path, name: str, text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        find_controller(written(tmp_path, text, name))


@pytest.mark.parametrize("target", ["nobody_has_this_module", "nobody.has.this:X", "a b", "missing.py"])
def test_what_is_not_there_is_refused(target: str) -> None:
    with pytest.raises(ConfigurationError):
        find_controller(target)


def test_a_first_try_competes_for_a_lease_of_its_own() -> None:
    first = FirstTry("mine", "m:C")
    alone = with_first_try(Configuration(), first, own_lease=True, recorded=False)
    assert alone.leader_election.resource_name == "kcm-mine"
    assert alone.controller("mine").implementation == "m:C"
    with_others = with_first_try(Configuration(), first, own_lease=False, recorded=True)
    assert with_others.leader_election.resource_name == "kcm"
    assert with_others.controller("eventrecorder").process == "mine"


def test_a_name_that_no_controller_can_have_is_refused(tmp_path: Path) -> None:
    target = written(tmp_path, 'from kcm import Controller\nclass C(Controller): name = "My Own"\n')
    with pytest.raises(ConfigurationError, match=r"C\.name is 'My Own': expected lower-case letters"):
        find_controller(target)


def test_a_file_that_is_no_python_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"invalid syntax \(a_controller_of_mine.py, line 2\)"):
        find_controller(written(tmp_path, "import kcm\nclass\n"))
