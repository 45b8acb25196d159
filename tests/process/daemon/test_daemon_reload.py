"""The configuration file changes under a running process."""

import json
import os
import signal

from daemons import QUICK, eventually

HEAD = {"apiVersion": "kcm.dev/v1alpha1", "kind": "ManagerConfiguration"}


def rewrite(daemon, config):
    """Replace the file as an editor does: a new one is renamed over it."""
    new = daemon.config.with_suffix(".new")
    new.write_text(json.dumps({**HEAD, **config}))
    os.replace(new, daemon.config)


def host_of(daemon, name):
    return next((host for host in daemon.status()["hosts"] if host["name"] == name), None)


def leads(daemon, name):
    host = host_of(daemon, name)
    return host is not None and host["state"] == "leading" and host


def test_a_changed_file_restarts_the_one_host_and_a_refused_one_nothing(server, start_daemon):
    odd = {"implementation": "odd_controllers:Slow"}
    daemon = start_daemon(server.url, config={**QUICK, "controllers": {"slow": odd}})
    before = {
        name: eventually(lambda n=name: leads(daemon, n), what="leading") for name in ("replicaset", "slow")
    }
    holder = server.holder()
    rewrite(daemon, {**QUICK, "controllers": {"slow": odd, "replicaset": {"workers": 2}}})
    eventually(lambda: daemon.records("configuration in force"), what="the change is taken")
    after = eventually(lambda: leads(daemon, "replicaset"), what="leading again")
    assert after["pid"] != before["replicaset"]["pid"]
    assert after["restarts"] == 0, "a change that was asked for is no trouble"
    assert host_of(daemon, "slow")["pid"] == before["slow"]["pid"]
    assert server.holder() == holder
    server.apply("web", 3)
    eventually(lambda: server.settled("web", 3), what="3 pods")

    odd["settings"] = {"nonsense": 1}
    rewrite(daemon, {**QUICK, "controllers": {"slow": odd}})
    daemon.process.send_signal(signal.SIGHUP)
    (refused,) = eventually(
        lambda: daemon.records("configuration refused, the old one stays"), what="the change is refused"
    )
    assert "controllers.slow.settings" in refused["reason"]
    assert host_of(daemon, "replicaset")["pid"] == after["pid"]
    status, page = daemon.page("/configz")
    assert status == 200
    assert "controllers.slow.settings" in page["reload"]["refused"]


def test_sighup_for_a_file_that_is_the_same_changes_nothing(server, start_daemon):
    daemon = start_daemon(server.url)
    before = eventually(lambda: leads(daemon, "replicaset"), what="leading")
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: daemon.records("configuration is read again"), what="it says so")
    assert leads(daemon, "replicaset")["pid"] == before["pid"]
    assert not daemon.records("configuration in force")
