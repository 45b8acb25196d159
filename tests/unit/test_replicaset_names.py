"""Names of new pods: decided by what was seen, never by chance (DESIGN 2.4)."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from controllers.replicaset.names import pod_names
from kcm.objects.names import SAFE_CHARACTERS, safe_suffix

_NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,70}[a-z0-9])?", fullmatch=True)
_UIDS = st.sets(st.text("0123456789abcdef-", min_size=1, max_size=36), max_size=20)


def free(_: str) -> bool:
    return False


@given(_NAMES, st.text(), _UIDS, st.integers(0, 60), st.data())
def test_the_same_view_gives_the_same_names(
    owner: str, uid: str, seen: set[str], count: int, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(sorted(seen)))
    assert pod_names(owner, uid, seen, count, free) == pod_names(owner, uid, shuffled, count, free)


@given(_NAMES, st.text(), _UIDS, st.integers(0, 60))
def test_names_are_valid_and_differ_from_each_other(owner: str, uid: str, seen: set[str], count: int) -> None:
    names = pod_names(owner, uid, seen, count, free)
    assert len(names) == len(set(names)) == count
    base = f"{owner}-"[:58]
    for name in names:
        assert len(name) <= 63
        assert name.startswith(base)
        assert re.fullmatch(f"[{SAFE_CHARACTERS}]{{5}}", name[len(base) :])


@given(_UIDS, st.integers(1, 40), st.integers(1, 40))
def test_a_shorter_pass_gives_the_first_names_of_a_longer_one(seen: set[str], some: int, more: int) -> None:
    assert pod_names("web", "u", seen, some + more, free)[:some] == pod_names("web", "u", seen, some, free)


@given(_UIDS, st.integers(1, 40), st.data())
def test_taken_names_are_passed_over_and_the_others_kept(
    seen: set[str], count: int, data: st.DataObject
) -> None:
    names = pod_names("web", "u", seen, count, free)
    taken = data.draw(st.sets(st.sampled_from(names)))
    others = pod_names("web", "u", seen, count, taken.__contains__)
    assert len(others) == count
    assert taken.isdisjoint(others)
    kept = [name for name in names if name not in taken]
    assert others[: len(kept)] == kept


def test_another_view_gives_other_names() -> None:
    views = [("u", {"p"}), ("u", {"q"}), ("u", {"p", "q"}), ("u", set()), ("v", {"p"})]
    lots = [frozenset(pod_names("web", uid, seen, 100, free)) for uid, seen in views]
    assert len(frozenset.union(*lots)) == 500


def test_two_uids_are_not_taken_for_one_that_joins_them() -> None:
    assert pod_names("web", "u", ["ab", "c"], 5, free) != pod_names("web", "u", ["a", "bc"], 5, free)
    assert pod_names("web", "ua", ["b"], 5, free) != pod_names("web", "u", ["ab"], 5, free)


def test_hundreds_of_names_stay_distinct_whatever_was_seen() -> None:
    for seed in range(100):
        assert len(set(pod_names("web", f"u{seed}", (), 500, free))) == 500


def test_a_base_that_is_full_gives_fewer_names_and_ends() -> None:
    assert pod_names("web", "u", (), 5, lambda name: True) == []


def test_suffixes_are_one_for_one_with_numbers() -> None:
    assert safe_suffix(0) == "bbbbb"
    assert safe_suffix(27**5 - 1) == "99999"
    assert safe_suffix(27**5) == "bbbbb"
    assert len({safe_suffix(number) for number in range(0, 27**5, 997)}) == len(range(0, 27**5, 997))
