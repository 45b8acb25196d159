"""Hosts as tasks of the test's own loop, instead of processes.

`LoopLauncher` lets the whole daemon run in virtual time: a host's frames go through memory, a
kill cancels its task. Guarantees what the process launcher guarantees, as far as a loop can: a
killed host sends nothing any more, and has ended before `ended` returns. Does not isolate: a
controller that blocks the loop blocks the test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from kcm.base.clock import Clock
from kcm.base.rng import Rng
from kcm.client.credentials import CredentialSource
from kcm.client.transport import Transport
from kcm.host.agent import HostAgent
from kcm.manager.launcher import Channel, HostHandle, OnLost, OnMessage
from kcm.manager.usage import Usage
from kcm.testing.watchful import Ledger, WatchfulCache


class MemoryChannel:
    """One end of a pair; frames arrive in order, in the loop's next turn."""

    def __init__(self) -> None:
        self.congested = False
        self.deliver: Callable[[bytes], None] = lambda payload: None
        self._closed = False

    def send(self, payload: bytes) -> None:
        if not self._closed:
            asyncio.get_running_loop().call_soon(self._arrive, payload)

    def when_clear(self, callback: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(callback)

    def close(self) -> None:
        self._closed = True

    async def drained(self, seconds: float) -> None:
        self._closed = True

    def _arrive(self, payload: bytes) -> None:
        if not self._closed:
            self.deliver(payload)


class TaskHandle:
    """A host that is a task."""

    def __init__(
        self, pid: int, channel: MemoryChannel, back: MemoryChannel, task: asyncio.Task[None]
    ) -> None:
        self.pid = pid
        self.channel: Channel = channel
        self._read = channel.deliver
        self._back = back
        self._task = task
        self._killed = False
        self.used: Usage | None = None

    def mute(self) -> None:
        """Let the manager hear nothing more of the host."""
        self._back.deliver = lambda payload: None

    def delay(self, seconds: float) -> None:
        """Let the host take so long to read each frame from now on; 0: none."""
        assert isinstance(self.channel, MemoryChannel)
        loop = asyncio.get_running_loop()
        self.channel.deliver = lambda payload: _later(loop, seconds, self._read, payload)

    def kill(self) -> None:
        self._killed = True
        self.channel.close()
        self._back.close()
        self._task.cancel()

    def usage(self) -> Usage | None:
        return self.used

    async def ended(self) -> str:
        await asyncio.wait((self._task,))
        if self._killed:
            return "signal SIGKILL"
        error = None if self._task.cancelled() else self._task.exception()
        return f"raised {error!r}" if error is not None else "exit code 0"


class LoopLauncher:
    """Makes hosts in the running loop, in the given task group."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        connect: Callable[[CredentialSource, int], Transport],
        clock: Clock,
        rng: Rng,
    ) -> None:
        self.handles: list[TaskHandle] = []
        self.ledger = Ledger()
        self.collect: Callable[[str], Transport] | None = None
        self._tasks = tasks
        self._connect = connect
        self._clock = clock
        self._rng = rng

    async def launch(self, name: str, on_message: OnMessage, on_lost: OnLost) -> HostHandle:
        to_host, to_manager = MemoryChannel(), MemoryChannel()
        view = partial(WatchfulCache, self.ledger)
        agent = HostAgent(
            to_manager.send, self._connect, self._clock, self._rng, view=view, collect=self.collect
        )
        to_host.deliver = agent.receive
        to_manager.deliver = on_message
        task = self._tasks.create_task(_shielded(agent))
        handle = TaskHandle(1000 + len(self.handles), to_host, to_manager, task)
        self.handles.append(handle)
        return handle


def _later(
    loop: asyncio.AbstractEventLoop, seconds: float, deliver: Callable[[bytes], None], payload: bytes
) -> None:
    loop.call_later(seconds, deliver, payload)


async def _shielded(agent: HostAgent) -> None:
    """Run the agent; a kill ends this task and must not end the group it lives in."""
    await agent.run()
