"""Traces of a daemon: reconciles as spans, their requests as children that the server hears of."""

from __future__ import annotations

import asyncio
import json
import sys
from types import ModuleType
from typing import Any, ClassVar

import msgspec
import pytest

from kcm import BlockingController, Done, Plan, primary, writes
from kcm.base.clock import SystemClock
from kcm.base.rng import SeededRng
from kcm.client.api import ApiClient
from kcm.client.credentials import Credentials
from kcm.config.rules import broken_rules
from kcm.config.schema import Configuration, TracingConfig
from kcm.host import process
from kcm.host.messages import Configure
from kcm.host.traces import HostTraces
from kcm.objects import ConfigMap, Key, Pod
from kcm.serving.http import HttpServer, Request, Response
from kcm.telemetry.logging import logger
from kcm.telemetry.metrics import Metrics
from kcm.telemetry.tracing import TraceSettings, continuing
from kcm.testing.loopback import LoopbackTransport
from kcm.testing.virtual import run
from kcm.testing.world import WORKLOADS, World, deployment, quick_configuration

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
ALL = TracingConfig(endpoint="http://collector:4318", sampling_rate_per_million=1_000_000)


class Collector:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    async def handle(self, request: Request) -> Response:
        self.requests.append(request)
        return Response(200, b"{}")

    def spans(self) -> list[dict[str, Any]]:
        found = []
        for request in self.requests:
            for resource in json.loads(request.body)["resourceSpans"]:
                about = attributes(resource["resource"])
                for scope in resource["scopeSpans"]:
                    found += [{**span, "host": about["kcm.host"]} for span in scope["spans"]]
        return found


def attributes(told: dict[str, Any]) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in told["attributes"]}


def a_rollout(tracing: TracingConfig) -> tuple[Collector, list[Request]]:
    """Return what the collector was told and what the API server was asked, in a rollout of three pods."""
    collector, asked = Collector(), []

    async def main() -> None:
        configuration = msgspec.structs.replace(quick_configuration(), tracing=tracing)
        async with World(configuration=configuration) as world:
            serve = world.api.handle

            async def heard(request: Request) -> Response:
                asked.append(request)
                return await serve(request)

            world.api.handle = heard  # type: ignore[method-assign]  # the server, overheard
            daemon = world.start(WORKLOADS)
            daemon.launcher.collect = lambda endpoint: LoopbackTransport(collector.handle)
            await world.call("POST", DEPLOYMENTS, deployment("web", 3))

            async def ready() -> bool:
                found = await world.call("GET", f"{DEPLOYMENTS}/web")
                return bool(found.get("status", {}).get("readyReplicas") == 3)

            await world.until(ready)
            await asyncio.sleep(10)
            await daemon.stop()

    run(main())
    return collector, asked


def test_a_rollout_is_told_as_reconciles_and_their_requests() -> None:
    collector, asked = a_rollout(ALL)
    assert {request.path for request in collector.requests} == {"/v1/traces"}
    assert not any("authorization" in request.headers for request in collector.requests)
    spans = collector.spans()
    reconciles = {span["spanId"]: span for span in spans if "parentSpanId" not in span}
    requests = [span for span in spans if "parentSpanId" in span]
    for span in reconciles.values():
        told = attributes(span)
        assert span["name"] == f"reconcile {told['kcm.controller']}"
        assert told["kcm.controller"] == span["host"]
        assert told["kcm.key"].startswith(("default/web", "kube-system/kcm"))
        assert told["kcm.result"] in ("success", "error", "requeue", "requeue_after")
        assert told["kcm.queue_seconds"] >= 0
        assert ("status" in span) == (told["kcm.result"] == "error")
    for span in requests:
        assert reconciles[span["parentSpanId"]]["traceId"] == span["traceId"]
        assert span["startTimeUnixNano"] >= reconciles[span["parentSpanId"]]["startTimeUnixNano"]
    # The server was told of every request's own span, and of no other.
    told_to_server = [request.headers["traceparent"] for request in asked if "traceparent" in request.headers]
    assert sorted(told_to_server) == sorted(f"00-{span['traceId']}-{span['spanId']}-01" for span in requests)
    pods = [span for span in requests if attributes(span)["url.path"] == "/api/v1/namespaces/default/pods"]
    assert [attributes(span)["http.response.status_code"] for span in pods] == ["201"] * 3
    controllers = {attributes(span)["kcm.controller"] for span in reconciles.values()}
    assert controllers >= {"replicaset", "deployment"}


