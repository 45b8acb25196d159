from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from kcm.cache.projection import (
    DEEPEST,
    IDENTITY,
    LARGEST,
    LEAF,
    Fields,
    Items,
    Projection,
    Values,
    check,
    decode,
    encode,
    projection_of,
    union,
)
from kcm.objects import Metadata, Pod, ReplicaSet, Resource, Spec


class Port(Spec, frozen=True):
    host_port: int = 0
    name: str = ""


class GadgetSpec(Spec, frozen=True):
    ports: tuple[Port, ...] = ()
    by_name: Mapping[str, Port] = {}
    tags: tuple[str, ...] = ()
    odd: int = msgspec.field(default=0, name="x-odd/name")
    maybe: Port | None = None
    template: msgspec.Raw = msgspec.Raw(b"{}")


class Gadget(Resource[GadgetSpec], frozen=True, kw_only=True):
    api, kind, plural = "demo.dev/v1", "Gadget", "gadgets"
    metadata: Metadata
    spec: GadgetSpec = GadgetSpec()


def at(projection: Projection, *path: str) -> Projection | None:
    for name in path:
        assert isinstance(projection, Fields)
        members = dict(projection.members)
        if name not in members:
            return None
        projection = members[name]
    return projection


PORT = Fields((("hostPort", LEAF), ("name", LEAF)))


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        pytest.param(("metadata", "uid"), LEAF, id="identity"),
        pytest.param(("metadata", "ownerReferences"), None, id="owners-checked-below"),
        pytest.param(("spec", "ports"), Items(PORT), id="a list of structs keeps their fields, renamed"),
        pytest.param(("spec", "byName"), Values(PORT), id="a map of structs"),
        pytest.param(("spec", "tags"), LEAF, id="a list of scalars is whole"),
        pytest.param(("spec", "x-odd/name"), LEAF, id="a name given by hand"),
        pytest.param(("spec", "maybe"), PORT, id="optional"),
        pytest.param(("spec", "template"), LEAF, id="raw"),
    ],
)
def test_a_type_is_projected_to_the_fields_it_declares(
    path: tuple[str, ...], shape: Projection | None
) -> None:
    found = at(projection_of(Gadget), *path)
    assert found is not None
    assert shape is None or found == shape


def test_what_a_type_does_not_declare_is_not_in_its_projection() -> None:
    assert at(projection_of(Pod), "metadata", "managedFields") is None
    assert at(projection_of(Pod), "spec", "volumes") is None


@pytest.mark.parametrize("type_", [Pod, ReplicaSet, Gadget])
def test_a_projection_survives_the_wire_and_its_own_check(type_: type[Resource[Spec]]) -> None:
    projection = projection_of(type_)
    check(projection)
    assert decode(encode(projection)) == projection
    assert hash(decode(encode(projection))) == hash(projection)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        pytest.param(
            Fields((("a", LEAF),)), Fields((("b", LEAF),)), Fields((("a", LEAF), ("b", LEAF))), id="members"
        ),
        pytest.param(Fields((("a", LEAF),)), LEAF, LEAF, id="the whole wins"),
        pytest.param(
            Items(Fields((("a", LEAF),))),
            Items(Fields((("b", LEAF),))),
            Items(Fields((("a", LEAF), ("b", LEAF)))),
            id="items",
        ),
        pytest.param(Items(PORT), Values(PORT), LEAF, id="contradicting shapes"),
    ],
)
def test_a_union_keeps_what_either_keeps(one: Projection, other: Projection, both: Projection) -> None:
    assert union(one, other) == both
    assert union(other, one) == both
    assert union(both, one) == both


def nested(levels: int) -> Projection:
    projection: Projection = LEAF
    for _ in range(levels):
        projection = Items(projection)
    return projection


@pytest.mark.parametrize(
    "projection",
    [
        pytest.param(nested(DEEPEST + 1), id="deep"),
        pytest.param(Fields(tuple((f"f{n:05}", LEAF) for n in range(LARGEST + 1))), id="wide"),
        pytest.param(Fields((("", LEAF),)), id="no name"),
        pytest.param(Fields((("x" * 400, LEAF),)), id="long name"),
        pytest.param(Fields((("b", LEAF), ("a", LEAF))), id="unsorted"),
        pytest.param(Fields((("a", LEAF), ("a", LEAF))), id="twice"),
    ],
)
def test_a_projection_from_outside_is_bounded(projection: Projection) -> None:
    with pytest.raises(ValueError, match="projection"):
        check(projection)


def test_a_bottomless_projection_is_refused_without_recursion() -> None:
    text = b'{"type":"items","each":' * 100_000 + b'{"type":"leaf"}' + b"}" * 100_000
    with pytest.raises(ValueError, match="projection too large"):
        decode(text)


def test_identity_is_part_of_every_projection() -> None:
    assert union(projection_of(Gadget), IDENTITY) == projection_of(Gadget)
