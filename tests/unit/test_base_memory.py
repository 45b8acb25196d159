"""The calmed collector still frees cycles; the kept buffers are a hint and no more."""

import gc
import weakref

import pytest

from kcm.base.memory import YOUNG, calm_collector, keep_buffers


class Knot:
    def __init__(self):
        self.self = self


@pytest.fixture
def calm():
    before = gc.get_threshold()
    calm_collector()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("calm")
def test_a_cycle_is_freed_although_nobody_asks_for_a_collection():
    knot = weakref.ref(Knot())
    kept = [[] for _ in range(2 * YOUNG)]
    assert kept
    assert knot() is None


@pytest.mark.usefixtures("calm")
def test_what_was_there_before_is_left_alone():
    assert gc.get_freeze_count() > 0


def test_a_c_library_without_knobs_is_no_error(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    keep_buffers()
