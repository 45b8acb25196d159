"""One process's instruments, and snapshots that are taken or refused."""

from __future__ import annotations

import pytest

from kcm.telemetry.families import MOST_BYTES, Family, Sample, decode_families, encode_families
from kcm.telemetry.metrics import Metrics


def values(metrics: Metrics) -> dict[str, float]:
    return {
        f"{sample.name}{dict(sample.labels) or ''}": sample.value
        for family in decode_families(metrics.snapshot())
        for sample in family.samples
    }


def test_a_snapshot_holds_what_the_instruments_counted() -> None:
    metrics = Metrics()
    metrics.counter("workqueue_adds_total", "Adds.", ("name",)).labels("replicaset").inc(3)
    metrics.gauge("workqueue_depth", "Depth.").set(2.5)
    metrics.histogram("reconcile_seconds", "Time.", buckets=(0.1, 1.0)).observe(0.5)
    read = values(metrics)
    assert read["workqueue_adds_total{'name': 'replicaset'}"] == 3
    assert read["workqueue_depth"] == 2.5
    assert read["reconcile_seconds_bucket{'le': '0.1'}"] == 0
    assert read["reconcile_seconds_bucket{'le': '1.0'}"] == 1
    assert read["reconcile_seconds_bucket{'le': '+Inf'}"] == read["reconcile_seconds_count"] == 1
    assert read["reconcile_seconds_sum"] == 0.5
    assert not any("_created" in name for name in read)


def test_asking_twice_gives_the_same_instrument() -> None:
    metrics = Metrics()
    assert metrics.counter("a_total", "A.", ("x",)) is metrics.counter("a_total", "", ["x"])
    with pytest.raises(ValueError, match="a_total exists already"):
        metrics.gauge("a_total", "A.", ("x",))
    with pytest.raises(ValueError, match="a_total exists already"):
        metrics.counter("a_total", "A.", ("y",))


def test_two_sets_of_instruments_do_not_meet() -> None:
    one, two = Metrics(), Metrics()
    one.counter("a_total", "A.").inc()
    two.counter("a_total", "A.")
    assert values(one)["a_total"] == 1
    assert values(two)["a_total"] == 0


def test_the_process_itself_is_always_in_it() -> None:
    read = values(Metrics())
    assert read["kcm_process_cpu_seconds_total"] > 0
    assert read["kcm_process_resident_memory_bytes"] > 1_000_000


def test_samples_over_the_bound_of_a_snapshot_are_counted_not_lost() -> None:
    metrics = Metrics()
    counter = metrics.counter("many_total", "Many.", ("x",))
    for number in range(25_000):
        counter.labels(str(number)).inc()
    read = values(metrics)
    assert len(read) == 20_000
    assert read["kcm_metrics_samples_dropped"] == 25_000 - (20_000 - 4)


def test_numbers_and_labels_that_cannot_be_sent_do_not_cost_the_rest() -> None:
    metrics = Metrics()
    metrics.gauge("broken", "Broken.").set(float("nan"))
    metrics.gauge("odd", "Odd.", ("x",)).labels("\ud800" + "y" * 1000).set(1)
    read = values(metrics)
    assert "broken" not in read
    assert [value for name, value in read.items() if name.startswith("odd")] == [1]


def family(name: str = "a_total", kind: str = "counter", *samples: Sample, help: str = "A.") -> Family:
    return Family(name, kind, help, samples)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[1]",
        b'[["a","counter","h"]]',
        b"[" * 10_000,
        b"\xff",
        b" " * (MOST_BYTES + 1),
        b'[["a","gauge","h",[["a",[],1e999]]]]',
        b'[["a","gauge","h",[["a",[],NaN]]]]',
        encode_families([family("a b")]),
        encode_families([family(kind="summary")]),
        encode_families([family(), family()]),
        encode_families([family(help="x" * 600)]),
        encode_families([family("a_total", "counter", Sample("b", (), 1.0))]),
        encode_families([family("a_total", "counter", Sample("a_total", (), -1.0))]),
        encode_families([family("a_total", "counter", Sample("a_total", (("x\n", ""),), 1.0))]),
        encode_families([family("a_total", "counter", Sample("a_total", (("x", ""), ("x", "")), 1.0))]),
        encode_families([family("a_total", "counter", Sample("a_total", (("x", "y" * 300),), 1.0))]),
        encode_families([family("a", "histogram", Sample("a", (), 1.0))]),
        encode_families([family(f"a{number}") for number in range(401)]),
        encode_families([family("a_total", "counter", *[Sample("a_total", (), 1.0)] * 20_001)]),
    ],
)
def test_a_snapshot_that_is_none_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(ValueError, match="metric") as caught:
        decode_families(data)
    assert "\n" not in str(caught.value)
