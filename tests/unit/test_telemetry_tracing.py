"""Trace context: what is taken from a header, what goes into one, and what a collector is told."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcm.base.rng import SeededRng
from kcm.client.transport import Unanswered
from kcm.telemetry import otlp
from kcm.telemetry.metrics import Metrics
from kcm.telemetry.otlp import SpanExporter
from kcm.telemetry.tracing import (
    PER_MILLION,
    Span,
    Tracer,
    continuing,
    current,
    parse_traceparent,
    traceparent,
)
from kcm.testing.virtual import VirtualClock, run

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADER = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-01")


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01"),
        (f"00-{TRACE}-{PARENT}-00", f"00-{TRACE}-{PARENT}-00"),
        (f" 00-{TRACE}-{PARENT}-01 ", f"00-{TRACE}-{PARENT}-01"),
        # A later version may say more, of which only this is known.
        (f"cc-{TRACE}-{PARENT}-09-what", f"00-{TRACE}-{PARENT}-01"),
        (f"00-{TRACE}-{PARENT}-01-what", ""),
        (f"ff-{TRACE}-{PARENT}-01", ""),
        (f"00-{'0' * 32}-{PARENT}-01", ""),
        (f"00-{TRACE}-{'0' * 16}-01", ""),
        (f"00-{TRACE.upper()}-{PARENT}-01", ""),
        (f"00-{TRACE}-{PARENT}", ""),
        ("", ""),
    ],
)
def test_a_header_is_understood_as_the_specification_says(header: str, known: str) -> None:
    assert parse_traceparent(header) == known


@given(st.text(max_size=80))
def test_whatever_a_header_holds_it_is_none_or_a_right_one(header: str) -> None:
    known = parse_traceparent(header)
    assert known == "" or parse_traceparent(known) == known


def test_what_came_from_outside_is_passed_on_as_it_came() -> None:
    with continuing(f"00-{TRACE}-{PARENT}-01"):
        assert traceparent() == f"00-{TRACE}-{PARENT}-01"
        span = current()
        assert span is not None
        assert span.request("GET", "/x").traceparent == traceparent()
    with continuing("nonsense"):
        assert current() is None
    assert traceparent() == ""


def traced(scene: Callable[[Tracer], Any], per_million: int = PER_MILLION) -> list[Span]:
    spans: list[Span] = []

    async def main() -> None:
        await scene(Tracer(per_million, spans.append, VirtualClock(), SeededRng(1)))

    run(main())
    return spans


def test_requests_are_children_of_their_reconcile_also_from_tasks_of_it() -> None:
    headers = []

    async def request() -> None:
        span = current()
        assert span is not None
        asked = span.request("POST", "/api/v1/pods?dryRun=All")
        headers.append(asked.traceparent)
        await asyncio.sleep(2)
        asked.answered(409)

    async def scene(tracer: Tracer) -> None:
        with tracer.reconciling("replicaset", "default/web", 0.5):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(request())
                tasks.create_task(request())
        assert current() is None

    first, second, whole = traced(scene)
    assert whole.attributes == {
        "kcm.controller": "replicaset",
        "kcm.key": "default/web",
        "kcm.queue_seconds": 0.5,
    }
    assert (whole.name, whole.parent, whole.error) == ("reconcile replicaset", "", None)
    assert first.attributes == {
        "http.request.method": "POST",
        "url.path": "/api/v1/pods",
        "url.query": "dryRun=All",
        "http.response.status_code": 409,
    }
    for span, header in zip((first, second), headers, strict=True):
        assert (span.trace, span.parent, span.error) == (whole.trace, whole.id, "")
        assert HEADER.fullmatch(header)
        assert header == f"00-{whole.trace}-{span.id}-01"
        assert (span.ended - span.begun).total_seconds() == 2
    assert len({first.id, second.id, whole.id}) == 3


def test_a_share_of_the_reconciles_is_traced_and_the_others_cost_no_span() -> None:
    async def scene(tracer: Tracer) -> None:
        for _ in range(4000):
            with tracer.reconciling("c", "a/b", 0.0):
                pass

    assert 300 < len(traced(scene, 100_000)) < 500
    assert traced(scene, 0) == []
    assert len(traced(scene)) == 4000


class Collector:
    """Answers as the test says, and keeps what it took."""

    def __init__(self) -> None:
        self.answers: list[int | Exception] = []
        self.took: list[list[str]] = []

    async def post(self, body: bytes) -> int:
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        (resource,) = json.loads(body)["resourceSpans"]
        (scope,) = resource["scopeSpans"]
        if answer == 200:
            self.took.append([span["name"] for span in scope["spans"]])
        return answer


def exporting(scene: Callable[[Tracer, Collector, SpanExporter, Metrics], Any]) -> None:
    async def main() -> None:
        clock, metrics, collector = VirtualClock(), Metrics(), Collector()
        exporter = SpanExporter(collector.post, {"service.name": "kcm"}, metrics)
        tracer = Tracer(PER_MILLION, exporter.take, clock, SeededRng(1))
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(exporter.run())
            await scene(tracer, collector, exporter, metrics)
            running.cancel()

    run(main())


def spans(tracer: Tracer, count: int, name: str = "c") -> None:
    for _ in range(count):
        with tracer.reconciling(name, "a/b", 0.0):
            pass


def counted(metrics: Metrics) -> dict[str, float]:
    return {
        "".join((name.removeprefix("kcm_trace_spans_"), *(value for _, value in labels))): value
        for family in metrics.read()
        for name, labels, value in family.samples
        if name.startswith("kcm_trace_")
    }


def test_spans_are_sent_after_some_seconds_or_as_a_batch() -> None:
    async def scene(tracer: Tracer, collector: Collector, exporter: SpanExporter, metrics: Metrics) -> None:
        spans(tracer, 3)
        await asyncio.sleep(4.9)
        assert collector.took == []
        await asyncio.sleep(0.2)
        assert list(map(len, collector.took)) == [3]
        spans(tracer, otlp.MOST_AT_ONCE + 1)
        await asyncio.sleep(0.1)
        assert list(map(len, collector.took)) == [3, otlp.MOST_AT_ONCE, 1]
        assert counted(metrics)["exported_total"] == otlp.MOST_AT_ONCE + 4

    exporting(scene)


def test_a_collector_that_is_away_gets_them_when_it_is_back_and_memory_is_bounded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene(tracer: Tracer, collector: Collector, exporter: SpanExporter, metrics: Metrics) -> None:
        collector.answers = [Unanswered("cut"), 503, 429, OSError("refused"), TimeoutError()]
        spans(tracer, 1, "first")
        await asyncio.sleep(1)
        spans(tracer, otlp.MOST_WAITING + 9)
        await asyncio.sleep(60)
        assert collector.took[0][0] == "reconcile first"
        assert sum(map(len, collector.took)) == otlp.MOST_WAITING
        assert counted(metrics) == {
            "exported_total": otlp.MOST_WAITING,
            "dropped_totalfull": 10,
            "dropped_totalrefused": 0,
        }

    exporting(scene)
    assert len([record for record in caplog.records if record.getMessage() == "traces cannot be sent"]) == 1


def test_what_a_collector_refuses_is_dropped_and_counted() -> None:
    async def scene(tracer: Tracer, collector: Collector, exporter: SpanExporter, metrics: Metrics) -> None:
        collector.answers = [400]
        spans(tracer, 2)
        await asyncio.sleep(6)
        spans(tracer, 1)
        await asyncio.sleep(6)
        assert list(map(len, collector.took)) == [1]
        assert counted(metrics)["dropped_totalrefused"] == 2

    exporting(scene)


def test_a_span_is_written_as_the_protocol_has_it() -> None:
    async def scene(tracer: Tracer) -> None:
        with tracer.reconciling("c", "a/b", 0.25):
            span = current()
            assert span is not None
            asked = span.request("GET", "/x")
            await asyncio.sleep(0.001)
            asked.answered(200)
            span.put("kcm.result", "error")
            span.fail("odd \x1b[31m thing")

    (resource,) = json.loads(otlp.encode_spans(traced(scene), {"service.name": "kcm"}))["resourceSpans"]
    assert resource["resource"] == {"attributes": [{"key": "service.name", "value": {"stringValue": "kcm"}}]}
    (scope,) = resource["scopeSpans"]
    child, whole = scope["spans"]
    assert whole["status"]["code"] == 2
    assert "\x1b" not in whole["status"]["message"]
    assert "parentSpanId" not in whole
    assert (whole["kind"], child["kind"]) == (1, 3)
    assert child["parentSpanId"] == whole["spanId"]
    assert child["traceId"] == whole["traceId"]
    assert "status" not in child
    assert child["startTimeUnixNano"] == "1767225600000000000"
    assert child["endTimeUnixNano"] == "1767225600001000000"
    assert {"key": "http.response.status_code", "value": {"intValue": "200"}} in child["attributes"]
    assert {"key": "kcm.queue_seconds", "value": {"doubleValue": 0.25}} in whole["attributes"]
