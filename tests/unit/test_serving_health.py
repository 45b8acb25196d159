"""Probe pages: format, exclusion, sub-paths, and what they withhold."""

from __future__ import annotations

import logging

import pytest

from kcm.serving.health import SLIS, CheckMetrics, Checks
from kcm.serving.http import Request, Response
from kcm.telemetry.metrics import Metrics


def checks(**reasons: str) -> Checks:
    made = Checks("readyz")
    for name, reason in reasons.items():
        made.add(name.replace("_", "-"), lambda reason=reason: reason)  # type: ignore[misc]
    return made


def ask(made: Checks, name: str = "", *query: tuple[str, str]) -> tuple[int, str]:
    answer = made.answer(Request("GET", "/readyz", query), name)
    assert isinstance(answer.body, bytes)
    return answer.status, answer.body.decode()


def test_when_all_is_well_the_answer_is_two_letters() -> None:
    assert ask(checks(cache_sync="")) == (200, "ok")


def test_verbose_lists_every_check() -> None:
    assert ask(checks(cache_sync=""), "", ("verbose", "")) == (
        200,
        "[+]ping ok\n[+]cache-sync ok\nreadyz check passed\n",
    )


def test_a_failure_lists_every_check_and_withholds_the_reason() -> None:
    assert ask(checks(cache_sync="may not list pods", leader_election="")) == (
        500,
        "[+]ping ok\n[-]cache-sync failed: reason withheld\n[+]leader-election ok\nreadyz check failed\n",
    )


def test_checks_can_be_left_out_and_unknown_ones_are_named() -> None:
    made = checks(cache_sync="no", hosts="no")
    assert ask(made, "", ("exclude", "cache-sync"))[0] == 500
    both = (("exclude", "cache-sync"), ("exclude", "hosts"))
    assert ask(made, "", *both) == (200, "ok")
    status, text = ask(made, "", *both, ("exclude", "odd\x1b"), ("verbose", "true"))
    assert status == 200
    assert text == (
        "[+]ping ok\n[+]cache-sync excluded: ok\n[+]hosts excluded: ok\n"
        "warn: some health checks cannot be excluded: no matches for 'odd\\x1b'\nreadyz check passed\n"
    )


def test_one_check_can_be_asked_alone() -> None:
    made = checks(cache_sync="no", hosts="")
    assert ask(made, "hosts") == (200, "ok")
    assert ask(made, "cache-sync") == (500, "internal server error: reason withheld\n")
    assert ask(made, "gone") == (404, "no check of this name; there are: ping, cache-sync, hosts\n")


def test_a_check_that_raises_has_failed_and_hides_no_other() -> None:
    made = checks(hosts="")

    def broken() -> str:
        raise KeyError("state")

    made.add("broken", broken)
    assert ask(made)[0] == 500
    assert ask(made, "hosts")[0] == 200
    assert made.failures() == {"broken": "KeyError: 'state'"}


def test_a_check_can_be_replaced_and_removed() -> None:
    made = checks(hosts="no")
    made.add("hosts", lambda: "")
    assert ask(made)[0] == 200
    made.remove("hosts")
    made.remove("hosts")
    assert made.names() == ("ping",)


@pytest.mark.parametrize("name", ["", "A", "a b", "a/b", "-a", "x" * 200])
def test_a_name_that_no_path_can_hold_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name for a check"):
        checks().add(name, lambda: "")


def test_a_failure_is_logged_once_with_its_reason_and_once_when_it_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    made = checks(hosts="a died")
    for _ in range(3):
        ask(made)
    made.add("hosts", lambda: "")
    for _ in range(3):
        ask(made)
    assert [record.getMessage() for record in caplog.records] == ["check fails", "check passes again"]
    assert caplog.records[0].fields["reason"] == "a died"  # type: ignore[attr-defined]


def test_probes_are_not_cached() -> None:
    answer: Response = checks().answer(Request("GET", "/readyz"))
    assert "no-store" in answer.headers["Cache-Control"]


def shown(metrics: Metrics) -> dict[tuple[str, str, str, str], float]:
    return {
        (name, labels.get("type", ""), labels.get("name", ""), labels.get("status", "")): value
        for family in metrics.read()
        for name, pairs, value in family.samples
        for labels in (dict(pairs),)
        if name.startswith(SLIS)
    }


def test_results_are_shown_as_other_components_show_theirs() -> None:
    reasons = {"hosts": "down"}
    made, metrics = Checks("readyz"), Metrics()
    made.add("hosts", lambda: reasons["hosts"])
    made.count(CheckMetrics(metrics))
    made.look()
    ask(made)
    reasons["hosts"] = ""
    made.look()
    gauge, total = "kubernetes_healthcheck", "kubernetes_healthchecks_total"
    assert shown(metrics) == {
        (gauge, "readyz", "ping", ""): 1,
        (gauge, "readyz", "hosts", ""): 1,
        (total, "readyz", "ping", "success"): 3,
        (total, "readyz", "ping", "error"): 0,
        (total, "readyz", "hosts", "success"): 1,
        (total, "readyz", "hosts", "error"): 2,
    }
    made.remove("hosts")
    assert (gauge, "readyz", "hosts", "") not in shown(metrics)


def test_looking_logs_nothing_because_nobody_probed(caplog: pytest.LogCaptureFixture) -> None:
    made = checks(hosts="down")
    with caplog.at_level(logging.DEBUG):
        made.look()
    assert caplog.records == []
    with caplog.at_level(logging.DEBUG):
        ask(made)
    assert len(caplog.records) == 1
