"""What controllers are given to make objects with: conditions, owners, types nobody has declared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from kcm.cache.typed import reader
from kcm.objects import (
    ConfigMap,
    ObjectMeta,
    ObservedCondition,
    owned_by,
    owner_reference,
    untyped,
    with_condition,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def test_a_condition_is_added_behind_the_others() -> None:
    other = ObservedCondition(type="Other", status="True")
    conditions = with_condition((other,), "Ready", True, reason="Made", now=NOW, generation=3)
    assert [each.type for each in conditions] == ["Other", "Ready"]
    assert conditions[1] == ObservedCondition(
        type="Ready", status="True", last_transition_time=NOW, reason="Made", observed_generation=3
    )


def test_setting_what_is_set_changes_nothing_not_even_the_time() -> None:
    once = with_condition((), "Ready", True, reason="Made", now=NOW)
    assert with_condition(once, "Ready", True, reason="Made", now=LATER) == once


def test_the_time_moves_with_the_status_alone() -> None:
    once = with_condition((), "Ready", True, reason="Made", now=NOW)
    told = with_condition(once, "Ready", True, reason="MadeAgain", now=LATER)
    assert told[0].reason == "MadeAgain"
    assert told[0].last_transition_time == NOW
    assert with_condition(once, "Ready", None, reason="Gone", now=LATER)[0].last_transition_time == LATER


def test_an_owner_that_is_no_controller_blocks_nothing() -> None:
    owner = ConfigMap(metadata=ObjectMeta(name="o", namespace="ns", uid="7"))
    plain = owner_reference(owner, controller=False)
    assert (plain.uid, plain.controller, plain.block_owner_deletion) == ("7", None, None)
    owned = owned_by(owner, "child", labels={"a": "b"})
    assert (owned.name, owned.labels) == ("child", {"a": "b"})
    assert owned.owner_references[0].controller is True


def test_an_untyped_object_keeps_what_nobody_declared() -> None:
    widget = untyped("acme.dev/v1", "Widget", "widgets")
    assert widget is untyped("acme.dev/v1", "Widget", "widgets")
    text = (
        b'{"metadata":{"name":"w","namespace":"ns","uid":"1","resourceVersion":"5"},'
        b'"spec":{"ports":[{"name":"http","port":80}],"deep":{"none":null}}}'
    )
    found = reader(widget)(text)
    assert found.at("spec", "ports", 0, "name") == "http"
    assert found.at("spec", "ports", 1, "name", default="?") == "?"
    assert found.at("spec", "deep", "none", default=4) == 4
    assert found.at("status") == {}
    assert msgspec.json.decode(msgspec.json.encode(found))["spec"]["ports"] == [{"name": "http", "port": 80}]
    with pytest.raises(ValueError, match='begin with "spec"'):
        found.at("metadata", "name")
