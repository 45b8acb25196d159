"""Custom resources declared as classes: what `kcm crd` prints, an API server takes and keeps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
import yaml
from msgspec import Meta

from kcm.base.errors import ConfigurationError
from kcm.cache.typed import reader
from kcm.cli.crd import definitions_of
from kcm.cli.main import main
from kcm.objects import Column, ObjectMeta, ObservedCondition, Resource, Scale, Spec
from kcm.objects.definitions import definition_of
from kcm.objects.schemas import SchemaError
from kcm.runtime.applier import encode_object
from kcm.testing.virtual import run
from kcm.testing.world import World

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SHOPS = "/apis/shops.example.com/v1/namespaces/default/shops"


class Shelf(Spec, frozen=True):
    """Where things lie."""

    name: str
    levels: Annotated[int, Meta(ge=1, le=9, description="How many boards it has.")] = 3


class ShopSpec(Spec, frozen=True):
    """What the owner wants."""

    street: Annotated[str, Meta(pattern="^[A-Z]", max_length=60)]
    """Where it is; begins with a
    capital letter."""

    replicas: int = 1
    kind_of: Literal["grocer", "baker"] = "grocer"
    shelves: tuple[Shelf, ...] = ()
    main_shelf: Shelf | None = None
    door: Shelf = Shelf(name="door", levels=1)
    prices: Mapping[str, float] = {}
    open_share: int | str = "100%"
    holidays: frozenset[str] = frozenset()
    since: datetime | None = None
    anything: msgspec.Raw = msgspec.Raw(b"{}")
    tags: Mapping[str, Any] = {}


Even = Annotated[
    int,
    Meta(
        extra_json_schema={
            "x-kubernetes-validations": [{"rule": "self % 2 == 0", "message": "must be even"}],
            "format": "int32",
        }
    ),
]


class ShopStatus(Spec, frozen=True):
    """What was seen."""

    replicas: int = 0
    shown: int = 7
    conditions: tuple[ObservedCondition, ...] = ()


class Shop(Resource[ShopSpec], frozen=True, kw_only=True):
    """A shop."""

    api, kind, plural = "shops.example.com/v1", "Shop", "shops"
    short_names = ("sh",)
    categories = ("all",)
    columns = (
        Column("Street", ".spec.street", description="Where."),
        Column("Age", ".metadata.creationTimestamp", "date", wide=True),
    )
    scale = Scale()

    metadata: ObjectMeta
    spec: ShopSpec
    status: ShopStatus = ShopStatus()


def in_a_world(story: Any, *definitions: Any) -> None:
    async def live() -> None:
        async with World(nodes=0) as world:
            for each in definitions:
                # Through YAML, as it is printed.
                await world.call("POST", CRDS, yaml.safe_load(yaml.safe_dump(each)))
            await world.clock.sleep(1)
            await story(world)

    run(live())


def test_what_was_written_as_a_value_is_read_as_the_same_value() -> None:
    spec = ShopSpec(
        street="Main Street",
        replicas=4,
        shelves=(Shelf("a"), Shelf("b", 5)),
        prices={"bread": 2.5},
        open_share=3,
        holidays=frozenset({"mon"}),
        since=datetime(2026, 1, 1, tzinfo=UTC),
        anything=msgspec.Raw(b'{"deep":[1,{"er":null}]}'),
        tags={"free": {"form": True}},
    )
    shop = Shop(metadata=ObjectMeta(name="one", namespace="default"), spec=spec)

    async def story(world: World) -> None:
        sent = msgspec.json.decode(encode_object(shop))
        answer = await world.call("POST", SHOPS, sent)
        found = reader(Shop)(msgspec.json.encode(answer))
        assert msgspec.structs.replace(found.spec, anything=spec.anything) == spec
        assert msgspec.json.decode(found.spec.anything) == {"deep": [1, {"er": None}]}
        # The server holds the defaults as well: whoever reads it with kubectl sees them.
        assert answer["spec"]["kindOf"] == "grocer"
        assert answer["spec"]["door"] == {"name": "door", "levels": 1}
        assert answer["spec"]["shelves"][0] == {"name": "a", "levels": 3}
        assert "status" not in answer
        table = await world.call("GET", f"{SHOPS}/one/scale")
        assert table["spec"]["replicas"] == 4

    in_a_world(story, definition_of(Shop))


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        pytest.param({}, "spec.street", id="a required field"),
        pytest.param({"street": "main"}, "spec.street", id="a pattern"),
        pytest.param({"street": "M", "kindOf": "smith"}, "spec.kindOf", id="a choice"),
        pytest.param({"street": "M", "shelves": [{"name": "a", "levels": 10}]}, "levels", id="a bound"),
        pytest.param({"street": "M", "replicas": "two"}, "spec.replicas", id="a type"),
        pytest.param({"street": "M", "openShare": True}, "spec.openShare", id="neither number nor text"),
    ],
)
def test_what_the_class_forbids_the_server_forbids(spec: dict[str, Any], field: str) -> None:
    async def story(world: World) -> None:
        head = {"apiVersion": "shops.example.com/v1", "kind": "Shop", "metadata": {"name": "one"}}
        with pytest.raises(AssertionError, match=f"422.*{field}"):
            await world.call("POST", SHOPS, {**head, "spec": spec})

    in_a_world(story, definition_of(Shop))


def test_descriptions_come_from_docstrings_texts_behind_fields_and_meta() -> None:
    (version,) = definition_of(Shop)["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    spec = schema["properties"]["spec"]
    assert (schema["description"], spec["description"]) == ("A shop.", "What the owner wants.")
    assert spec["properties"]["street"]["description"] == "Where it is; begins with a\ncapital letter."
    shelf = spec["properties"]["shelves"]["items"]
    assert shelf["properties"]["levels"]["description"] == "How many boards it has."


def test_a_status_has_no_defaults_and_a_spec_has() -> None:
    (version,) = definition_of(Shop)["spec"]["versions"]
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    assert "default" not in properties["status"]["properties"]["shown"]
    assert properties["spec"]["properties"]["replicas"]["default"] == 1
    assert version["subresources"] == {
        "status": {},
        "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
    }


def test_a_group_of_the_community_is_marked_as_not_approved() -> None:
    class Borrowed(Resource[ShopSpec], frozen=True, kw_only=True):
        api, kind, plural = "samplecrd.k8s.io/v1", "Borrowed", "borrowed"
        namespaced = False
        metadata: ObjectMeta
        spec: ShopSpec

    definition = definition_of(Borrowed)
    assert "api-approved.kubernetes.io" in definition["metadata"]["annotations"]
    assert definition["spec"]["scope"] == "Cluster"

    async def story(world: World) -> None:
        path = "/apis/samplecrd.k8s.io/v1/borrowed"
        head = {"apiVersion": "samplecrd.k8s.io/v1", "kind": "Borrowed", "metadata": {"name": "x"}}
        await world.call("POST", path, {**head, "spec": {"street": "M"}})

    in_a_world(story, definition)


class PairSpec(Spec, frozen=True):
    count: Even = 2


class Pair(Resource[PairSpec], frozen=True, kw_only=True):
    api, kind, plural = "shops.example.com/v1", "Pair", "pairs"
    metadata: ObjectMeta
    spec: PairSpec = PairSpec()


def test_what_msgspec_does_not_know_rides_along_in_meta() -> None:
    (version,) = definition_of(Pair)["spec"]["versions"]
    count = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["count"]
    assert count["x-kubernetes-validations"][0]["rule"] == "self % 2 == 0"
    assert (count["type"], count["format"], count["default"]) == ("integer", "int32", 2)


class Node(Spec, frozen=True):
    """Nests itself."""

    child: Node | None = None


class Mixed(Spec, frozen=True):
    value: int | tuple[str, ...] = 0


class Lookahead(Spec, frozen=True):
    value: Annotated[str, Meta(pattern="^(?!x)")] = ""


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        pytest.param(Node, "in itself", id="a type that nests itself"),
        pytest.param(Mixed, r"Odd.spec.value: a choice between types", id="a choice between types"),
        pytest.param(Lookahead, "does not know", id="a pattern that Go does not have"),
    ],
)
def test_what_has_no_structural_schema_is_refused_with_its_place(spec: Any, reason: str) -> None:
    names = {"api": "a.dev/v1", "kind": "Odd", "plural": "odds", "__annotations__": {"spec": spec}}
    odd: Any = type("Odd", (Resource,), {**names, "spec": spec()}, frozen=True, kw_only=True)
    with pytest.raises(SchemaError, match=reason):
        definition_of(odd)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        pytest.param({"api": "v1"}, "expected a group and a version", id="no group"),
        pytest.param({"api": "Acme/v1"}, "expected a group and a version", id="a group that is no domain"),
        pytest.param({"kind": "shop"}, "CamelCase", id="a kind in lower case"),
        pytest.param({"plural": "Shops"}, "lower-case", id="a plural in upper case"),
    ],
)
def test_names_that_no_server_takes_are_refused(attributes: dict[str, str], reason: str) -> None:
    names = {"api": "a.dev/v1", "kind": "Odd", "plural": "odds", **attributes}
    odd: Any = type("Odd", (Shop,), names, frozen=True, kw_only=True)
    with pytest.raises(SchemaError, match=reason):
        definition_of(odd)


MODULE = '''
from kcm.objects import ObjectMeta, Pod, Resource, Spec

class ThingSpec(Spec, frozen=True):
    size: int = 2

class Thing(Resource[ThingSpec], frozen=True, kw_only=True):
    """A thing."""
    api, kind, plural = "things.dev/v1", "Thing", "things"
    metadata: ObjectMeta
    spec: ThingSpec = ThingSpec()

class Other(Thing, frozen=True, kw_only=True):
    kind, plural = "Other", "others"
'''


def test_the_command_prints_what_can_be_applied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "things_of_mine.py").write_text(MODULE)
    assert main(["crd", f"{tmp_path}/things_of_mine.py:Thing", f"{tmp_path}/things_of_mine.py"]) == 0
    printed = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [each["metadata"]["name"] for each in printed] == [
        "things.things.dev",
        "things.things.dev",
        "others.things.dev",
    ]
    spec = printed[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert spec["properties"]["size"]["default"] == 2
    assert spec["default"] == {}


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        pytest.param("kcm.objects:Nothing", "Nothing does not exist", id="no such class"),
        pytest.param("kcm.objects:Key", "Key is not a class derived from", id="no resource"),
        pytest.param("nobody_has_this:X", "cannot import nobody_has_this", id="no such module"),
        pytest.param("./nobody.py", "there is no file", id="no such file"),
        pytest.param("json", "declares no class", id="nothing in it"),
    ],
)
def test_a_target_that_means_nothing_is_refused_in_one_line(target: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as raised:
        list(definitions_of(target))
    assert "\n" not in str(raised.value)
