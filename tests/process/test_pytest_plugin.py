"""The pytest plugin as a stranger uses it: fixtures, waits, scripts, faults, time; and what it costs."""

import json
import os
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request

import pytest

from kcm.testing.control_plane import Refused
from kcm.testing.faults import DropAfter, Refuse
from kcm.testing.waiting import TimedOut


def deployment(name, replicas=2, image="web:1"):
    labels = {"app": name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def pod(name, **labels):
    metadata = {"name": name, "labels": labels}
    spec = {"containers": [{"name": "c", "image": "web:1"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def names(control_plane):
    return {each["metadata"]["name"] for each in control_plane.list("Pod")}


def test_a_deployment_becomes_available(control_plane):
    control_plane.create(deployment("web", 3))
    found = control_plane.wait_for_deployment("web")
    assert found["status"]["availableReplicas"] == 3
    assert len(control_plane.wait_for_pods(3, {"app": "web"})) == 3


def test_any_http_client_can_talk_to_it(control_plane):
    with urllib.request.urlopen(f"{control_plane.url}/version") as answer:
        assert json.load(answer)["major"] == "1"
    assert control_plane.url in control_plane.kubeconfig.read_text()


def test_the_official_client_can_talk_to_it(control_plane):
    from kubernetes import client

    with control_plane.api_client() as api:
        core = client.CoreV1Api(api)
        core.create_namespaced_config_map("default", {"metadata": {"name": "settings"}, "data": {"a": "b"}})
        assert core.read_namespaced_config_map("settings", "default").data == {"a": "b"}


def test_each_control_plane_is_alone_with_its_objects(control_planes):
    one, other = control_planes(nodes=0), control_planes(nodes=0)
    one.create(pod("mine"))
    assert names(one) == {"mine"}
    assert names(other) == set()
    assert one.url != other.url


@pytest.mark.control_plane(nodes=0, controllers=())
def test_without_nodes_and_controllers_the_test_is_kubelet_and_controller(control_plane):
    control_plane.create(pod("web"))
    assert control_plane.get("Pod", "web")["status"]["phase"] == "Pending"
    control_plane.patch("pods/status", "web", {"status": {"phase": "Running"}})
    assert control_plane.get("pods", "web")["status"]["phase"] == "Running"
    control_plane.delete("Pod", "web", grace=0)
    control_plane.wait_gone("Pod", "web")


def test_a_wait_that_times_out_says_what_there_is(control_plane):
    control_plane.create(deployment("web", 1, image="web:nonexistent"))
    control_plane.wait_until(lambda: "ImagePullBackOff" in control_plane.describe())
    with pytest.raises(TimedOut) as told:
        control_plane.wait_for_deployment("web", within=0.2)
    text = str(told.value)
    assert text.startswith("not within 0.2 s: Deployment default/web has all its replicas")
    assert "Deployment default/web: wants 1" in text
    assert "0/1 ready" in text
    assert "Pulling" in text or "ImagePull" in text


def test_a_mistake_in_a_condition_comes_through_at_once(control_plane):
    with pytest.raises(ZeroDivisionError):
        control_plane.wait_until(lambda: 1 / 0)


def test_a_condition_about_what_is_not_there_yet_does_not_hold_and_does_not_fail(control_plane):
    with pytest.raises(TimedOut, match='pods "web" not found'):
        control_plane.wait_until(lambda: control_plane.get("Pod", "web")["status"]["podIP"], within=0.1)
    control_plane.create(pod("web"))
    assert control_plane.wait_until(lambda: control_plane.get("Pod", "web")["status"]["podIP"])


def test_pods_behave_as_scripted(control_plane):
    control_plane.script_pods({"app": "bad"}, fault="crash-loop", fault_after="10ms")
    control_plane.create(deployment("bad", 1))
    control_plane.create(deployment("good", 1))

    def crashes():
        (found,) = control_plane.list("Pod", labels={"app": "bad"})
        return found["status"]["containerStatuses"][0]["restartCount"] >= 1

    control_plane.wait_for_deployment("good")
    control_plane.wait_until(crashes)


def test_a_script_concerns_pods_that_are_there_already(control_plane):
    control_plane.create(pod("web", app="web"))
    control_plane.wait_for_pods(1)
    control_plane.script_pods({"app": "web"}, fault="evicted", fault_after="0s")
    control_plane.wait_until(lambda: control_plane.get("Pod", "web")["status"]["reason"] == "Evicted")


def test_an_unknown_behaviour_is_refused_with_those_there_are(control_plane):
    with pytest.raises(ValueError, match="no pod behaviour falt; there are exit-code, fault"):
        control_plane.script_pods(falt="oom")


def test_faults_befall_requests_inside_the_with(control_plane):
    with control_plane.fault(Refuse(503, retry_after=1), verb="create", resource="configmaps"):
        with pytest.raises(Refused) as refused:
            control_plane.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
        assert refused.value.code == 503
    control_plane.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})


def test_an_answer_can_be_lost_behind_the_write(control_plane):
    body = json.dumps({"metadata": {"name": "ghost"}}).encode()
    url = f"{control_plane.url}/api/v1/namespaces/default/configmaps"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with control_plane.fault(DropAfter(), verb="create", resource="configmaps", times=1) as lost:
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            urllib.request.urlopen(request, timeout=10)
        assert control_plane.met(lost) == 1
    assert control_plane.get("ConfigMap", "ghost")


def test_an_hour_passes_at_once_inside_the_control_plane(control_plane):
    def created():
        return control_plane.get("ConfigMap", "kube-root-ca.crt")

    assert created()
    control_plane.create(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "old"},
            "involvedObject": {"kind": "Pod", "namespace": "default", "name": "x"},
            "reason": "Test",
            "type": "Normal",
        }
    )
    control_plane.advance(3700)
    control_plane.wait_gone("Event", "old")
    control_plane.create(deployment("web", 1))
    control_plane.wait_for_deployment("web")


