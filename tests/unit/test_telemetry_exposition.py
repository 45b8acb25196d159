"""Several processes' metrics on one page, over restarts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from kcm.telemetry.exposition import Exposition
from kcm.telemetry.families import Family, Sample, encode_families
from kcm.telemetry.metrics import Metrics


def page(exposition: Exposition) -> dict[str, float]:
    """Read the page with the ecosystem's own parser; series as name{label=value,...}."""
    return {
        sample.name + "".join(f" {k}={v}" for k, v in sample.labels.items()): sample.value
        for family in text_string_to_metric_families(exposition.render().decode())
        for sample in family.samples
    }


def counted(value: float, name: str = "writes_total") -> bytes:
    return encode_families([Family(name, "counter", "Writes.", (Sample(name, (("verb", "POST"),), value),))])


def gauge(value: float, *labels: tuple[str, str], name: str = "depth") -> bytes:
    return encode_families([Family(name, "gauge", "Depth.", (Sample(name, labels, value),))])


def test_counters_of_all_processes_are_summed() -> None:
    exposition = Exposition()
    own = Metrics()
    own.counter("writes_total", "Writes.", ("verb",)).labels("POST").inc(1)
    exposition.own(own)
    exposition.update("a", 1, counted(10))
    exposition.update("b", 1, counted(100))
    assert page(exposition)["writes_total verb=POST"] == 111


def test_a_counter_does_not_go_back_when_its_host_is_restarted() -> None:
    exposition = Exposition()
    exposition.update("a", 1, counted(10))
    exposition.drop("a")
    assert page(exposition)["writes_total verb=POST"] == 10
    exposition.update("a", 2, counted(1))
    assert page(exposition)["writes_total verb=POST"] == 11
    exposition.update("a", 2, counted(3))
    assert page(exposition)["writes_total verb=POST"] == 13


def test_a_restart_that_nobody_reported_is_seen_by_the_epoch() -> None:
    exposition = Exposition()
    exposition.update("a", 1, counted(10))
    exposition.update("a", 2, counted(4))
    assert page(exposition)["writes_total verb=POST"] == 14


def test_a_late_snapshot_of_a_past_epoch_is_ignored() -> None:
    exposition = Exposition()
    exposition.update("a", 1, counted(10))
    exposition.drop("a")
    exposition.update("a", 1, counted(12))
    exposition.update("a", 2, counted(1))
    exposition.update("a", 1, counted(12))
    assert page(exposition)["writes_total verb=POST"] == 11


def test_a_dead_hosts_gauges_go_and_its_histograms_stay() -> None:
    metrics = Metrics()
    metrics.gauge("workqueue_depth", "Depth.", ("name",)).labels("hpa").set(5)
    metrics.histogram("work_seconds", "Work.", buckets=(1.0,)).observe(0.5)
    exposition = Exposition()
    exposition.update("hpa", 1, metrics.snapshot())
    assert page(exposition)["workqueue_depth name=hpa"] == 5
    exposition.drop("hpa")
    left = page(exposition)
    assert "workqueue_depth name=hpa" not in left
    assert "kcm_process_resident_memory_bytes process=hpa" not in left
    assert left["work_seconds_bucket le=1.0"] == left["work_seconds_count"] == 1
    assert left["work_seconds_sum"] == 0.5


def test_what_describes_a_process_carries_its_name() -> None:
    exposition = Exposition()
    exposition.own(Metrics())
    exposition.update("hpa", 1, Metrics().snapshot())
    shown = page(exposition)
    for process in ("manager", "hpa"):
        assert shown[f"kcm_process_cpu_seconds_total process={process}"] > 0
        assert shown[f"kcm_process_resident_memory_bytes process={process}"] > 0


def test_gauges_are_not_summed_blindly() -> None:
    exposition = Exposition()
    exposition.update("a", 1, gauge(3, ("name", "x")))
    exposition.update("b", 1, gauge(4, ("name", "y")))
    assert page(exposition) == {"depth name=x": 3, "depth name=y": 4}
    exposition.update("b", 1, gauge(4, ("name", "x")))
    assert page(exposition) == {"depth name=x process=a": 3, "depth name=x process=b": 4}


def test_an_instruments_own_process_label_is_left_alone() -> None:
    exposition = Exposition()
    exposition.update("a", 1, gauge(3, ("process", "x"), name="kcm_process_count"))
    assert page(exposition) == {"kcm_process_count process=x": 3}


def test_a_bad_snapshot_changes_nothing() -> None:
    exposition = Exposition()
    exposition.update("a", 1, counted(10))
    for bad in (b"rubbish", gauge(1, name="writes_total")):
        with pytest.raises(ValueError, match="metric"):
            exposition.update("b", 1, bad)
        with pytest.raises(ValueError, match="cannot be read"):
            exposition.update("a", 2, b"rubbish")
    assert page(exposition) == {"writes_total verb=POST": 10}


def test_a_type_that_contradicts_the_managers_own_is_refused() -> None:
    own = Metrics()
    own.counter("writes_total", "Writes.")
    exposition = Exposition()
    exposition.own(own)
    with pytest.raises(ValueError, match="writes_total is a gauge here and a counter elsewhere"):
        exposition.update("a", 1, gauge(1, name="writes_total"))


def test_the_number_of_processes_is_bounded() -> None:
    exposition = Exposition()
    for number in range(256):
        exposition.update(f"h{number}", 1, counted(1))
    with pytest.raises(ValueError, match="more than 256 processes"):
        exposition.update("one more", 1, counted(1))


def test_labels_and_help_are_escaped() -> None:
    metrics = Metrics()
    metrics.gauge("odd", "Two\nlines \\ and one", ("x",)).labels('a"b\\c\nd').set(1e20)
    exposition = Exposition()
    exposition.own(metrics)
    text = exposition.render().decode()
    assert "# HELP odd Two\\nlines \\\\ and one\n" in text
    assert 'odd{x="a\\"b\\\\c\\nd"} 1e+20\n' in text
    assert page(exposition)['odd x=a"b\\c\nd'] == 1e20


def test_the_page_says_what_prometheus_expects_to_see() -> None:
    exposition = Exposition()
    exposition.update("a", 1, counted(10))
    assert exposition.render() == (
        b'# HELP writes_total Writes.\n# TYPE writes_total counter\nwrites_total{verb="POST"} 10.0\n'
    )


steps = st.lists(
    st.one_of(
        st.tuples(st.just("count"), st.sampled_from("ab"), st.integers(0, 5)),
        st.tuples(st.sampled_from(["die", "silent restart", "reset"]), st.sampled_from("ab"), st.just(0)),
    ),
    max_size=40,
)


@given(steps)
def test_no_history_of_restarts_loses_or_repeats_a_count(history: list[tuple[str, str, int]]) -> None:
    exposition = Exposition()
    epoch = {"a": 1, "b": 1}
    now = {"a": 0, "b": 0}
    reported = {"a": 0, "b": 0}
    total = 0
    for what, host, number in history:
        if what == "count":
            now[host] += number
            total += now[host] - reported[host]
            reported[host] = now[host]
            exposition.update(host, epoch[host], counted(now[host]))
        else:
            if what == "die":
                exposition.drop(host)
            # A reset within an epoch is only visible when the counter is seen to fall.
            if what == "reset":
                exposition.update(host, epoch[host], counted(0))
            else:
                epoch[host] += 1
            now[host] = reported[host] = 0
        assert page(exposition).get("writes_total verb=POST", 0) == total
