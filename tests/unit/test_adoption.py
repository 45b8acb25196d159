"""Pods of an earlier sandbox are read back from their status."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from kcm.base.timestamps import format_time
from kcm.sandbox.cluster.adoption import KeptPod, life_of
from kcm.sandbox.cluster.behaviour import Pace, behaviour_of
from kcm.sandbox.cluster.containers import Now, is_ready
from kcm.sandbox.cluster.life import Running
from kcm.sandbox.cluster.views import PodView

NOW = Now(100.0, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "probe", [{}, {"readinessProbe": {"httpGet": {"port": 80}, "initialDelaySeconds": 30}}]
)
@pytest.mark.parametrize("hours", [-1, 0, 1])
@pytest.mark.parametrize("ready", [True, False])
def test_a_ready_container_stays_ready_whatever_the_clock_did(probe, hours, ready):
    started = format_time(NOW.wall + timedelta(hours=hours))
    status = {"name": "c", "ready": ready, "state": {"running": {"startedAt": started}}}
    pod = {
        "metadata": {"name": "p", "namespace": "n", "uid": "u", "resourceVersion": "1"},
        "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i", **probe}]},
        "status": {"phase": "Running", "containerStatuses": [status]},
    }
    encoded = msgspec.json.encode(pod)
    view, kept = msgspec.json.decode(encoded, type=PodView), msgspec.json.decode(encoded, type=KeptPod)
    behaviour = behaviour_of(view, Pace())
    life = life_of(kept, view, behaviour, NOW)
    assert isinstance(life, Running)
    if ready:
        assert is_ready(view.spec.containers[0], life.containers[0], behaviour, NOW)
    soon = Now(NOW.seconds + 60.0, NOW.wall)
    assert is_ready(view.spec.containers[0], life.containers[0], behaviour, soon)