def test_back_off_is_skipped_by_advancing(control_planes):
    plane = control_planes(speed=1.0)
    plane.script_pods(fault="crash-loop", fault_after="1s")
    plane.create(pod("web"))
    plane.advance(300)
    assert plane.get("Pod", "web")["status"]["containerStatuses"][0]["restartCount"] >= 4


def test_the_time_of_day_can_be_set(control_plane):
    control_plane.step_clock(86400 * 365)
    control_plane.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}})
    before = control_plane.get("ConfigMap", "kube-root-ca.crt")["metadata"]["creationTimestamp"]
    after = control_plane.get("ConfigMap", "late")["metadata"]["creationTimestamp"]
    assert int(after[:4]) == int(before[:4]) + 1


def test_every_write_is_on_record(control_plane):
    control_plane.create(deployment("web", 1))
    control_plane.wait_for_deployment("web")
    (made,) = [each for each in control_plane.writes("pods") if each.event == "ADDED"]
    assert made.user_agent.endswith("/replicaset")
    assert made.after["metadata"]["labels"]["app"] == "web"


def test_a_scenario_can_run_in_virtual_time(run_world):
    async def scenario(world):
        await world.call("POST", "/api/v1/namespaces/default/pods", pod("web"))
        await world.clock.sleep(3600)
        (found,) = await world.items("/api/v1/namespaces/default/pods")
        return found["status"]["phase"]

    assert run_world(scenario) == "Running"


def test_custom_resources_can_be_used_once_they_are_defined(control_plane):
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    control_plane.create(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "widgets.example.com"},
            "spec": {"group": "example.com", "names": names, "scope": "Namespaced", "versions": [version]},
        }
    )
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "size": 3}
    control_plane.wait_until(lambda: control_plane.create(widget))
    assert control_plane.get("Widget", "w")["size"] == 3


def test_an_unknown_kind_is_said_with_what_to_write(control_plane):
    with pytest.raises(LookupError, match='serves no kind "Widget"'):
        control_plane.list("Widget")


def test_a_controller_that_does_not_come_with_kcm_is_refused(control_planes):
    with pytest.raises(ValueError, match="no controller cronjob; there are"):
        control_planes(controllers=("cronjob",))


def stranger(tmp_path, text, *arguments):
    (tmp_path / "test_stranger.py").write_text(textwrap.dedent(text))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--strict-markers", *arguments]
    return subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False, env=environment
    )


def test_a_project_that_knows_nothing_of_kcm_has_the_fixture(tmp_path):
    done = stranger(
        tmp_path,
        """
        import pytest

        @pytest.mark.control_plane(nodes=0)
        def test_it(control_plane):
            assert control_plane.list("Namespace")
        """,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_a_project_that_does_not_ask_for_it_does_not_pay_for_it(tmp_path):
    done = stranger(
        tmp_path,
        """
        import sys

        def test_it():
            heavy = {"kcm.sandbox", "kcm.manager", "kcm.testing.control_plane", "kubernetes", "msgspec"}
            assert "kcm.testing.plugin" in sys.modules
            assert not heavy & set(sys.modules)
        """,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_a_marker_with_a_setting_that_does_not_exist_is_an_error_that_names_it(tmp_path):
    done = stranger(
        tmp_path,
        """
        import pytest

        @pytest.mark.control_plane(node=0)
        def test_it(control_plane):
            pass
        """,
    )
    assert done.returncode == 1
    assert "node" in done.stdout
    assert "nodes, speed" in done.stdout
