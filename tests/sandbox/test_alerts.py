"""Every alert fires in its fault, on what a daemon's own /metrics say, and none on an ordinary day.

A world in virtual time is scraped every quarter of a minute, as the ServiceMonitor says.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from kcm import Controller, Done, primary
from kcm.base.errors import ConfigurationError
from kcm.config.schema import Configuration
from kcm.manager.reload import Desired
from kcm.manager.usage import Usage
from kcm.objects import ConfigMap, Resource
from kcm.sandbox.api.faults import Fault, Refuse, SilenceWatch
from kcm.testing.virtual import VirtualLoop, run
from kcm.testing.world import WORKLOADS, Daemon, World, deployment, quick_configuration, replica_set
from tools.alerts.evaluation import Rule, Samples, evaluate, firing
from tools.alerts.language import labels_named, parse, selectors
from tools.alerts.promtool import query_test, rule_file, unit_test
from tools.reference.metrics import Described, metrics

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "deploy" / "components" / "monitoring"
HPA = {"hpa": "controllers.hpa:HorizontalPodAutoscalerController"}
SCRAPE_SECONDS = 15
# What Prometheus itself adds.
TARGET = {"job", "pod", "namespace", "instance"}
SETS = "/apis/apps/v1/namespaces/default/replicasets"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
MAPS = "/api/v1/namespaces/default/configmaps"


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((MONITORING / "prometheusrule.yaml").read_text(encoding="utf-8"))
    return [rule for group in document["spec"]["groups"] for rule in group["rules"]]


RULES = [Rule.read(rule) for rule in rules()]


# The world, scraped.


class Scraper:
    """Scrapes the daemons of a world into samples."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.samples = Samples()
        self._daemons: dict[str, Daemon] = {}

    def target(self, name: str, daemon: Daemon) -> Daemon:
        self._daemons[name] = daemon
        return daemon

    async def watch(self, seconds: float) -> None:
        """Let time pass, and scrape."""
        end = self.world.clock.monotonic() + seconds
        while self.world.clock.monotonic() < end:
            await self.scrape()
            await self.world.clock.sleep(SCRAPE_SECONDS)

    async def scrape(self) -> None:
        now = self.world.clock.monotonic()
        self.samples.moments.append(now)
        for name, daemon in self._daemons.items():
            target = {"job": "kcm", "pod": name}
            self.samples.add(now, "up", target, float(not daemon.ended.is_set()))
            if daemon.ended.is_set():
                continue
            # What the page is rendered from: reading the text again takes most of the time.
            for family in daemon.manager._exposition._merged().values():
                for (series, labels), value in family.values.items():
                    self.samples.add(now, series, {**target, **dict(labels)}, value)


def page(daemon: Daemon) -> str:
    """Return what a daemon serves at /metrics; there are no sockets in virtual time."""
    return daemon.manager._exposition.render().decode()


def configured(qps: float = 0.0, namespace: str = "kube-system") -> Configuration:
    plain = quick_configuration()
    replace = msgspec.structs.replace
    return replace(
        plain,
        client=replace(plain.client, qps=qps, burst=1 if 0 < qps < 1 else 30),
        leader_election=replace(plain.leader_election, resource_namespace=namespace),
    )


# Controllers that do what goes wrong.


class Quiet(Controller[ConfigMap, ConfigMap]):
    """Looks, and does nothing."""

    name = "quiet"
    watches = (primary(ConfigMap),)
    workers = 1

    def observe(self, cache: Any, key: Any) -> Any:
        return cache.get(ConfigMap, key)

    async def reconcile(self, ctx: Any, seen: Any) -> Any:
        return Done()


class Slow(Quiet):
    """Takes minutes for each."""

    name = "slow"

    async def reconcile(self, ctx: Any, seen: Any) -> Any:
        await asyncio.sleep(250)
        return Done()


class Raises(Quiet):
    """Has a bug."""

    name = "raises"

    async def reconcile(self, ctx: Any, seen: Any) -> Any:
        raise LookupError("a bug")


class Misread(Resource[Any], frozen=True):
    """Takes a ConfigMap's data for a number."""

    api = "v1"
    kind = "ConfigMap"
    plural = "configmaps"
    data: int = 0


