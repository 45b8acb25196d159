"""The worst of the last minute, for gauges."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from kcm.telemetry.metrics import Metrics
from kcm.telemetry.peak import KEPT_SECONDS, Peak, loop_lag
from kcm.testing.virtual import VirtualClock, run


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 100)), max_size=40))
def test_the_highest_value_of_the_last_minute_is_read(steps: list[tuple[float, float]]) -> None:
    async def main() -> None:
        clock = VirtualClock()
        peak = Peak(clock)
        taken: list[tuple[float, float]] = []
        for wait, value in steps:
            await asyncio.sleep(wait)
            peak.take(value)
            taken.append((clock.monotonic(), value))
            recent = [value for at, value in taken if at >= clock.monotonic() - KEPT_SECONDS]
            assert peak.read() == max(recent)
        await asyncio.sleep(KEPT_SECONDS + 1)
        assert peak.read() == 0.0

    run(main())


def test_the_gauge_shows_what_is_read_when_it_is_scraped() -> None:
    async def main() -> None:
        metrics = Metrics()
        loop_lag(metrics, VirtualClock()).take(2.5)
        assert 'kcm_process_loop_lag_seconds",[],2.5' in metrics.snapshot().decode()
        await asyncio.sleep(KEPT_SECONDS + 1)
        assert 'kcm_process_loop_lag_seconds",[],0.0' in metrics.snapshot().decode()

    run(main())
