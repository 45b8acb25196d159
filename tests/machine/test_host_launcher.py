"""A handle on a host process, and its end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from types import SimpleNamespace

from kcm.manager.launcher import ProcessHandle
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
