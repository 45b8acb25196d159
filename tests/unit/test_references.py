"""The references that are made from the code are those of the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tools.reference.__main__ import PAGES, read
from tools.reference.logs import records
from tools.reference.metrics import metrics
from tools.reference.source import ROOT, UNKNOWN, Module, Place, calls, value


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_is_not_stale(name: str) -> None:
    assert read(ROOT / name) == PAGES[name](), "python -m tools.reference writes it anew"


def test_metrics_have_names_that_tell_whose_they_are_and_texts() -> None:
    known = ("kcm_", "controller_runtime_", "workqueue_", "rest_client_", "leader_election_", "kubernetes_")
    for each in metrics().values():
        assert each.name.startswith((*known, "horizontal_pod_autoscaler_controller_")), each.name
        assert each.help
        assert (each.kind == "counter") == each.name.endswith("_total"), each.name


def test_what_a_record_is_called_does_not_vary() -> None:
    for record in records():
        assert "%" not in record.message
        assert record.message == record.message.strip()


def test_an_expression_is_told_or_unknown_but_never_guessed() -> None:
    text = """
PREFIX = "a_"
TWICE = 1
TWICE = 2
def f(given):
    labels = ("x", *("y",))
    show(f"{PREFIX}b", labels, TWICE, given, [PREFIX], f"{given}")
"""
    (call,) = (each for each in calls(Module("m.py", ast.parse(text))) if each[0].args)
    node, place = call
    assert isinstance(place, Place)
    told = [value(each, place) for each in node.args]
    assert told == ["a_b", ("x", "y"), UNKNOWN, UNKNOWN, ("a_",), UNKNOWN]


PAPERS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def anchors(path: Path) -> set[str]:
    """Return the anchors that a page's headings have."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAPERS, ids=lambda path: path.name)
def test_a_link_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text()):
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), target
        assert not anchor or path.suffix != ".md" or anchor in anchors(path), f"{target}#{anchor}"
