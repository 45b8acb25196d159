"""Timings that cannot be safe are refused; what a Lease says is bounded."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcm.base.errors import ConfigurationError
from kcm.election import ElectionSettings, Handover
from kcm.election.record import found, handover_text, parse_handover
from kcm.objects.leases import Lease


def test_the_defaults_are_safe() -> None:
    ElectionSettings().check("kcm.yaml")


@pytest.mark.parametrize(
    ("settings", "key", "reason"),
    [
        (ElectionSettings(lease_duration=14.0), "leaseDuration", "10 + 3 + 1 = 14 s"),
        (ElectionSettings(lease_duration=15.5), "leaseDuration", "whole seconds"),
        (ElectionSettings(lease_duration=4000.0), "leaseDuration", "at most 3600"),
        (ElectionSettings(renew_deadline=2.4), "renewDeadline", "1.2 x retryPeriod"),
        (ElectionSettings(retry_period=0.0), "retryPeriod", "above 0"),
        (ElectionSettings(renew_deadline=float("nan")), "renewDeadline", "above 0"),
        (ElectionSettings(stop_time=float("inf")), "stopTime", "above 0"),
    ],
)
def test_unsafe_timings_are_refused_by_name(settings: ElectionSettings, key: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        settings.check("kcm.yaml")
    assert (raised.value.where, raised.value.key) == ("kcm.yaml", f"leaderElection.{key}")
    assert reason in raised.value.reason


@pytest.mark.parametrize(
    "body",
    [
        b'{"metadata":{}}',
        b'{"metadata":{"annotations":null},"spec":null}',
        b'{"metadata":{"resourceVersion":"1"},"spec":{"holderIdentity":null,"leaseDurationSeconds":null,'
        b'"acquireTime":null,"renewTime":null,"leaseTransitions":null}}',
        b'{"metadata":{"annotations":{"kcm.dev/last-writes":"' + b"x" * 100_000 + b'"}},'
        b'"spec":{"holderIdentity":"'
        + b"h" * 100_000 + b'","leaseTransitions":99999999999999999999}}',
    ],
)  # fmt: skip
def test_any_lease_is_read_as_something_bounded(body: bytes) -> None:
    lease = found(msgspec.json.decode(body, type=Lease))
    assert len(lease.record.holder) < 2000
    assert 0 <= lease.record.transitions < 2**31
    assert lease.record.next_transitions() < 2**31
    assert parse_handover(lease.handover) == Handover()


@given(st.text(max_size=200))
def test_no_text_breaks_the_reading_of_a_handover(text: str) -> None:
    assert not parse_handover(text).versions or parse_handover(text).versions


def test_a_handover_keeps_the_newest_version_of_each_resource_and_survives_the_annotation() -> None:
    handover = Handover(versions={"pods": "99", "leases": "7"}).merged({"pods": "100", "leases": "5"})
    assert handover.versions == {"pods": "100", "leases": "7"}
    assert not handover.complete
    assert parse_handover(handover_text(handover.finished())) == handover.finished()
    assert handover.finished().complete


@pytest.mark.parametrize("versions", [{f"r{n}": "1" for n in range(100)}, {"pods": "abc"}, {"": "1"}])
def test_a_handover_that_does_not_fit_is_cut_and_not_complete(versions: dict[str, str]) -> None:
    handover = Handover().merged(versions)
    assert not handover.finished().complete
    assert len(parse_handover(handover_text(handover)).versions) <= 64
    assert not parse_handover(handover_text(Handover(complete=True, versions=versions))).complete