class Misreads(Controller[Misread, Misread]):
    """Watches what it cannot read."""

    name = "misreads"
    watches = (primary(Misread),)

    def observe(self, cache: Any, key: Any) -> Any:
        return cache.get(Misread, key)

    async def reconcile(self, ctx: Any, seen: Any) -> Any:
        return Done()


@pytest.fixture(autouse=True)
def importable() -> Iterator[None]:
    """Let hosts find these controllers by name, as they find anybody's."""
    module = ModuleType("alerting_controllers")
    for controller in (Quiet, Slow, Raises, Misreads):
        setattr(module, controller.__name__, controller)
    sys.modules[module.__name__] = module
    yield
    del sys.modules[module.__name__]


def own(controller: type[Controller[Any, Any]]) -> dict[str, str]:
    return {controller.name: f"alerting_controllers:{controller.__name__}"}


# What goes wrong, and what is said about it.

Scenario = Callable[[Scraper], Awaitable[None]]


async def all_gone(stage: Scraper) -> None:
    daemon = stage.target("a", stage.world.start())
    await stage.watch(60)
    await daemon.stop()
    await stage.watch(180)


async def nobody_may_lead(stage: Scraper) -> None:
    stage.world.api.faults.add(Fault(Refuse(503), "create", "leases", agent="kcm"))
    stage.target("a", stage.world.start())
    await stage.watch(180)


async def two_lead(stage: Scraper) -> None:
    stage.target("a", stage.world.start(identity="a"))
    stage.world.configuration = configured(namespace="default")
    stage.target("b", stage.world.start(identity="b"))
    await stage.watch(180)


async def the_lease_is_lost_again_and_again(stage: Scraper) -> None:
    stage.target("a", stage.world.start())
    await stage.watch(60)
    for _ in range(4):
        for verb in ("patch", "update", "get"):
            stage.world.api.faults.add(Fault(Refuse(503), verb, "leases", agent="kcm"))
        await stage.watch(30)
        stage.world.api.faults.clear()
        await stage.watch(60)


async def a_standby_cannot_read_the_lease(stage: Scraper) -> None:
    stage.target("a", stage.world.start(identity="a"))
    await stage.watch(30)
    stage.world.api.faults.add(Fault(SilenceWatch(lines=1), "watch", "leases", agent=r"\(b\)"))
    stage.target("b", stage.world.start(identity="b"))
    await stage.watch(30)
    stage.world.api.faults.add(Fault(Refuse(503), "get", "leases", agent=r"\(b\)"))
    await stage.watch(240)


async def the_loop_is_blocked_again_and_again(stage: Scraper) -> None:
    stage.target("a", stage.world.start())
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    for _ in range(20):
        await stage.watch(30)
        loop.block(4)


async def a_host_falls_silent(stage: Scraper) -> None:
    daemon = stage.target("a", stage.world.start())
    await stage.watch(60)
    daemon.launcher.handles[0].mute()
    await stage.watch(120)


async def a_host_reads_slowly(stage: Scraper) -> None:
    daemon = stage.target("a", stage.world.start())
    await stage.watch(60)
    daemon.launcher.handles[0].delay(20)
    await stage.watch(600)


async def a_host_uses_too_much(stage: Scraper) -> None:
    limits = msgspec.structs.replace(stage.world.configuration.hosts.limits, memory="64Mi")
    hosts = msgspec.structs.replace(stage.world.configuration.hosts, limits=limits)
    stage.world.configuration = msgspec.structs.replace(stage.world.configuration, hosts=hosts)
    daemon = stage.target("a", stage.world.start())
    for mebibytes in (50, 100):
        await stage.watch(60)
        daemon.launcher.handles[0].used = Usage(mebibytes * 1024 * 1024, 1.0, 10, 0)
    await stage.watch(60)


async def the_server_goes_away(stage: Scraper) -> None:
    stage.target("a", stage.world.start())
    await stage.watch(60)
    stage.world.api.faults.add(Fault(SilenceWatch(lines=0), "watch", agent="kcm"))
    for verb in ("list", "watch"):
        stage.world.api.faults.add(Fault(Refuse(503), verb, "pods", agent="kcm"))
    await stage.watch(1200)


