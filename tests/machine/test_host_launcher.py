"""A handle on a host process, and its end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from kcm.manager.launcher import ProcessHandle, ProcessLauncher
from kcm.testing.launcher import MemoryChannel


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
