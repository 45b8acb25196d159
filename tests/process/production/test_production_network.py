"""The leading replica is cut off from the API server, both ways or one way (fault 32).

Beside what the test says: the verdict at its end (conftest.py), which judges every revision and every
request by what the server wrote down.
"""

import pytest
from production import SHORT_LEASE, now, wait_for
from ways import pair_with_ways

CONFIGURATION = SHORT_LEASE
SIZE = 150
BEGUN = 20
# The third, requests that do not arrive, is measured by the benchmark of fail-overs.
WAYS = {"nothing arrives either way": {}, "answers do not arrive": {"to_server": False}}


@pytest.mark.parametrize("way", WAYS)
def test_32_a_leader_that_is_cut_off_is_succeeded_and_what_it_left_on_the_way_changes_nothing(
    production, way
):
    leader, standby = pair_with_ways(production)
    identity = leader.container.identity
    name = production.apply_set(SIZE)
    wait_for(lambda: production.count(name) >= BEGUN, "the work has begun")
    cut = now()
    leader.way.silence(**WAYS[way])
    try:
        wait_for(lambda: production.holder() not in ("", identity), "somebody else leads")
        term = production.record.terms()[-1]
        production.wait_served(name, SIZE)
        production.scale(name, SIZE - 20)
        production.wait_served(name, SIZE - 20)
    finally:
        leader.way.speak()
    healed = now()
    production.scale(name, SIZE - 10)
    production.wait_served(name, SIZE - 10)
    wait_for(lambda: leader.container.records("lost leadership"), "it knows")
    wait_for(lambda: leader.ready, "it is ready to take over")
    assert term.identity == standby.container.identity
    assert production.record.writes(identity, since=healed) == []
    first = min(line["began"] for line in production.record.writes(term.identity, cut))
    print(f"32, {way}: {first - cut:.2f} s until the successor's first write")
    production.remove(name)