async def a_host_dies_again_and_again(stage: Scraper) -> None:
    daemon = stage.target("a", stage.world.start())
    for _ in range(6):
        await stage.watch(60)
        for handle in daemon.launcher.handles:
            handle.kill()


async def pods_may_not_be_listed(stage: Scraper) -> None:
    for verb in ("list", "watch"):
        stage.world.api.faults.add(Fault(Refuse(403), verb, "pods", agent="kcm"))
    stage.target("a", stage.world.start())
    await stage.watch(900)


async def watches_fall_silent(stage: Scraper) -> None:
    stage.target("a", stage.world.start())
    stage.world.api.faults.add(Fault(SilenceWatch(lines=2), "watch", "pods", agent="kcm"))
    await stage.watch(1500)


async def a_type_does_not_fit(stage: Scraper) -> None:
    await stage.world.call("POST", MAPS, {"metadata": {"name": "odd"}, "data": {"a": "b"}})
    stage.target("a", stage.world.start(own(Misreads)))
    await stage.watch(420)


async def every_reconcile_takes_minutes(stage: Scraper) -> None:
    for number in range(30):
        await stage.world.call("POST", MAPS, {"metadata": {"name": f"map-{number}"}})
    stage.target("a", stage.world.start(own(Slow)))
    await stage.watch(1200)


async def pods_cannot_be_made(stage: Scraper) -> None:
    stage.world.api.faults.add(Fault(Refuse(500), "create", "pods", agent="kcm"))
    stage.target("a", stage.world.start())
    await stage.world.call("POST", SETS, replica_set("web", 1))
    await stage.watch(1800)


async def a_controller_has_a_bug(stage: Scraper) -> None:
    stage.target("a", stage.world.start(own(Raises)))
    await stage.watch(60)
    await stage.world.call("POST", MAPS, {"metadata": {"name": "one"}})
    await stage.watch(300)


async def the_server_fails_half_the_time(stage: Scraper) -> None:
    stage.target("a", stage.world.start())
    await stage.watch(30)
    for verb in ("create", "list", "watch", "get", "patch"):
        stage.world.api.faults.add(Fault(Refuse(500), verb, agent="kcm"))
    await stage.watch(900)


async def the_rate_is_set_too_low(stage: Scraper) -> None:
    stage.world.configuration = configured(qps=0.5)
    stage.target("a", stage.world.start())
    await stage.world.call("POST", SETS, replica_set("web", 900))
    await stage.watch(1300)


async def nobody_records_events(stage: Scraper) -> None:
    stage.target("a", stage.world.start(recorder=False))
    await stage.watch(60)
    for number in range(40):
        await stage.world.call("POST", SETS, replica_set(f"web-{number}", 1))
        await stage.watch(15)


async def no_metrics_can_be_had(stage: Scraper) -> None:
    stage.world.api.faults.add(Fault(Refuse(503), "list", "pods", agent="/hpa$"))
    stage.target("a", stage.world.start({**WORKLOADS, **HPA}))
    await autoscaled(stage.world)
    await stage.watch(1300)


async def the_file_becomes_a_wrong_one(stage: Scraper) -> None:
    def understand(text: bytes) -> Desired:
        raise ConfigurationError("kcm.yaml", "client.qsp", "is unknown")

    daemon = stage.target("a", stage.world.start())
    # Any file whose text is not the one in force.
    daemon.manager.follow(str(MONITORING / "kcm.json"), b"", understand)
    await stage.watch(420)


