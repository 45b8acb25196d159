"""A server that hangs for everybody but the Lease: renewals wait behind nothing of the manager's own."""

import os

from daemons import QUICK, eventually

FAULTS = "/sandbox/faults"
NARROW = {**QUICK, "client": {**QUICK["client"], "maxConnections": 1, "readTimeout": "2s"}}


def test_renewals_do_not_wait_behind_requests_that_hang(server, start_daemon):
    daemon = start_daemon(server.url, config=NARROW)
    eventually(daemon.leads, what="leading")
    leader = server.holder()
    hanging = {"effect": {"type": "hang-before"}, "agent": "^kcm(?!.*leader-election)"}
    slow = {"effect": {"type": "delay", "seconds": 1.0}, "agent": "leader-election"}
    for fault in (hanging, slow):
        server.call("POST", FAULTS, fault)
    # More hanging requests than there are connections, of hosts and of the manager.
    server.apply("web", 20)
    server.call("DELETE", "/sandbox/history")
    os.kill(daemon.host()["pid"], 9)

    def renewals():
        return len(server.requests("leader-election", method="PATCH", status=200))

    seen = renewals()
    eventually(lambda: renewals() >= seen + 4, what="renewed beside all that hangs")
    assert server.holder() == leader
    assert not server.pods()
    server.call("DELETE", FAULTS)
    eventually(lambda: server.settled("web", 20), within=90.0, what="works when nothing hangs")
    assert server.holder() == leader
    assert not daemon.records("lost leadership")
    assert not server.surplus()
