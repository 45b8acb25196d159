"""A dry run as processes: not one request that could write leaves them."""

from daemons import eventually


def test_nothing_but_reads_is_sent_and_the_plan_is_logged_and_shown(server, start_daemon):
    server.apply("web", 3)
    daemon = start_daemon(server.url, "--dry-run")
    (plan,) = eventually(lambda: daemon.records("plan not sent"), what="the plan is told")
    assert plan["key"] == "default/web"
    assert plan["total"] == 3
    assert all("create pods default/web-" in action for action in plan["actions"])
    eventually(daemon.ready, what="ready")
    status = eventually(lambda: daemon.status()["plans"] and daemon.status(), what="the plan is shown")
    assert status["dryRun"]
    assert status["plans"][0]["controller"] == "replicaset"
    assert "dry run: takes no part, and writes nothing" in daemon.page("/statusz")[1]
    assert daemon.stop() == 0
    assert {request["method"] for request in server.requests("kcm")} == {"GET"}
    assert server.holder() == ""
    assert server.pods() == []
