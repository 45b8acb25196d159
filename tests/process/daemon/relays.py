"""A relay between daemons and their server, for tests that are not asynchronous."""

import asyncio
import sys
import threading
from pathlib import Path

# The benchmarks are no installed package.
sys.path.insert(0, str(Path(__file__).parents[3]))

from benchmarks.relay import Relay


class RelayThread:
    """`benchmarks.relay.Relay` to 127.0.0.1:`port`, with a thread and a loop of its own."""

    def __init__(self, port):
        self._loop = asyncio.new_event_loop()
        self._relay = Relay(lambda: asyncio.open_connection("127.0.0.1", port))
        self._stop = asyncio.Event()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(30)
        self.port = self._relay.port
        self.url = f"http://127.0.0.1:{self.port}"

    def silence(self, **ways):
        """Let nothing pass: to_server=False or to_client=False leaves that way open."""
        self._call(lambda: self._relay.silence(**ways))

    def speak(self):
        self._call(self._relay.speak)

    def reset(self):
        """Reset the clients' connections; return how many there were."""
        return self._call(self._relay.reset)

    def end(self):
        self._call(self._stop.set)
        self._thread.join(30)

    def _run(self, ready):
        async def serve():
            async with self._relay.serving():
                ready.set()
                await self._stop.wait()

        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(serve())

    def _call(self, act):
        async def acting():
            return act()

        return asyncio.run_coroutine_threadsafe(acting(), self._loop).result(30)
