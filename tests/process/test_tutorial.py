"""docs/tutorial.md, followed to the letter: its files written, its commands run, their output compared.

How the page says what is what, invisibly to its readers: `<!-- terminal 2 -->` before a block names the
terminal it belongs to (without it, the first); `stays` means that the command does not end, and its
output is waited for; `says` that a running one will print this; `Ctrl-C` ends it; `fails` that the exit
code is not 0; `not run` is left out, with its reason. A bold name before a block is that of a file.
"""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
# Until what a command shows is there, or what stays has said it. A reader would wait, too.
PATIENCE = 120.0
# Ports that the page chooses: others are taken, so that two runs on one machine do not meet.
PORTS = ("9700", "8085", "8091", "8092")
# What only looks, and may be asked again.
LOOKS = re.compile(r"(kubectl (-n \S+ )?(get|describe) |curl -s )")

MARKS = re.compile(r"<!-- (?P<mark>.*?) -->|^\*\*(?P<path>\S+\.\w+)\*\*$|^```(?P<kind>\w*)$", re.MULTILINE)

# What differs from run to run, wherever it stands in an output, and what it may be instead.
VARIES = (
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", r"\d{4}-\d\d-\d\dT[\d:.]+Z"),
    (r"\d\d:\d\d:\d\d\.\d{3}", r"\d\d:\d\d:\d\d\.\d{3}"),
    (r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", r"[0-9a-f-]{36}"),
    (r"-[0-9a-z]{9,10}-[0-9a-z]{5}\b", r"-[0-9a-z]+-[0-9a-z]{5}"),  # the end of a pod's name
    (r" in \d+\.\d+s$", r" in [\d.]+s(?: \([\d:]+\))?"),  # a run of pytest
    (r"\d+\.\d+", r"\d+(?:\.\d+)?"),  # seconds, MiB
    (r"\b\d+(?:ms|s|m)\b", r"(?:\d+(?:ms|s|m|h))+"),  # an age
    (r"\b\d{4,}\b", r"\d+"),  # a port, a process
    (r"\bvm(?=_)", r"\S+"),  # a machine
    (r" deleted$", r" deleted(?: from \S+ namespace)?"),  # newer versions of kubectl say where
)


@dataclass
class Step:
    """One block of the page, or one key pressed."""

    line: int
    kind: str  # "file", "run", "stays", "says", "Ctrl-C", "left out"
    body: str = ""
    terminal: int = 1
    fails: bool = False
    path: str = ""

    def commands(self) -> Iterator[tuple[str, str]]:
        """Yield each command and the output that is shown below it."""
        for part in re.split(r"^\$ ", self.body, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def steps_of(text: str) -> list[Step]:
    """Return what the page asks for, in its order; AssertionError for a block that says nothing to do."""
    found: list[Step] = []
    mark, path, at = "", "", 0
    while match := MARKS.search(text, at):
        at = match.end()
        line = text.count("\n", 0, match.start()) + 1
        if match["mark"] is not None:
            mark = match["mark"]
            if mark.endswith("Ctrl-C"):
                found.append(Step(line, "Ctrl-C", terminal=_terminal(mark)))
                mark = ""
        elif match["path"]:
            path = match["path"]
        else:
            end = text.index("\n```\n", at)
            found.append(_block(line, match["kind"], text[at + 1 : end + 1], mark, path))
            mark, path, at = "", "", end + 4
    return found


def _block(line: int, kind: str, body: str, mark: str, path: str) -> Step:
    if path:
        return Step(line, "file", body, path=path)
    if mark.startswith("not run: "):
        return Step(line, "left out")
    if mark.endswith(" says"):
        return Step(line, "says", body, _terminal(mark))
    assert kind == "console", f"{PAGE.name}:{line}: a block without a file's name, a terminal or a reason"
    does = "stays" if mark.endswith(", stays") else "run"
    return Step(line, does, body, _terminal(mark), fails=mark == "fails")


def _terminal(mark: str) -> int:
    number = re.search(r"terminal (\d)", mark)
    return int(number[1]) if number else 1


def pattern_of(shown: str) -> re.Pattern[str]:
    """Return what an output has to match: `…` is anything, and what varies has its shape only."""
    lines = []
    for line in shown.splitlines():
        if line.strip() == "…":
            lines.append(r"(?:.*\n)*?")
            continue
        pieces = [_shape(piece) for piece in line.rstrip().split("…")]
        lines.append(".*".join(pieces) + r"[ ]*\n")
    return re.compile("".join(lines))


def _shape(text: str) -> str:
    shaped, at = "", 0
    for match in re.finditer("|".join(f"({each})" for each, _ in VARIES), text):
        assert match.lastindex
        shaped += _literally(text[at : match.start()]) + VARIES[match.lastindex - 1][1]
        at = match.end()
    return shaped + _literally(text[at:])


def _literally(text: str) -> str:
    # Columns are as wide as what stands in them.
    return re.sub(r"(?:\\ )+", "[ ]+", re.escape(text))


def test_what_varies_matches_its_shape_and_nothing_else() -> None:
    assert pattern_of("… passed in 5.46s\n").fullmatch("9 passed in 62.88s (0:01:02)\n")
    shown = "NAME  AGE\nweb-5f8c6d7b9c-4xk2p   3s\n…\nport 127.0.0.1:8085, …\n"
    assert pattern_of(shown).fullmatch("NAME   AGE\nweb-7d9f-abcde  1m12s\nmore\nport 127.0.0.1:41234, all\n")
    assert not pattern_of(shown).fullmatch("NAME   AGE\nwww-7d9f-abcde  1m12s\nport 127.0.0.1:41234, all\n")


@dataclass
class Terminal:
    """A shell's directory and variables, kept from command to command, and what runs in front."""

    number: int
    state: Path
    environment: dict[str, str]
    running: subprocess.Popen[bytes] | None = None
    _said: list[bytes] = field(default_factory=list)
    _read: int = 0

    def run(self, command: str) -> tuple[str, int]:
        """Run to the end; return what was printed and the exit code."""
        script = f"{{ {command}\n}}; code=$?; {{ declare -px; echo cd $PWD; }} > {self.state}; exit $code"
        done = subprocess.run(
            ["bash", "-c", self._prepared(script)],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE * 2,
            check=False,
        )
        return _plain(done.stdout), done.returncode

    def start(self, command: str) -> None:
        """Start what stays, on a terminal of its own as a person would."""
        assert self.running is None, f"terminal {self.number} is busy"
        ours, theirs = pty.openpty()
        self.running = subprocess.Popen(
            ["bash", "-c", self._prepared(f"exec {command}")],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._said, self._read = [], 0
        threading.Thread(target=self._listen, args=(ours, self._said), daemon=True).start()

    def _listen(self, ours: int, said: list[bytes]) -> None:
        try:
            while piece := os.read(ours, 65536):
                said.append(piece)
        except OSError:
            pass  # the other end is closed
        finally:
            os.close(ours)

    def _prepared(self, script: str) -> str:
        return f"[ -e {self.state} ] && . {self.state}; {script}"

    def expect(self, shown: str) -> None:
        """Wait until what runs has printed this, after what was waited for before."""
        pattern, end = pattern_of(shown), time.monotonic() + PATIENCE
        while not (match := pattern.search(_plain(b"".join(self._said)), self._read)):
            ended = self.running is None or self.running.poll() is not None
            patient = time.monotonic() < end and not ended
            assert patient, f"expected:\n{shown}\nsaid:\n{_plain(b''.join(self._said))}"
            time.sleep(0.05)
        self._read = match.end()

    def interrupt(self) -> None:
        """Press Ctrl-C, and wait until the prompt is back."""
        assert self.running is not None
        os.killpg(self.running.pid, signal.SIGINT)
        code = self.running.wait(PATIENCE)
        assert code == 0, f"exit code {code}:\n{_plain(b''.join(self._said))}"
        self.running = None

    def close(self) -> None:
        """End what a test that failed has left."""
        if self.running is not None:
            os.killpg(self.running.pid, signal.SIGKILL)
            self.running.wait()


def _plain(output: bytes) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", output.decode("utf-8", "replace")).replace("\r\n", "\n")


class Reader:
    """Does what the page says."""

    def __init__(self, home: Path, ports: dict[str, int]) -> None:
        self.home = home
        self.lost_at = ""
        self._ports = ports
        kept = ("PATH", "LANG", "LC_ALL", "TMPDIR")
        self._environment = {name: os.environ[name] for name in kept if name in os.environ} | {
            "HOME": str(home),
            "PATH": f"{home}/bin:{os.environ['PATH']}",
            "TZ": "UTC",
            "KUBECACHEDIR": str(home / ".kube-cache"),
            # What an index would give is in the environment that runs this test.
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        self._terminals: dict[int, Terminal] = {}

    def on_free_ports(self, text: str) -> str:
        """Return a text of the page with ports that are free."""
        for written, free in self._ports.items():
            text = re.sub(rf"\b{written}\b", str(free), text)
        return text

    def follow(self, step: Step) -> None:
        terminal = self._terminal(step.terminal)
        match step.kind:
            case "file":
                target = self.home / "page-operator" / step.path
                target.parent.mkdir(exist_ok=True)
                target.write_text(step.body, encoding="utf-8")
            case "run":
                for command, shown in step.commands():
                    self._run(terminal, command, shown, step)
            case "stays":
                ((command, shown),) = step.commands()
                terminal.start(command)
                terminal.expect(shown)
            case "says":
                terminal.expect(step.body)
            case "Ctrl-C":
                terminal.interrupt()

    def _run(self, terminal: Terminal, command: str, shown: str, step: Step) -> None:
        pattern, end = pattern_of(shown), time.monotonic() + PATIENCE
        while True:
            output, code = terminal.run(command)
            if (code != 0) == step.fails and pattern.fullmatch(output and output.rstrip("\n") + "\n"):
                break
            again = LOOKS.match(command) and time.monotonic() < end
            assert again, f"{command}\nexpected:\n{shown}\nprinted, with exit code {code}:\n{output}"
            time.sleep(0.2)
        if "-m venv" in command:
            self._furnish(self.home / "tutorial")

    def _furnish(self, venv: Path) -> None:
        """Give a new environment what would come from an index: pip, and what it would install."""
        (site,) = venv.glob("lib/python*/site-packages")
        (site / "index.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")))
        for name, call in (("pip", "pip._internal.cli.main:main"), ("pytest", "pytest:main")):
            module, _, function = call.partition(":")
            script = venv / "bin" / name
            script.write_text(
                f"#!{venv}/bin/python\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"
            )
            script.chmod(0o755)

    def _terminal(self, number: int) -> Terminal:
        if number not in self._terminals:
            state = self.home / f".terminal-{number}"
            self._terminals[number] = Terminal(number, state, self._environment)
        return self._terminals[number]

    def close(self) -> None:
        for terminal in self._terminals.values():
            terminal.close()


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    home = tmp_path_factory.mktemp("tutorial") / "home"
    for folder in ("kcm", "controllers"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, home / "kcm" / folder, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, home / "kcm")
    # The interpreter of this run, whatever `python3` is elsewhere, and without the pip of its day.
    (home / "bin").mkdir()
    python = home / "bin" / "python3"
    base = sys._base_executable  # type: ignore[attr-defined]
    python.write_text(f'#!/bin/sh\nexec {base} "$@" --without-pip\n')
    python.chmod(0o755)
    reader = Reader(home, dict(zip(PORTS, free_ports(len(PORTS)), strict=True)))
    yield reader
    reader.close()


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def sections() -> dict[str, str]:
    """Return the page's sections by title, each behind as many empty lines as stand before it."""
    whole = PAGE.read_text(encoding="utf-8")
    starts = [match.start() for match in re.finditer(r"^## ", whole, re.MULTILINE)]
    found = {}
    for start, end in zip(starts, [*starts[1:], len(whole)], strict=True):
        title = whole[start + 3 : whole.index("\n", start)]
        found[title] = "\n" * whole.count("\n", 0, start) + whole[start:end]
    return found


# One after the other: each goes on where the last one ended.
@pytest.mark.usefixtures("kubectl_binary")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("title", sections())
def test_the_tutorial_followed_to_the_letter_ends_in_a_working_controller(reader: Reader, title: str) -> None:
    assert reader.lost_at in ("", title), f"the reader did not get past {reader.lost_at!r}"
    reader.lost_at = title
    for step in steps_of(reader.on_free_ports(sections()[title])):
        try:
            reader.follow(step)
        except BaseException as error:
            error.add_note(f"{PAGE.name}:{step.line}")
            raise
    reader.lost_at = ""
