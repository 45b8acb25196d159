"""What the guides quote as kcm's output is what the code can print."""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDES = [ROOT / "docs" / name for name in ("troubleshooting.md", "runbooks.md", "operations.md")]
# Shorter pieces of a quotation than this prove nothing.
LEAST = 4


@functools.cache
def literals():
    """Return every text of the sources, with … where something is filled in."""
    found = set()
    for folder in ("kcm", "controllers"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.JoinedStr):
                    parts = (each.value if isinstance(each, ast.Constant) else "…" for each in node.values)
                    found.add("".join(parts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
    return found


def records():
    """Return the log records of the reference, as "component: message"."""
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", (ROOT / "docs/logs.md").read_text(), re.MULTILINE)
    return {f"{component}: {message}" for component, message in rows}


def plain(text):
    return " ".join(text.replace("&lt;", "<").replace("&gt;", ">").split())


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_every_quotation_is_a_text_of_the_code(guide):
    known = literals()
    for quoted in re.findall(r"“([^”]+)”", guide.read_text()):
        pieces = [piece.strip(" ,;?") for piece in plain(quoted).split("…")]
        pieces = [piece for piece in pieces if len(piece) >= LEAST]
        if not pieces:
            continue
        missing = [piece for piece in pieces if not any(piece in text for text in known)]
        assert not missing, f"{guide.name} quotes “{quoted}”, but nothing prints {missing}"


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_every_record_that_a_guide_names_is_in_the_reference(guide):
    known = records()
    components = {record.partition(": ")[0] for record in known}
    named = {
        plain(text) for text in re.findall(r"(?<!\*)\*([^*\n]+(?:\n[^*\n]+)?)\*(?!\*)", guide.read_text())
    }
    named = {text for text in named if text.partition(": ")[0] in components and ": " in text}
    assert named <= known, f"{guide.name} names {sorted(named - known)}, which is not in logs.md"


def test_the_troubleshooting_guide_quotes_enough_to_be_searched():
    text = GUIDES[0].read_text()
    assert len(re.findall(r"“[^”]+”", text)) > 12
    assert len(re.findall(r"\*[a-z.]+(?:&lt;name&gt;)?: [^*]+\*", text)) > 12
