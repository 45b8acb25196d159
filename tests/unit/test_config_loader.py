"""Reading the configuration: what is taken, what is refused, and what the refusal says."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcm import Controller
from kcm.base.errors import ConfigurationError
from kcm.config import schema
from kcm.config.binding import bind
from kcm.config.loader import check_config, load, parse
from kcm.config.schema import Configuration, ControllerConfig
from kcm.config.selection import Installed

HEAD = "apiVersion: kcm.dev/v1alpha1\nkind: ManagerConfiguration\n"
SHIPPED = Path(__file__).parents[2] / "config" / "kcm.yaml"


def read(text: str) -> Configuration:
    return parse((HEAD + text).encode(), "f.yaml")


def refusal(text: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    assert "\n" not in str(caught.value)
    return caught.value


def test_the_shipped_file_is_the_defaults() -> None:
    assert load(SHIPPED) == Configuration()


def sections() -> list[type[msgspec.Struct]]:
    found = [member for member in vars(schema).values() if inspect.isclass(member)]
    return [member for member in found if issubclass(member, schema.Section) and member is not schema.Section]


@pytest.mark.parametrize("section", sections(), ids=lambda section: section.__name__)
def test_the_shipped_file_mentions_every_field(section: type[msgspec.Struct]) -> None:
    text = SHIPPED.read_text()
    missing = [f.encode_name for f in msgspec.structs.fields(section) if f"{f.encode_name}:" not in text]
    assert missing == []


def test_the_example_controller_in_the_shipped_file_is_the_default_too() -> None:
    text = SHIPPED.read_text().replace("controllers: {}", "controllers:").replace("\n#  ", "\n  ")
    own = parse(text.encode(), "f.yaml").controller("replicaset")
    default = Configuration().controller("replicaset")
    assert own.workers == Controller.workers
    assert own.reconcile_timeout == Controller.reconcile_timeout
    assert msgspec.structs.replace(own, enabled=None, workers=None, reconcile_timeout=None) == default


def test_every_field_of_the_schema_is_documented() -> None:
    tree = ast.parse(inspect.getsource(schema))
    bare = []
    for section in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for field, after in zip(section.body, [*section.body[1:], None], strict=True):
            documented = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if isinstance(field, ast.AnnAssign) and not documented and section.name != "Span":
                bare.append(f"{section.name}.{ast.unparse(field.target)}")
    assert bare == []


def test_a_head_alone_is_a_whole_configuration() -> None:
    assert read("") == Configuration()


def test_values_reach_their_fields() -> None:
    read_ = read(
        "client: {qps: 0, execPlugins: [/usr/bin/login]}\n"
        "leaderElection: {leaseDuration: 1m, renewDeadline: 40}\n"
        "controllers:\n"
        "  replicaset: {workers: 9, process: both, settings: {a: [1, {b: c}], d: null}}\n"
        "  hpa:\n"
    )
    assert read_.client.qps == 0
    assert read_.client.exec_plugins == ("/usr/bin/login",)
    assert (read_.leader_election.lease_duration, read_.leader_election.renew_deadline) == (60.0, 40.0)
    own = read_.controller("replicaset")
    assert (own.workers, own.process, own.qps, own.burst) == (9, "both", 0, 30)
    assert own.settings == {"a": [1, {"b": "c"}], "d": None}
    assert read_.controller("hpa").process == "hpa"


@pytest.mark.parametrize(
    ("text", "where", "key", "reason"),
    [
        pytest.param(
            "controllers:\n  replicaset:\n    workers: many",
            "f.yaml:5",
            "controllers.replicaset.workers",
            "expected a whole number, found the text 'many'",
            id="a wrong type names line and path",
        ),
        pytest.param(
            "controllers: {replicaset: {wokers: 1}}",
            "f.yaml:3",
            "controllers.replicaset.wokers",
            "is unknown; did you mean workers?",
            id="a typo gets a suggestion",
        ),
        pytest.param(
            "cache: {resync_period: 1}",
            "f.yaml:3",
            "cache.resync_period",
            "is unknown; did you mean resyncPeriod?",
            id="another spelling gets a suggestion",
        ),
        pytest.param(
            "logging: {volume: 1}",
            "f.yaml:3",
            "logging.volume",
            "is unknown; known: format, level",
            id="something else gets the list",
        ),
        pytest.param(
            "serving: {port: 70000}",
            "f.yaml:3",
            "serving.port",
            "must be at most 65535, found 70000",
            id="port",
        ),
        pytest.param(
            "serving: {port: '80'}",
            "f.yaml:3",
            "serving.port",
            "expected a whole number, found the text '80'",
            id="no type is guessed",
        ),
        pytest.param(
            "controllers: {a: {workers: 0}}",
            "f.yaml:3",
            "controllers.a.workers",
            "must be at least 1, found 0",
            id="0",
        ),
        pytest.param(
            "controllers: {a: {enabled: yes}}",
            "f.yaml:3",
            "controllers.a.enabled",
            "expected true or false, found the text 'yes'; write true or false",
            id="yes is text",
        ),
        pytest.param(
            "controllers: {a: {qps: fast}}",
            "f.yaml:3",
            "controllers.a.qps",
            "expected a number, found the text 'fast'",
            id="optional number",
        ),
        pytest.param(
            "controllers: {A_b: {}}",
            "f.yaml:3",
            "controllers.A_b",
            "'A_b' is not valid here; expected a name of lower-case letters, digits and -, at most 63",
            id="name",
        ),
        pytest.param(
            "logging: {level: loud}",
            "f.yaml:3",
            "logging.level",
            "'loud' is none of debug, info, warning, error",
            id="choice",
        ),
        pytest.param(
            "hosts: {startTimeout: 3h}",
            "f.yaml:3",
            "hosts.startTimeout",
            "must be between 1s and 10m, found 3h",
            id="duration out of bounds",
        ),
        pytest.param(
            "client: {execPlugins: [/a, 5]}",
            "f.yaml:3",
            "client.execPlugins[1]",
            "expected text, found 5",
            id="list item",
        ),
        pytest.param(
            "client: {execPlugins: /a}",
            "f.yaml:3",
            "client.execPlugins",
            "expected a list, found the text '/a'",
            id="list",
        ),
        pytest.param(
            "serving: 3", "f.yaml:3", "serving", "expected a section of keys, found 3", id="section"
        ),
        pytest.param(
            "serving:\n  port: 1\n  port: 1",
            "f.yaml:5",
            "serving.port",
            "stands twice, first on line 4",
            id="twice",
        ),
        pytest.param(
            "client: {qps: .nan}",
            "f.yaml:3",
            "client.qps",
            "expected a number, found the text '.nan'",
            id="nan",
        ),
    ],
)
def test_a_wrong_value_is_named_with_line_path_and_reason(
    text: str, where: str, key: str, reason: str
) -> None:
    error = refusal(text)
    assert (error.where, error.key, error.reason) == (where, key, reason)


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ("leaderElection: {leaseDuration: 14s}", "leaderElection.leaseDuration", "must be longer than 14s"),
        ("client: {writeTimeout: 5s}", "leaderElection.leaseDuration", "client.writeTimeout (5s)"),
        ("hosts: {stopTime: 2s}", "leaderElection.leaseDuration", "hosts.stopTime (2s)"),
        ("leaderElection: {leaseDuration: 15.5}", "leaderElection.leaseDuration", "whole seconds"),
        ("leaderElection: {retryPeriod: 9s}", "leaderElection.renewDeadline", "1.2 × retryPeriod (9s)"),
        ("serving: {tlsCertFile: a}", "serving.tlsKeyFile", "go together"),
        ("hosts: {hangDeadline: 2s}", "hosts.hangDeadline", "3 × heartbeatPeriod (1s)"),
        ("hosts: {restartBackoff: 2m}", "hosts.restartBackoffMax", "less than restartBackoff (2m)"),
        ("client: {execPlugins: [login]}", "client.execPlugins", "no absolute path"),
        ("client: {master: 'file:///x'}", "client.master", "no http or https URL"),
    ],
)
def test_fields_that_do_not_fit_each_other_are_refused(text: str, key: str, says: str) -> None:
    error = refusal(text)
    assert error.key == key
    assert says in error.reason


def test_without_an_election_its_timings_do_not_matter() -> None:
    assert not read("leaderElection: {enabled: false, leaseDuration: 2s}").leader_election.enabled


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"# nothing\n", "is empty"),
        (b"[]", "apiVersion: is missing"),
        (b"kind: ManagerConfiguration", "apiVersion: is missing; write apiVersion: kcm.dev/v1alpha1"),
        (b"apiVersion: apps/v1\nkind: ReplicaSet", "must be kcm.dev/v1alpha1, found 'apps/v1'"),
        (HEAD.replace("Manager", "Manger").encode(), "kind: must be ManagerConfiguration"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"a: [", "is not valid YAML"),
        (b"a: \x00", "is not valid YAML"),
        (b"\t- a", "is not valid YAML"),
        (b"--- a\n--- b", "is not valid YAML"),
        (b"a: *missing", "is not valid YAML"),
        (b"[" * 5000, "nested too deeply"),
        (b"a: " + b"x" * 70_000, "larger than 64 KiB"),
        (HEAD.encode() + b"? [a]\n: 1", "a key must be text"),
        (HEAD.encode() + b"serving: !!python/object:os.system {}", "is not taken"),
        (HEAD.encode() + b"serving: {address: !!binary aaaa}", "is not taken"),
        (HEAD.encode() + b"serving: {port: !!int many}", "'many' is not taken as"),
        (HEAD.encode() + b"serving: {port: !!int " + b"9" * 5000 + b"}", "is not taken as"),
        (HEAD.encode() + b"serving: {enabled: !!bool maybe}", "'maybe' is not taken as"),
        (HEAD.encode() + b"controllers: {a: {settings: {x: [!!float inf]}}}", "settings.x[0]: 'inf' is not"),
        (HEAD.encode() + b"controllers: {a: {settings: {x: 1e999}}}", "settings.x: '1e999' is not"),
        (HEAD.encode() + b"serving: {!!set {a}: 1}", "a key must be text"),
        (HEAD.encode() + b'"a\\nb": 1', "a\\nb: is unknown"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(data: bytes, says: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^f\.yaml") as caught:
        parse(data, "f.yaml")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_alias_bomb_is_refused_before_it_grows() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    assert "once its anchors are expanded" in refusal("\n".join(lines)).reason


def test_an_anchor_that_contains_itself_is_refused() -> None:
    assert "nested too deeply" in refusal("serving: &a {x: *a}").reason


def test_an_honest_anchor_is_taken() -> None:
    both = read("controllers:\n  a: &same {workers: 2}\n  b: *same").controllers
    assert both["a"] == both["b"] == ControllerConfig(workers=2)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.yaml: cannot be read: No such file"):
        load(tmp_path / "gone.yaml")
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_check_config_also_checks_the_controllers_names(tmp_path: Path) -> None:
    file = tmp_path / "kcm.yaml"
    file.write_text(HEAD + "controllers: {replicasets: {}}")
    assert "replicasets" in check_config(file).controllers
    with pytest.raises(
        ConfigurationError, match=r"controllers\.replicasets: there is no controller"
    ) as caught:
        check_config(file, [Installed("replicaset")])
    assert "did you mean replicaset?" in caught.value.reason


class _Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    burst_replicas: int = 500


def test_a_controllers_own_settings_are_bound_the_same_way() -> None:
    assert bind(_Settings, {"burstReplicas": 3}, "kcm.yaml", "controllers.x.settings").burst_replicas == 3
    with pytest.raises(ConfigurationError, match=r"kcm\.yaml: controllers\.x\.settings\.burst: is unknown"):
        bind(_Settings, {"burst": 3}, "kcm.yaml", "controllers.x.settings")


def test_a_section_survives_the_way_to_a_host_as_json() -> None:
    own = read("controllers: {a: {settings: {x: [1]}}}").controller("a")
    assert msgspec.json.decode(msgspec.json.encode(own), type=ControllerConfig) == own


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.text(max_size=2)
                | st.sampled_from(
                    [*(f.encode_name for s in sections() for f in msgspec.structs.fields(s)), "x"]
                ),
                inner,
                max_size=3,
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_is_written_is_bound_or_refused_and_never_breaks(value: object) -> None:
    wrapped = value if isinstance(value, dict) else {"serving": value}
    said = ""
    try:
        bind(Configuration, wrapped, "f.yaml")
    except ConfigurationError as error:
        said = str(error)
    assert "\n" not in said


YAMLISH = st.text(st.sampled_from("ab:-?[]{}&*!|>'\"#%@,\n \t01.e~<=\u2028é"), max_size=40)


@given(st.binary(max_size=40) | YAMLISH.map(str.encode), st.booleans())
def test_no_bytes_do_more_than_be_refused_in_one_line(data: bytes, headed: bool) -> None:
    said = ""
    try:
        parse(HEAD.encode() + data if headed else data, "f.yaml")
    except ConfigurationError as error:
        said = str(error)
    assert "\n" not in said