def test_log_records_of_a_traced_reconcile_name_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    log = logger("controller.c").bind(key="default/web")
    with caplog.at_level("INFO"), continuing(f"00-{'ab' * 16}-{'cd' * 8}-01"):
        log.info("made", size=3)
    log.warning("untraced")
    fields = [record.fields for record in caplog.records]  # type: ignore[attr-defined]  # ours
    assert fields == [{"key": "default/web", "size": 3, "trace": "ab" * 16}, {"key": "default/web"}]


def test_by_default_nobody_is_told_anything() -> None:
    collector, asked = a_rollout(TracingConfig())
    assert collector.requests == []
    assert not any("traceparent" in request.headers for request in asked)
    assert any(request.method == "POST" for request in asked)


def test_half_a_configuration_is_refused() -> None:
    def keys(tracing: TracingConfig) -> list[str]:
        return [broken.key for broken in broken_rules(Configuration(tracing=tracing))]

    assert keys(ALL) == []
    assert keys(TracingConfig(endpoint="http://x")) == ["tracing.samplingRatePerMillion"]
    assert keys(TracingConfig(sampling_rate_per_million=1)) == ["tracing.endpoint"]
    assert keys(TracingConfig(endpoint="x:4317", sampling_rate_per_million=1)) == ["tracing.endpoint"]


def test_over_real_sockets_the_collector_and_the_server_get_what_they_should() -> None:
    collector, server = Collector(), Collector()

    async def main() -> None:
        pages = HttpServer(collector.handle), HttpServer(server.handle)
        ports = [await page.start("127.0.0.1", 0) for page in pages]
        settings = TraceSettings(f"http://127.0.0.1:{ports[0]}", 1_000_000)
        configure = Configure(
            *("h", 1, "kcm", (), Credentials(server=f"http://127.0.0.1:{ports[1]}"), 5.0, 5.0, 4),
            *(0.0, "info", "json", 1.0),
            tracing=settings,
        )
        metrics, clock, rng = Metrics(), SystemClock(), SeededRng()
        traces = HostTraces(configure, process._collect, metrics, clock, rng)
        assert traces.tracer is not None
        transport = process._collect(configure.credentials.server)
        client = ApiClient(transport, user_agent="kcm", metrics=metrics, clock=clock, rng=rng)
        with traces.tracer.reconciling("c", "default/web", 0.0):
            await client.get(Pod.resource_type(), Key("default", "web"))
        await client.get(Pod.resource_type(), Key("default", "web"))
        await traces.finish()
        await transport.close()
        for page in pages:
            await page.stop()

    asyncio.run(main())
    child, _ = collector.spans()
    (posted,) = collector.requests
    assert (posted.method, posted.path) == ("POST", "/v1/traces")
    assert posted.headers["content-type"] == "application/json"
    traced, untraced = server.requests
    assert traced.headers["traceparent"] == f"00-{child['traceId']}-{child['spanId']}-01"
    assert "traceparent" not in untraced.headers


class Blocks(BlockingController[ConfigMap, ConfigMap]):
    """Writes from a thread, and tells what it would send to something else."""

    name = "blocks"
    watches = (primary(ConfigMap),)
    writes = writes(ConfigMap, "patch")
    told: ClassVar[list[str]] = []

    def observe(self, cache: Any, key: Any) -> Any:
        return cache.get(ConfigMap, key)

    def reconcile_blocking(self, ctx: Any, seen: Any) -> Any:
        if not seen.data:
            self.told.append(ctx.traceparent)
            ctx.apply(Plan.patch(seen, {"data": {"seen": "yes"}}, because="it was looked at"))
        return Done()


def test_a_blocking_reconcile_is_traced_like_any_other() -> None:
    collector = Collector()
    module = ModuleType("traced_controllers")
    module.Blocks = Blocks  # type: ignore[attr-defined]  # found by name, as anybody's
    sys.modules[module.__name__] = module

    async def main() -> None:
        configuration = msgspec.structs.replace(quick_configuration(), tracing=ALL)
        async with World(configuration=configuration, nodes=0) as world:
            daemon = world.start({"blocks": "traced_controllers:Blocks"})
            daemon.launcher.collect = lambda endpoint: LoopbackTransport(collector.handle)
            await world.call("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "one"}})
            await asyncio.sleep(20)
            await daemon.stop()

    try:
        run(main())
    finally:
        del sys.modules[module.__name__]
    (patched,) = (span for span in collector.spans() if span["name"] == "PATCH" and span["host"] == "blocks")
    assert Blocks.told == [f"00-{patched['traceId']}-{patched['parentSpanId']}-01"]
