"""The token bucket in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from kcm.client.limiter import TokenBucket, token_bucket
from kcm.testing.virtual import VirtualClock, run


def test_a_burst_passes_at_once_and_the_rest_at_the_rate_in_order() -> None:
    async def scenario() -> list[tuple[int, float]]:
        clock = VirtualClock()
        bucket = TokenBucket(10.0, 3, clock)
        passed: list[tuple[int, float]] = []

        async def one(number: int) -> None:
            await bucket.acquire()
            passed.append((number, round(clock.monotonic(), 6)))

        async with asyncio.TaskGroup() as tasks:
            for number in range(6):
                tasks.create_task(one(number))
        return passed

    assert run(scenario()) == [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.1), (4, 0.2), (5, 0.3)]


def test_a_cancelled_wait_gives_its_token_back() -> None:
    async def scenario() -> float:
        clock = VirtualClock()
        bucket = TokenBucket(1.0, 1, clock)
        await bucket.acquire()
        for _ in range(5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await bucket.acquire()
        await bucket.acquire()
        return clock.monotonic()

    assert run(scenario()) == pytest.approx(1.0)


def test_an_idle_bucket_holds_no_more_than_the_burst() -> None:
    async def scenario() -> float:
        clock = VirtualClock()
        bucket = TokenBucket(10.0, 2, clock)
        await clock.sleep(1000.0)
        for _ in range(4):
            await bucket.acquire()
        return clock.monotonic()

    assert run(scenario()) == pytest.approx(1000.2)


def test_a_rate_of_zero_is_no_limit() -> None:
    assert token_bucket(0.0, 10, VirtualClock()) is None
    assert token_bucket(-1.0, 10, VirtualClock()) is None
