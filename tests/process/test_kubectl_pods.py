"""The real kubectl and pods on the sandbox: start, look, delete."""

import re


def pod(name="web", annotations=None, **spec):
    notes = {f"sandbox.kcm.dev/{key}": value for key, value in (annotations or {}).items()}
    spec = {"containers": [{"name": "main", "image": "web:1"}], **spec}
    meta = {"name": name, "labels": {"app": name}, "annotations": notes}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def cells(table):
    """Return a table's rows as mappings from column to cell."""
    header, *rows = table.rstrip().split("\n")
    starts = [found.start() for found in re.finditer(r"(?:(?<=\s\s)|^)\S", header)]
    edges = [*zip(starts, [*starts[1:], None], strict=True)]
    return [{header[a:b].strip(): row[a:b].strip() for a, b in edges} for row in rows]


def test_an_applied_pod_becomes_ready(kubectl):
    assert kubectl.apply(pod()) == "pod/web created\n"
    assert kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=20s") == "pod/web condition met\n"
    assert kubectl.apply(pod()) == "pod/web unchanged\n"


def test_get_shows_the_usual_columns(kubectl):
    kubectl.apply(pod())
    kubectl("wait", "--for=condition=Ready", "pod/web")
    (row,) = cells(kubectl("get", "pods"))
    assert {key: row[key] for key in ("NAME", "READY", "STATUS", "RESTARTS")} == {
        "NAME": "web",
        "READY": "1/1",
        "STATUS": "Running",
        "RESTARTS": "0",
    }
    (wide,) = cells(kubectl("get", "pods", "-o", "wide"))
    assert wide["IP"].startswith("10.")
    assert wide["NODE"].startswith("sandbox-node-")
    assert kubectl("get", "pods", "-o", "name") == "pod/web\n"
    assert f"{kubectl.namespace}" in kubectl("get", "pods", "-A")


def test_get_w_follows_a_pod_from_pending_to_gone(kubectl):
    kubectl.apply(pod("first"))
    with kubectl.running("get", "pods", "-w") as lines:
        lines.until("first")
        kubectl.apply(pod())
        lines.until("web", "Pending")
        lines.until("web", "ContainerCreating")
        lines.until("web", "1/1", "Running")
        kubectl("delete", "pod", "web")
        lines.until("web", "Terminating")
    assert "web" not in kubectl("get", "pods")


def test_describe_shows_state_and_events(kubectl):
    kubectl.apply(pod())
    kubectl("wait", "--for=condition=Ready", "pod/web")
    text = kubectl("describe", "pod", "web")
    assert re.search(r"Status: +Running", text)
    assert re.search(r"Ready +True", text)
    assert re.search(
        r"Normal +Scheduled .* default-scheduler +Successfully assigned \S+/web to sandbox-node", text
    )
    events = re.findall(r"Normal +(\w+)", text.partition("Events:")[2])
    assert events == ["Scheduled", "Pulled", "Created", "Started"]


def test_events_are_listed(kubectl):
    kubectl.apply(pod())
    kubectl("wait", "--for=condition=Ready", "pod/web")
    assert "Started container main" in kubectl("get", "events")
    assert "Started container main" in kubectl("events", "--for", "pod/web")
    found = kubectl.json("get", "events", "--field-selector", "involvedObject.name=web,reason=Started")
    assert len(found["items"]) == 1


def test_delete_waits_for_the_grace_period_and_shows_terminating(kubectl):
    kubectl.apply(pod(annotations={"stop-delay": "10s"}))
    kubectl("wait", "--for=condition=Ready", "pod/web")
    kubectl("delete", "pod", "web", "--grace-period=20", "--wait=false")
    (row,) = cells(kubectl("get", "pods"))
    assert row["STATUS"] == "Terminating"
    assert kubectl("wait", "--for=delete", "pod/web", "--timeout=25s") == "pod/web condition met\n"
    assert "No resources found" in kubectl("get", "pods") or kubectl("get", "pods") == ""


def test_delete_without_grace_is_immediate(kubectl):
    kubectl.apply(pod(annotations={"stop-delay": "1h"}, terminationGracePeriodSeconds=3600))
    kubectl("wait", "--for=condition=Ready", "pod/web")
    kubectl("delete", "pod", "web", "--grace-period=0", "--force")
    assert "not found" in kubectl("get", "pod", "web", fails=True)


def test_delete_by_label_leaves_others(kubectl):
    kubectl.apply(pod("a"), pod("b"))
    kubectl("delete", "pods", "-l", "app=a")
    assert kubectl("get", "pods", "-o", "name") == "pod/b\n"


def test_broken_pods_look_broken(kubectl):
    kubectl.apply(
        pod("image", containers=[{"name": "c", "image": "web:nonexistent"}]),
        pod("crash", annotations={"fault": "crash-loop"}),
        pod("evicted", annotations={"fault": "evicted"}),
        pod("big", containers=[{"name": "c", "image": "i", "resources": {"requests": {"cpu": "9000"}}}]),
        pod("unready", annotations={"fault": "never-ready"}),
    )
    expected = (
        ("image", "ImagePullBackOff"),
        ("crash", "CrashLoopBackOff"),
        ("evicted", "Evicted"),
        ("unready", "0/1", "Running"),
        ("big", "Pending"),
    )
    with kubectl.running("get", "pods", "-w") as lines:
        for words in expected:
            lines.until(*words)
    assert "Insufficient cpu" in kubectl("describe", "pod", "big")


def test_run_makes_a_pod(kubectl):
    assert kubectl("run", "quick", "--image=web:1") == "pod/quick created\n"
    kubectl("wait", "--for=condition=Ready", "pod/quick")


def test_selectors_sorting_and_templates_work(kubectl):
    kubectl.apply(pod("b"), pod("a"))
    kubectl("wait", "--for=condition=Ready", "pod", "--all")
    names = kubectl("get", "pods", "--sort-by=.metadata.name", "-o", "jsonpath={.items[*].metadata.name}")
    assert names == "a b"
    assert kubectl("get", "pods", "-l", "app in (a)", "-o", "name") == "pod/a\n"
    assert kubectl("get", "pods", "--field-selector", "status.phase!=Running") == ""


def test_logs_are_told_of_containers_that_do_not_really_run(kubectl):
    kubectl.apply(pod())
    kubectl("wait", "--for=condition=Ready", "pod/web")
    assert "simulated container main started from web:1" in kubectl("logs", "web")
    with kubectl.running("logs", "-f", "web", "--timestamps") as lines:
        lines.until("simulated container main started")
    assert "not found" in kubectl("logs", "web", "--previous", fails=True)