FAULTS: dict[str, Scenario] = {
    "KcmDown": all_gone,
    "KcmNoLeader": nobody_may_lead,
    "KcmSeveralLeaders": two_lead,
    "KcmLeadershipFlapping": the_lease_is_lost_again_and_again,
    "KcmLeaseOld": a_standby_cannot_read_the_lease,
    "KcmNotReady": pods_may_not_be_listed,
    "KcmLoopLate": the_loop_is_blocked_again_and_again,
    "KcmHostSilent": a_host_falls_silent,
    "KcmHostCrashLooping": a_host_dies_again_and_again,
    "KcmHostLimited": a_host_uses_too_much,
    "KcmFeedBehind": a_host_reads_slowly,
    "KcmWatchInTrouble": pods_may_not_be_listed,
    "KcmWatchSilent": watches_fall_silent,
    "KcmWatchOld": the_server_goes_away,
    "KcmUnreadableObjects": a_type_does_not_fit,
    "KcmQueueNotDraining": every_reconcile_takes_minutes,
    "KcmReconcileStuck": every_reconcile_takes_minutes,
    "KcmReconcilesFail": pods_cannot_be_made,
    "KcmReconcilePanics": a_controller_has_a_bug,
    "KcmRequestsForbidden": pods_may_not_be_listed,
    "KcmApiServerFailing": the_server_fails_half_the_time,
    "KcmRateLimited": the_rate_is_set_too_low,
    "KcmEventsDropped": nobody_records_events,
    "KcmAutoscalersBlind": no_metrics_can_be_had,
    "KcmConfigurationRefused": the_file_becomes_a_wrong_one,
}


async def autoscaled(world: World) -> None:
    web = deployment("web", 1)
    web["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "500m"}}
    await world.call("POST", DEPLOYMENTS, web)
    target = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 1,
        "maxReplicas": 5,
        "metrics": [{"type": "Resource", "resource": target}],
    }
    path = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
    await world.call("POST", path, {"metadata": {"name": "web"}, "spec": spec})


async def an_ordinary_day(stage: Scraper) -> None:
    """Two processes; work comes, is rolled out and scaled; the leader is replaced in order."""
    controllers = {**WORKLOADS, **HPA}
    stage.world.configuration = configured(qps=20.0)
    first = stage.target("a", stage.world.start(controllers, identity="a"))
    stage.target("b", stage.world.start(controllers, identity="b"))
    await stage.watch(60)
    await autoscaled(stage.world)
    await stage.world.call("POST", DEPLOYMENTS, deployment("roll", 20))
    await stage.watch(300)
    containers = [{"name": "c", "image": "example/roll:2"}]
    changes = {"spec": {"template": {"spec": {"containers": containers}}}}
    await stage.world.patch(f"{DEPLOYMENTS}/roll", changes)
    await stage.watch(300)
    await first.stop()
    await stage.watch(900)


_played: dict[Scenario, Samples] = {}


def played(scenario: Scenario) -> Samples:
    """Return what was scraped in a scenario; each is played once."""

    async def main() -> Samples:
        async with World(configuration=configured()) as world:
            stage = Scraper(world)
            await scenario(stage)
            return stage.samples

    if scenario not in _played:
        _played[scenario] = run(main())
    return _played[scenario]


# Alerts.


@pytest.mark.parametrize("alert", RULES, ids=lambda rule: rule.name)
def test_an_alert_fires_in_its_fault(alert: Rule) -> None:
    assert firing([alert], played(FAULTS[alert.name])) == {alert.name}


def test_no_alert_fires_on_an_ordinary_day() -> None:
    assert firing(RULES, played(an_ordinary_day)) == set()


@pytest.fixture(scope="session")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not on PATH")
    return found


def checked(*command: str, text: str = "") -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def judged(promtool: str, folder: Path, test: dict[str, Any]) -> None:
    (folder / "rules.yaml").write_text(yaml.safe_dump(rule_file(rules())))
    file = {"rule_files": ["rules.yaml"], "evaluation_interval": f"{SCRAPE_SECONDS}s", "tests": [test]}
    (folder / "tests.yaml").write_text(yaml.safe_dump(file, width=10**9))
    checked(promtool, "test", "rules", str(folder / "tests.yaml"))


@pytest.mark.parametrize("alert", RULES, ids=lambda rule: rule.name)
def test_prometheus_itself_lets_an_alert_fire_in_its_fault(
    alert: Rule, promtool: str, tmp_path: Path
) -> None:
    samples = played(FAULTS[alert.name])
    judged(promtool, tmp_path, unit_test(alert.name, [alert], samples, {alert.name}, SCRAPE_SECONDS))


def test_prometheus_itself_lets_no_alert_fire_on_an_ordinary_day(promtool: str, tmp_path: Path) -> None:
    test = unit_test("an ordinary day", RULES, played(an_ordinary_day), set(), SCRAPE_SECONDS)
    judged(promtool, tmp_path, test)
    checked(promtool, "check", "rules", str(tmp_path / "rules.yaml"))


