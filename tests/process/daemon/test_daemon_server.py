"""An API server that is absent, dies and comes back empty, under a daemon of real processes."""

from daemons import PODS, eventually, free_port


def test_an_absent_server_is_waited_for_and_told_once(start_server, start_daemon):
    port = free_port()
    daemon = start_daemon(f"http://127.0.0.1:{port}")
    eventually(lambda: daemon.records("the Lease cannot be reached"), what="told")
    eventually(lambda: len(daemon.records("watch in trouble")) == 2, what="told for each watch")
    assert daemon.page("/livez")[0] == 200
    assert not daemon.ready()
    assert "127.0.0.1" in daemon.page("/statusz")[1]
    # Long enough for several further tries of everything.
    eventually(lambda: daemon.metric("rest_client_requests_total", code="<error>") > 10, what="tries")
    told = daemon.text()
    server = start_server(port)
    server.apply("web", 3)
    eventually(lambda: server.settled("web", 3), what="works")
    eventually(daemon.ready, what="ready")
    warnings = [r for r in daemon.records() if r["level"] in ("warning", "error") and "check" not in r]
    # The last one is that events are dropped: no recorder is named.
    assert len(warnings) <= 5, told
    assert daemon.status()["failing"] == {}
    assert daemon.stop() == 0


def test_a_server_that_dies_and_comes_back_empty_is_served_again(start_server, start_daemon):
    old = start_server()
    daemon = start_daemon(old.url)
    old.apply("web", 20)
    old.apply("gone", 2)
    eventually(lambda: old.settled("web", 20), what="the old world is served")
    old.kill()
    eventually(lambda: not daemon.ready(), what="not ready without a server")
    assert daemon.page("/livez")[0] == 200
    new = start_server(old.port)
    new.apply("web", 3)
    eventually(lambda: new.settled("web", 3), what="the new world is served")
    eventually(daemon.ready, what="ready")
    assert [cache["objects"] for cache in daemon.status()["caches"]] == [1, 3]
    # Until the watches have noticed, it works for objects that are gone: a few pods, not a flood of them.
    assert len(new.requests("replicaset", method="POST", path=PODS)) < 100
    assert not [line for line in new.surplus() if ": web has" in line]
    assert daemon.stop() == 0
    assert new.holder() == ""
