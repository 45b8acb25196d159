"""Templates by meaning, and hashes: reference workloads 2.6, 4 and the cases 21, 79, 96, 97."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controllers.deployment.births import LONGEST_NAME
from controllers.deployment.templates import (
    HASH_LABEL,
    canonical,
    fnv32a,
    labels_of,
    meaning,
    template_hash,
    with_hash,
    without_hash,
)
from kcm import TerminalError
from kcm.objects.names import SAFE_CHARACTERS, safe_text
from kcm.objects.quantities import parse_quantity


def raw(template: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(template).encode())


def template(**container: Any) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "i", **container}]},
    }


def of_pod(**spec: Any) -> dict[str, Any]:
    return {**template(), "spec": {**template()["spec"], **spec}}


@pytest.mark.parametrize(("text", "name"), [(b"", "65bb57b6b5"), (b"a", "7d6b446664")])
def test_known_hashes(text: bytes, name: str) -> None:
    assert safe_text(str(fnv32a(text))) == name


SAME = [
    pytest.param(template(), template(), id="itself"),
    pytest.param(template(), template(env=[]), id="an empty list is none"),
    pytest.param(template(), template(env=None), id="null is none"),
    pytest.param(template(), of_pod(nodeSelector={}), id="an empty map is none"),
    pytest.param(
        template(resources={"limits": {"cpu": "1"}}),
        template(resources={"limits": {"cpu": "1000m"}, "requests": {}}),
        id="quantities by value",
    ),
    pytest.param(
        template(resources={"limits": {"memory": "1Gi"}}),
        template(resources={"limits": {"memory": "1073741824"}}),
        id="binary quantities by value",
    ),
    pytest.param(template(), template(resources={}), id="a container's resources are in place"),
    pytest.param(
        of_pod(volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1Ki"}}]),
        of_pod(volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1024"}}]),
        id="a size limit by value",
    ),
    pytest.param(
        {**template(), "metadata": {"labels": {"app": "web", HASH_LABEL: "x"}}},
        template(),
        id="the hash label does not count",
    ),
    pytest.param(
        {**template(), "metadata": {"creationTimestamp": None, "labels": {"app": "web"}}},
        template(),
        id="as older servers write it",
    ),
    pytest.param(
        {**template(), "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}},
        {**template(), "metadata": {"creationTimestamp": "2026-01-01T01:00:00+01:00"}},
        id="times by value",
    ),
    pytest.param({"spec": {"a": 1, "b": 2}}, {"spec": {"b": 2, "a": 1}}, id="the order of members"),
    pytest.param({"spec": {}}, {"metadata": {}, "spec": {}}, id="metadata is in place"),
]

OTHER = [
    pytest.param(template(), template(image="j"), id="another image"),
    pytest.param(template(), of_pod(securityContext={}), id="an empty object is not an absent one"),
    pytest.param(
        of_pod(volumes=[{"name": "v"}]), of_pod(volumes=[{"name": "v", "emptyDir": {}}]), id="emptyDir"
    ),
    pytest.param(template(), of_pod(resources={}), id="a pod's resources are a pointer"),
    pytest.param(template(args=["a", "b"]), template(args=["b", "a"]), id="the order of a list"),
    pytest.param(template(ports=[{"containerPort": 80}]), template(ports=[{"containerPort": 81}]), id="port"),
    pytest.param(
        {"metadata": {"labels": {"size": "1"}}},
        {"metadata": {"labels": {"size": "1000m"}}},
        id="labels are no quantities",
    ),
    pytest.param(
        {"metadata": {"labels": {"sizeLimit": "1"}}},
        {"metadata": {"labels": {"sizeLimit": "1000m"}}},
        id="nor when they are called so",
    ),
    pytest.param(
        of_pod(nodeSelector={"a": "true"}), of_pod(nodeSelector={"a": "True"}), id="texts are texts"
    ),
    pytest.param(
        template(resources={"limits": {"cpu": "1"}}),
        template(resources={"requests": {"cpu": "1"}}),
        id="limits are no requests",
    ),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_case_97_templates_that_mean_the_same(one: Any, other: Any) -> None:
    assert meaning(raw(one)) == meaning(raw(other))
    assert template_hash(raw(one), 3) == template_hash(raw(other), 3)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_case_97_templates_that_mean_something_else(one: Any, other: Any) -> None:
    assert meaning(raw(one)) != meaning(raw(other))
    assert template_hash(raw(one), 3) != template_hash(raw(other), 3)


def test_case_79_collisions_give_other_hashes_and_none_is_not_zero() -> None:
    hashes = [template_hash(raw(template()), collisions) for collisions in (None, 0, 1, 2, 2**31 - 1)]
    assert len(set(hashes)) == 5
    assert all(1 <= len(each) <= 10 and set(each) <= set(SAFE_CHARACTERS) for each in hashes)


def test_the_hash_is_fixed_for_ever() -> None:
    # Another hash than yesterday's would not restart pods, but it would miss its own lost creates.
    assert template_hash(raw(template()), None) == template_hash(raw(template()), None)
    assert canonical(raw(template())) == (
        b'{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"image":"i","name":"c"}]}}'
    )


def test_a_copied_template_keeps_its_spec_to_the_byte() -> None:
    odd = msgspec.Raw(b'{"metadata":{"labels":{"app":"web"}}, "spec": {"x": 1.50, "y":[ null ]}}')
    marked = with_hash(odd, "abc")
    assert b'{"x": 1.50, "y":[ null ]}' in bytes(marked)
    assert labels_of(marked) == {"app": "web", HASH_LABEL: "abc"}
    plain = without_hash(marked)
    assert plain["metadata"] == {"labels": {"app": "web"}}
    assert bytes(plain["spec"]) == b'{"x": 1.50, "y":[ null ]}'
    assert meaning(marked) == meaning(odd)


@pytest.mark.parametrize("text", [b"[]", b"1", b"{", b"", b"[" * 3000 + b"]" * 3000])
def test_what_is_no_template_is_one_keys_problem(text: bytes) -> None:
    with pytest.raises(TerminalError):
        meaning(msgspec.Raw(text))


def test_case_96_names_fit() -> None:
    assert LONGEST_NAME == 242 + 1 + 10


LEAVES = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=5)
NAMES = st.sampled_from(
    ["containers", "limits", "labels", "resources", "metadata", "emptyDir", "x", "divisor"]
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


# The very first draw of a text, in a fresh checkout, makes the table of all characters.
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(NAMES, TREES, max_size=4))
def test_any_json_has_one_spelling_whatever_its_order(tree: dict[str, Any]) -> None:
    turned = json.loads(json.dumps(tree), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    spelt = canonical(raw(tree))
    assert canonical(raw(turned)) == spelt
    assert canonical(msgspec.Raw(spelt)) == spelt


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "1000m"),
        ("1k", "1e3"),
        ("1Ki", "1024"),
        (".5", "500m"),
        ("1E", "1e18"),
        ("2E3", "2k"),
        ("-1", "-1.0"),
    ],
)
def test_quantities_by_value(one: str, other: str) -> None:
    assert parse_quantity(one) == parse_quantity(other)


@pytest.mark.parametrize("text", ["", "x", "1x", "1e1000000", "1e3k", "--1", "1 ", "1" * 100, "١"])
def test_what_is_no_quantity_is_refused_at_once(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        parse_quantity(text)
