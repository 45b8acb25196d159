"""Processes of the leading replica are killed, under two replicas of deploy/ (faults 19 to 21)."""

from production import SHORT_LEASE

CONFIGURATION = SHORT_LEASE


def test_up(production):
    name = production.apply_set(50)
    production.wait_served(name, 50)
