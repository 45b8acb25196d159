"""A handle on a host process, and its end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from kcm.manager import output
from kcm.manager.launcher import ProcessHandle, ProcessLauncher
from kcm.testing.launcher import MemoryChannel


class Lines:
    """Records, as they come."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.texts: list[str] = []
        self.left_out = 0
        self.spoken = asyncio.Event()
        monkeypatch.setattr(output, "logger", lambda name: self)

    def bind(self, **fields: object) -> Lines:
        return self

    def info(self, message: str, /, **fields: object) -> None:
        self.texts.append(str(fields["text"]))
        self.spoken.set()

    def warning(self, message: str, /, **fields: object) -> None:
        self.left_out += int(str(fields["lines"]))


def test_what_is_written_past_python_becomes_lines_and_the_rest_of_a_dead_host_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = Lines(monkeypatch)

    async def play() -> None:
        reading, writing = os.pipe()
        heard = output.HostOutput(reading, "h")
        os.write(writing, b"one\n\ntw")
        await lines.spoken.wait()
        os.write(writing, b"o \xff\nlast words")
        heard.close()
        heard.close()
        os.close(writing)

    asyncio.run(play())
    assert lines.texts == ["one", "two \ufffd", "last words"]


def test_a_host_that_writes_without_end_costs_a_bounded_number_of_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = Lines(monkeypatch)

    async def play() -> None:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        heard = output.HostOutput(reading, "h")
        sent = 0
        while lines.left_out < 1000:
            try:
                sent += os.write(writing, b"y\n" * 1000) // 2
            except BlockingIOError:
                await asyncio.sleep(0)
        heard.close()
        os.close(writing)
        assert len(lines.texts) <= output.MOST_LINES * (1 + sent * 2 // output.PIECE + 1) + 1

    asyncio.run(play())
    assert len(lines.texts) < lines.left_out


def test_a_line_without_an_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Lines(monkeypatch)

    async def play() -> None:
        reading, writing = os.pipe()
        heard = output.HostOutput(reading, "h")
        os.write(writing, b"z" * 10_000)
        os.close(writing)
        await lines.spoken.wait()
        heard.close()

    asyncio.run(play())
    assert lines.texts == ["z" * output.LONGEST_LINE]


def test_killing_a_host_that_ended_a_moment_ago_is_harmless() -> None:
    async def play() -> None:
        sentinel, end = os.pipe()
        child = await asyncio.to_thread(
            subprocess.Popen, [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
        )
        process = SimpleNamespace(pid=child.pid, sentinel=sentinel, join=lambda: None, exitcode=0)
        handle = ProcessHandle(process, MemoryChannel())
        assert child.stdin is not None
        child.stdin.close()
        # The fork server reaps a host before the manager hears of it.
        await asyncio.to_thread(child.wait)
        handle.kill()
        os.close(end)
        assert await handle.ended() == "exit code 0"
        handle.kill()
        os.close(sentinel)

    asyncio.run(play())


@pytest.mark.parametrize(("code", "how"), [(-9, "signal SIGKILL"), (-40, "signal 40"), (3, "exit code 3")])
def test_how_a_host_ended_is_told_whatever_ended_it(code: int, how: str) -> None:
    async def play() -> None:
        sentinel, end = os.pipe()
        process = SimpleNamespace(pid=os.getpid(), sentinel=sentinel, join=lambda: None, exitcode=code)
        handle = ProcessHandle(process, MemoryChannel())
        os.close(end)
        assert await handle.ended() == how
        os.close(sentinel)

    asyncio.run(play())


@pytest.mark.parametrize("error", [EOFError("unexpected EOF"), RuntimeError("can't start new thread")])
def test_a_machine_that_makes_no_more_processes_is_an_error_that_supervision_knows(error: Exception) -> None:
    def start() -> None:
        raise error

    context = SimpleNamespace(
        set_forkserver_preload=lambda modules: None, Process=lambda **how: SimpleNamespace(start=start)
    )

    async def play() -> None:
        with pytest.raises(OSError, match="no process"):
            await ProcessLauncher(context).launch("h", lambda payload: None, lambda why: None)

    asyncio.run(play())