def test_prometheus_itself_finds_what_the_dashboard_asks_for(promtool: str, tmp_path: Path) -> None:
    judged(promtool, tmp_path, query_test("board", queries(), played(an_ordinary_day), SCRAPE_SECONDS))


def test_the_page_says_what_was_judged() -> None:
    async def main() -> None:
        async with World(configuration=configured()) as world:
            stage = Scraper(world)
            daemon = stage.target("a", world.start())
            await stage.watch(30)
            await stage.scrape()
            told = {
                (sample.name, frozenset({"job": "kcm", "pod": "a", **sample.labels}.items())): sample.value
                for family in text_string_to_metric_families(page(daemon))
                for sample in family.samples
            }
            judged = {
                (name, labels): values[-1][1]
                for name, series in stage.samples.series.items()
                for labels, values in series.items()
                if name != "up"
            }
            # Reading them costs CPU time, and memory.
            assert {key for key in told if told[key] != judged[key]} <= {
                key for key in judged if key[0].startswith("kcm_process_")
            }
            assert told.keys() == judged.keys()

    run(main())


def test_prometheus_finds_nothing_wrong_with_the_page(promtool: str) -> None:
    pages: list[str] = []

    async def main() -> None:
        async with World(configuration=configured()) as world:
            daemon = world.start({**WORKLOADS, **HPA})
            await world.call("POST", DEPLOYMENTS, deployment("roll", 3))
            await autoscaled(world)
            await world.clock.sleep(60)
            pages.append(page(daemon))

    run(main())
    checked(promtool, "check", "metrics", text=pages[0])


def test_every_alert_says_how_bad_it_is_and_has_a_runbook() -> None:
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs/runbooks.md").read_text(), re.MULTILINE)
    assert headings == [rule["alert"] for rule in rules()]
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning", "info")


# Names: in rules, on the dashboard, in the reference, in /metrics.


@cache
def shown() -> dict[str, Described]:
    """Return the metric behind each name of a sample."""
    return {name: each for each in metrics().values() for name in each.samples}


def queries() -> list[str]:
    """Return every query of the dashboard, its variables replaced."""
    board = json.loads((MONITORING / "kcm.json").read_text())
    found = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    return [text.replace("$__rate_interval", "5m") for text in found]


@pytest.mark.parametrize("text", [*(rule["expr"] for rule in rules()), *queries()])
def test_a_query_names_what_there_is(text: str) -> None:
    known = shown()
    expression = parse(text)
    for selector in selectors(expression):
        assert selector.name == "up" or selector.name in known, selector.name
        assert ("job", "=", "kcm") in selector.matchers, "another daemon's metrics have the same names"
        allowed = labels_of(selector.name, known)
        assert {label for label, _, _ in selector.matchers} <= allowed
    for label, selector in labels_named(expression):
        assert label in labels_of(selector.name, known), f"{selector.name} has no {label}"


def labels_of(name: str, known: Mapping[str, Described]) -> set[str]:
    own = set(known[name].labels) if name in known else set()
    return own | TARGET | ({"le"} if name.endswith("_bucket") else set())


@pytest.mark.parametrize("text", queries())
def test_a_query_of_the_dashboard_shows_something_on_an_ordinary_day(text: str) -> None:
    samples = played(an_ordinary_day)
    expression = parse(text)
    assert any(evaluate(expression, samples, moment) for moment in samples.moments), text


def test_the_metrics_of_a_running_daemon_are_those_of_the_reference() -> None:
    known = shown()
    for scenario in (an_ordinary_day, a_host_dies_again_and_again, nobody_records_events):
        for name, series in played(scenario).series.items():
            if name == "up":
                continue
            assert name in known, f"{name} is not in docs/metrics.md"
            for labels in series:
                assert {label for label, _ in labels} <= labels_of(name, known) | {"process"}, name


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    board = json.loads((MONITORING / "kcm.json").read_text())
    assert board["title"]
    assert board["uid"]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    places = [panel["gridPos"] for panel in board["panels"]]
    taken = [
        (x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])
    ]
    assert len(taken) == len(set(taken)), "panels overlap"
    assert all(p["x"] + p["w"] <= 24 for p in places)
