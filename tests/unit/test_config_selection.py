"""Which controllers run: the flag, the file, the default; names and aliases."""

from __future__ import annotations

import pytest

from kcm.base.errors import ConfigurationError
from kcm.config.aliases import WELL_KNOWN, well_known
from kcm.config.schema import Configuration, ControllerConfig, HostsConfig, LimitsConfig
from kcm.config.selection import Installed, parse_items, select

INSTALLED = (
    Installed("replicaset"),
    Installed("deployment"),
    Installed("hpa"),
    Installed("cleaner", on_by_default=False),
    Installed("mine", aliases=("ours",)),
)


def enabled(flag: str | None, **file: bool) -> str:
    sections = {name: ControllerConfig(enabled=wish) for name, wish in file.items()}
    items = None if flag is None else parse_items(flag)
    return " ".join(select(Configuration(controllers=sections), INSTALLED, items).enabled)


@pytest.mark.parametrize(
    ("flag", "runs"),
    [
        (None, "replicaset deployment hpa mine"),
        ("*", "replicaset deployment hpa mine"),
        ("replicaset", "replicaset"),
        ("*,-hpa", "replicaset deployment mine"),
        ("-hpa,*", "replicaset deployment mine"),
        ("*,cleaner", "replicaset deployment hpa cleaner mine"),
        ("-replicaset,replicaset,hpa", "hpa"),
        ("hpa,-hpa", "hpa"),
        ("-hpa", ""),
        ("replicaset-controller, deployment-controller", "replicaset deployment"),
        ("*,-horizontal-pod-autoscaler-controller", "replicaset deployment mine"),
        ("horizontalpodautoscaling", "hpa"),
        ("ours", "mine"),
        ("*,-daemonset,-podgc", "replicaset deployment hpa mine"),
    ],
)
def test_the_flag_chooses(flag: str | None, runs: str) -> None:
    assert enabled(flag) == runs


@pytest.mark.parametrize(
    ("flag", "runs"),
    [
        (None, "deployment hpa cleaner mine"),
        ("*", "deployment hpa cleaner mine"),
        ("*,replicaset", "replicaset deployment hpa cleaner mine"),
        ("*,-cleaner", "deployment hpa mine"),
        ("replicaset", "replicaset"),
    ],
)
def test_the_file_decides_where_the_flag_leaves_it_open(flag: str | None, runs: str) -> None:
    assert enabled(flag, replicaset=False, cleaner=True) == runs


def test_what_does_not_run_says_why() -> None:
    chosen = select(
        Configuration(controllers={"deployment": ControllerConfig(enabled=False)}),
        INSTALLED,
        parse_items("*,-hpa"),
    )
    assert chosen.disabled == {
        "deployment": "disabled in the configuration",
        "hpa": "disabled by --controllers",
        "cleaner": "off by default",
    }
    only = select(Configuration(), INSTALLED, parse_items("mine"))
    assert only.disabled["hpa"] == "not named by --controllers"


def test_what_the_flag_sets_aside_of_the_file_is_told() -> None:
    sections = {
        "deployment": ControllerConfig(enabled=False),
        "replicaset-controller": ControllerConfig(enabled=True),
        "hpa": ControllerConfig(enabled=True, workers=7),
        "mine": ControllerConfig(workers=7),
    }
    chosen = select(Configuration(controllers=sections), INSTALLED, parse_items("deployment,hpa"))
    assert chosen.overruled == ("deployment", "replicaset")
    assert select(Configuration(controllers=sections), INSTALLED).overruled == ()


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("replicasett", "there is no controller 'replicasett'; did you mean replicaset?"),
        ("*,-nothing-like-it", "there is no controller 'nothing-like-it'"),
        ("daemonset", "daemonset is a controller of kube-controller-manager that is not installed"),
        ("", "separated by commas"),
        ("a,,b", "separated by commas"),
        ("*,-", "separated by commas"),
    ],
)
def test_a_name_that_means_nothing_is_refused(flag: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^--controllers: ") as caught:
        enabled(flag)
    assert says in caught.value.reason


def test_a_section_under_a_well_known_name_is_found_under_the_installed_one() -> None:
    given = Configuration(controllers={"replicaset-controller": ControllerConfig(workers=7)})
    assert select(given, INSTALLED).configuration.controller("replicaset").workers == 7


def test_one_controller_under_two_names_is_refused() -> None:
    given = Configuration(
        controllers={"hpa": ControllerConfig(), "horizontalpodautoscaling": ControllerConfig()}
    )
    with pytest.raises(ConfigurationError, match="is the same controller as hpa"):
        select(given, INSTALLED, where="kcm.yaml")


def test_two_controllers_may_not_claim_one_name() -> None:
    with pytest.raises(ConfigurationError, match="is claimed by a and b"):
        select(Configuration(), [Installed("a", ("x",)), Installed("b", ("x",))])


def test_every_well_known_name_means_one_controller() -> None:
    every = [name for full, short in WELL_KNOWN.items() for name in (full, *short)]
    assert len(every) == len(set(every))
    assert len(WELL_KNOWN) == 52
    assert well_known("podgc") == {"podgc", "pod-garbage-collector-controller"}


def test_a_section_that_says_where_its_controller_is_adds_it() -> None:
    own = ControllerConfig(implementation="team.module:Controller")
    chosen = select(Configuration(controllers={"team": own}), INSTALLED)
    assert chosen.enabled == ("replicaset", "deployment", "hpa", "mine", "team")


def test_a_section_may_name_another_implementation_of_an_installed_controller() -> None:
    own = ControllerConfig(implementation="team.module:Controller")
    chosen = select(Configuration(controllers={"replicaset-controller": own}), INSTALLED)
    assert chosen.enabled == ("replicaset", "deployment", "hpa", "mine")
    assert chosen.configuration.controller("replicaset").implementation == own.implementation


@pytest.mark.parametrize(
    ("limited", "reason"),
    [
        pytest.param("replicaset", "", id="a controller in a host of its own"),
        pytest.param("shared", "", id="a host that two share"),
        pytest.param("mine", "", id="a controller of the file"),
        pytest.param("cronjob", "", id="one that is off: it may be turned on"),
        pytest.param("deployment", "controller deployment runs in the host shared: name that", id="inside"),
        pytest.param(
            "garbage-collector-controller",
            "controller garbagecollector runs in the host garbagecollector: name that",
            id="an alias",
        ),
        pytest.param("replicasets", "there is no host 'replicasets'; did you mean replicaset?", id="nobody"),
    ],
)
def test_a_limit_is_one_of_a_host_that_there_is(limited: str, reason: str) -> None:
    sections = {
        "deployment": ControllerConfig(process="shared"),
        "hpa": ControllerConfig(process="shared"),
        "mine": ControllerConfig(implementation="mine:Mine"),
        "cronjob": ControllerConfig(enabled=False, implementation="c:C"),
    }
    hosts = HostsConfig(limits_of={limited: LimitsConfig(memory="1Gi")})
    configuration = Configuration(controllers=sections, hosts=hosts)
    installed = [Installed(name) for name in ("replicaset", "deployment", "hpa", "garbagecollector")]
    if not reason:
        select(configuration, installed)
        return
    with pytest.raises(ConfigurationError) as refused:
        select(configuration, installed, where="kcm.yaml")
    assert str(refused.value) == f"kcm.yaml: hosts.limitsOf.{limited}: {reason}"
