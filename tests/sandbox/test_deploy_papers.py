"""What is shipped for a cluster fits what kcm does. Roles: test_access_least_privilege.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kcm.config.loader import check_config, load
from kcm.config.schema import Configuration
from kcm.config.selection import Installed, select

ROOT = Path(__file__).parents[2]
BASE = ROOT / "deploy" / "base"


def documents(name: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all((BASE / name).read_text(encoding="utf-8")) if each]


@pytest.mark.parametrize(
    "path", ["deploy/base/kcm.yaml", "config/kcm.yaml", "examples/01_namespace_team/kcm.yaml"], ids=str
)
def test_a_shipped_configuration_file_is_accepted(path: str) -> None:
    check_config(ROOT / path)


def test_the_configuration_with_every_field_changes_none() -> None:
    assert load(ROOT / "config" / "kcm.yaml") == Configuration()


def test_the_pods_are_probed_where_kcm_serves_and_get_the_time_it_takes_to_stop() -> None:
    (deployment,) = documents("deployment.yaml")
    configuration = load(BASE / "kcm.yaml")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["ports"][0]["containerPort"] == configuration.serving.port
    assert configuration.serving.address == "0.0.0.0"
    assert pod["terminationGracePeriodSeconds"] > configuration.hosts.stop_grace + 10
    assert (
        configuration.leader_election.resource_namespace == documents("namespace.yaml")[0]["metadata"]["name"]
    )


def test_nothing_that_a_cluster_has_already_runs_before_somebody_enables_it() -> None:
    (deployment,) = documents("deployment.yaml")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["args"] == ["--config=/etc/kcm/kcm.yaml"]
    installed = [Installed(name) for name in ("replicaset", "deployment", "hpa", "eventrecorder", "yours")]
    for overlay in ("ha", "single"):
        file = load(ROOT / "deploy" / "overlays" / overlay / "kcm.yaml")
        assert select(file, installed).enabled == ("yours",)


def test_the_pods_pass_the_restricted_level_and_have_a_root_they_cannot_write() -> None:
    (deployment,) = documents("deployment.yaml")
    pod = deployment["spec"]["template"]["spec"]
    assert documents("namespace.yaml")[0]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == (
        "restricted"
    )
    context = pod["securityContext"]
    assert context["runAsNonRoot"]
    assert context["runAsUser"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert all({"configMap", "emptyDir"} & volume.keys() for volume in pod["volumes"])
    for container in pod["containers"]:
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert own["readOnlyRootFilesystem"] is True
        probes = [probe["httpGet"] for name, probe in container.items() if name.endswith("Probe")]
        assert len(probes) == 3
        assert not any("host" in probe for probe in probes)
        assert container["resources"]["limits"]["memory"]


def test_an_update_has_a_standby_before_the_leader_goes() -> None:
    (deployment,) = documents("deployment.yaml")
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_the_account_of_the_pods_gives_its_token_to_nobody_else() -> None:
    (account,) = documents("serviceaccount.yaml")
    assert account["automountServiceAccountToken"] is False
    (deployment,) = documents("deployment.yaml")
    assert deployment["spec"]["template"]["spec"]["automountServiceAccountToken"] is True
