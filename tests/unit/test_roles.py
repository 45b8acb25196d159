"""Roles from declarations: what is granted, where, and what the shipped roles have to do with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from controllers.deployment import DeploymentController
from controllers.replicaset import ReplicaSetController
from kcm import Cache, Context, Controller, Done, Key, Result, anything, owns, primary, watches, writes
from kcm.cli.rbac import roles_text
from kcm.objects import ConfigMap, Namespace, Pod
from kcm.runtime.roles import READS, Right, rights_of, roles

SHIPPED = Path(__file__).parents[2] / "deploy" / "controllers"


class Plain(Controller[Pod, Pod]):
    """Does nothing."""

    name = "plain"
    watches = (primary(Pod),)

    def observe(self, cache: Cache, key: Key) -> Pod | None:
        return None

    async def reconcile(self, ctx: Context, seen: Pod) -> Result:
        return Done()


class Looking(Plain):
    """Says that it writes nothing."""

    writes = ()


class Silent(Plain):
    """Says nothing of what it writes."""

    watches = primary(Pod), owns(ConfigMap), watches(Namespace, to=lambda namespace: ())


class Wide(Plain):
    """Scales whatever it is told to."""

    writes = anything("scale")


class Local(Plain):
    """Lives in one namespace."""

    watches = primary(Pod, namespace="shop"), owns(ConfigMap, namespace="shop")
    writes = (writes(ConfigMap, "apply", "delete"), writes(Pod, "status"), writes(Namespace, "patch"))


def test_a_controller_that_only_looks_may_only_look() -> None:
    assert {(right.resource, right.verb) for right in rights_of(Looking)} == {
        ("pods", "get"),
        ("pods", "list"),
        ("pods", "watch"),
    }


def test_one_that_does_not_say_what_it_writes_may_do_what_its_watches_imply() -> None:
    reads = {(name, verb) for name in ("pods", "configmaps", "namespaces") for verb in READS}
    own = {("pods", "patch"), ("pods/status", "patch"), ("pods/finalizers", "update")}
    owned = {("configmaps", verb) for verb in ("create", "patch", "delete")}
    assert {(right.resource, right.verb) for right in rights_of(Silent)} == reads | own | owned
    assert roles_text([Silent], "n", "a", "h").startswith("# Silent has no `writes`")


def test_one_that_writes_objects_of_every_type_says_so_in_its_role() -> None:
    assert rights_of(Wide) - rights_of(Looking) == {Right("", "*", "*/scale", "patch")}
    assert roles_text([Wide], "n", "a", "h").startswith("# Wide may write objects of every type")


def test_what_is_watched_in_one_namespace_is_granted_there_and_the_rest_everywhere() -> None:
    made = roles([Local], "mine", "account", "home")
    assert [(each["kind"], each["metadata"].get("namespace")) for each in made] == [
        ("ClusterRole", None),
        ("ClusterRoleBinding", None),
        ("Role", "shop"),
        ("RoleBinding", "shop"),
    ]
    assert made[0]["rules"] == [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["patch"]}]
    local = {tuple(rule["resources"]): rule["verbs"] for rule in made[2]["rules"]}
    assert local == {
        ("configmaps",): ["get", "list", "watch", "create", "patch", "delete"],
        ("pods",): ["get", "list", "watch"],
        ("pods/finalizers",): ["update"],
        ("pods/status",): ["patch"],
    }
    assert made[3]["subjects"] == [{"kind": "ServiceAccount", "name": "account", "namespace": "home"}]
    assert made == roles([Local], "mine", "account", "home")


@pytest.mark.parametrize(
    ("name", "controller"),
    [("replicaset", ReplicaSetController), ("deployment", DeploymentController)],
)
def test_the_shipped_roles_are_what_the_declarations_take(
    name: str, controller: type[Controller[Any, Any]]
) -> None:
    documents = yaml.safe_load_all((SHIPPED / name / "role.yaml").read_text())
    (role,) = (each for each in documents if each["kind"] == "ClusterRole")
    shipped = {
        Right("", group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    derived = rights_of(controller)
    assert shipped <= derived
    # By hand it is known what is never looked at live.
    assert {right.verb for right in derived - shipped} <= {"get"}
