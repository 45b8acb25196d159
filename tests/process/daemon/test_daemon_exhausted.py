"""A manager with no descriptor left, whose server resets its connections, keeps the Lease (fault 29)."""

import contextlib
import os
import resource
import signal
import socket
import threading

import pytest
from daemons import eventually
from relays import RelayThread


class Crowd:
    """Takes every descriptor that gets free, by connections to the manager's pages."""

    def __init__(self, address):
        host, _, port = address.partition(":")
        self._place = (host, int(port))
        self._held = []
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._push, daemon=True)
        self._thread.start()

    def end(self):
        self._enough.set()
        self._thread.join(30)
        for visitor in self._held:
            visitor.close()

    def _push(self):
        while not self._enough.wait(0.003):
            with contextlib.suppress(OSError):
                self._held.append(socket.create_connection(self._place, timeout=5))
            if len(self._held) > 300:
                self._held.pop(0).close()


@pytest.fixture
def relay(server):
    between = RelayThread(server.port)
    yield between
    between.end()


def open_numbers(pid):
    return {int(name) for name in os.listdir(f"/proc/{pid}/fd")}


def test_a_leader_without_a_free_descriptor_renews_and_recovers(server, relay, start_daemon):
    daemon = start_daemon(relay.url)
    eventually(daemon.leads, what="leading")
    leader, pid, address = server.holder(), daemon.process.pid, daemon.address
    host = daemon.host()["pid"]
    used = open_numbers(pid)
    # Every number below the limit is in use; a few more are for the crowd.
    limit = next(number for number in range(10_000) if number not in used) + 3
    before = resource.prlimit(
        pid, resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    )
    crowd = Crowd(address)
    try:
        eventually(lambda: open_numbers(pid) >= set(range(limit)), what="no descriptor is free")

        def renewals():
            return len(server.requests("leader-election", method="PATCH", status=200))

        for _ in range(2):
            relay.reset()
            seen = renewals()
            eventually(lambda seen=seen: renewals() >= seen + 2, what="renewed after a reset")
        # Its hosts die too, and none can be started; whose processes are left cannot be looked up either.
        os.kill(host, signal.SIGKILL)
        eventually(lambda: daemon.records("host ended"), what="a host ended")
        seen = renewals()
        eventually(lambda: renewals() >= seen + 2, what="renewed without hosts")
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        crowd.end()
    assert any("Too many open files" in record.get("error", "") for record in daemon.records())
    eventually(daemon.leads, what="leads again with hosts")
    server.apply("web", 2)
    eventually(lambda: server.settled("web", 2), what="works")
    assert server.holder() == leader
    assert not daemon.records("lost leadership")
    assert daemon.stop() == 0
