"""Predicates: which updates are worth a reconcile, and what passes whatever they say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kcm import (
    Predicate,
    all_of,
    annotations_changed,
    any_of,
    generation_changed,
    labels_changed,
    not_,
    primary,
    resource_version_changed,
)
from kcm.cache.cacheview import Cache
from kcm.objects import ConfigMap, Key, ObjectMeta
from kcm.runtime.enqueue import keys_of


def made(**metadata: Any) -> ConfigMap:
    return ConfigMap(
        metadata=ObjectMeta(**{"name": "a", "namespace": "ns", "uid": "1", "generation": 1, **metadata})
    )


def wakes(when: Predicate, old: ConfigMap | None, new: ConfigMap | None) -> bool:
    return set(keys_of(primary(ConfigMap, when=when), ConfigMap, Cache({}))(old, new)) == {Key("ns", "a")}


NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
NEVER = all_of(generation_changed, not_(generation_changed))


@pytest.mark.parametrize(
    ("when", "changes", "passes"),
    [
        pytest.param(generation_changed, {"generation": 2}, True, id="the spec changed"),
        pytest.param(generation_changed, {"labels": {"a": "b"}}, False, id="only a label changed"),
        pytest.param(generation_changed, {"generation": 0}, True, id="a type that counts no generations"),
        pytest.param(labels_changed, {"labels": {"a": "b"}}, True, id="a label"),
        pytest.param(labels_changed, {"generation": 2}, False, id="no label"),
        pytest.param(annotations_changed, {"annotations": {"a": "b"}}, True, id="an annotation"),
        pytest.param(annotations_changed, {"labels": {"a": "b"}}, False, id="no annotation"),
        pytest.param(resource_version_changed, {"resource_version": "9"}, True, id="anything"),
        pytest.param(resource_version_changed, {}, False, id="nothing"),
        pytest.param(any_of(labels_changed, generation_changed), {"generation": 2}, True, id="one of two"),
        pytest.param(any_of(), {"generation": 2}, False, id="one of none"),
        pytest.param(all_of(labels_changed, generation_changed), {"generation": 2}, False, id="not both"),
        pytest.param(all_of(), {}, True, id="all of none"),
        pytest.param(not_(labels_changed), {"labels": {"a": "b"}}, False, id="not"),
        pytest.param(NEVER, {"deletion_timestamp": NEW_YEAR}, True, id="its end begins"),
        pytest.param(NEVER, {"uid": "2"}, True, id="another object of the name"),
    ],
)
def test_an_update_passes(when: Predicate, changes: dict[str, Any], passes: bool) -> None:
    assert wakes(when, made(), made(**changes)) == passes


def test_what_appears_and_what_is_gone_passes_always() -> None:
    assert wakes(NEVER, None, made())
    assert wakes(NEVER, made(), None)
    assert not wakes(NEVER, made(), made())
