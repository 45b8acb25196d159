"""What discovery documents say, aggregated and of old, right and wrong."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcm.client.discovery import Discovery, ResourceFilter, Served, discover, select
from kcm.client.errors import NotFound, Status
from kcm.objects import ResourceType
from kcm.testing.virtual import run

ALL = ["get", "list", "watch", "delete"]
PODS = ResourceType("v1", "Pod", "pods")
NODES = ResourceType("v1", "Node", "nodes", False)
SCALES = ResourceType("apps/v1", "Deployment", "deployments")


class Server:
    """Answers paths with documents."""

    def __init__(self, documents: dict[str, Any]) -> None:
        self._documents = documents
        self.asked: list[str] = []

    async def get_path(self, path: str, accept: str = "") -> bytes:
        self.asked.append(path)
        if path not in self._documents:
            raise NotFound(path, Status(code=404))
        return msgspec.json.encode(self._documents[path])


def found(documents: dict[str, Any]) -> Discovery:
    server: Any = Server(documents)
    return run(discover(server))


def resource(plural: str, kind: str | None, scope: str = "Namespaced", verbs: Any = ALL) -> Any:
    return {
        "resource": plural,
        "responseKind": kind and {"kind": kind, "group": "", "version": "v1"},
        "scope": scope,
        "verbs": verbs,
        "subresources": [{"subresource": "status", "verbs": ["get"]}],
    }


def group(name: str, **versions: Any) -> Any:
    listed = [
        {"version": version, "freshness": "Current", **content}
        if isinstance(content, dict)
        else {"version": version, "freshness": "Current", "resources": content}
        for version, content in versions.items()
    ]
    return {"metadata": {"name": name} if name else {}, "versions": listed}


def aggregated(*groups: Any) -> Any:
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": list(groups)}


def test_aggregated_discovery_takes_two_requests() -> None:
    core = aggregated(group("", v1=[resource("pods", "Pod"), resource("nodes", "Node", "Cluster")]))
    server: Any = Server({"/api": core, "/apis": aggregated()})
    discovered = run(discover(server))
    assert [each.resource for each in discovered.served] == [PODS, NODES]
    assert server.asked == ["/api", "/apis"]


def test_a_group_whose_server_is_away_is_named_and_spoils_nothing() -> None:
    stale = group("metrics.k8s.io", v1={"freshness": "Stale", "resources": []})
    apis = aggregated(stale, group("apps", v1=[resource("deployments", "Deployment")]))
    discovered = found({"/api": aggregated(), "/apis": apis})
    assert [each.resource for each in discovered.served] == [SCALES]
    assert discovered.failed == ("metrics.k8s.io/v1",)


def test_what_a_failed_group_had_before_stays_and_nothing_else() -> None:
    before = Discovery((Served(SCALES, ("list",)), Served(PODS, ("list",))))
    after = Discovery((Served(NODES, ("list",)),), ("apps/v1",)).after(before)
    assert {each.resource for each in after.served} == {SCALES, NODES}


def test_an_old_server_is_asked_group_by_group_and_one_that_fails_is_left_out() -> None:
    listed = {"name": "pods", "kind": "Pod", "namespaced": True, "verbs": ALL}
    status = {"name": "pods/status", "kind": "Pod", "namespaced": True, "verbs": ["get"]}
    documents = {
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {
            "groups": [
                {"name": "apps", "versions": [{"version": "v1"}], "preferredVersion": {"version": "v1"}},
                {"name": "gone", "versions": [{"version": "v1"}], "preferredVersion": {"version": "v1"}},
            ]
        },
        "/api/v1": {"resources": [listed, status]},
        "/apis/apps/v1": {"resources": [{**listed, "name": "deployments", "kind": "Deployment"}]},
    }
    discovered = found(documents)
    assert [each.resource for each in discovered.served] == [PODS, SCALES]
    assert discovered.failed == ("gone/v1",)


@pytest.mark.parametrize(
    "wrong",
    [
        resource("", "Pod"),
        resource("pods/../secrets", "Pod"),
        resource("pods?watch=1", None),
        resource("x" * 300, "Pod"),
    ],
)
def test_what_cannot_be_a_resource_is_left_out(wrong: Any) -> None:
    core = aggregated(group("", v1=[wrong, resource("nodes", "Node", "Cluster")]))
    assert [each.resource for each in found({"/api": core, "/apis": aggregated()}).served] == [NODES]


@pytest.mark.parametrize("body", [[], "text", {"kind": 1}, {"kind": "APIGroupDiscoveryList", "items": 5}])
def test_a_document_that_makes_no_sense_is_an_error(body: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - msgspec's, of several kinds
        found({"/api": aggregated() if isinstance(body, dict) else body, "/apis": body})


@given(
    st.recursive(st.none() | st.booleans() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_any_document_is_read_or_refused(body: Any) -> None:
    for documents in ({"/api": body, "/apis": body}, {"/api": aggregated(), "/apis": body}):
        try:
            found(documents)
        except (ValueError, NotFound):
            pass


def test_of_several_versions_the_preferred_one_that_can_is_selected_once() -> None:
    old, new = ResourceType("apps/v1beta1", "Deployment", "deployments"), SCALES
    served = [
        Served(new, ("get",), 0),
        Served(old, tuple(ALL), 1),
        Served(ResourceType("apps/v1alpha1", "Deployment", "deployments"), tuple(ALL), 2),
    ]
    assert select(served, ResourceFilter()) == (old,)


def test_a_filter_leaves_out_resources_and_whole_groups() -> None:
    events = Served(ResourceType("events.k8s.io/v1", "Event", "events"), tuple(ALL))
    metrics = Served(ResourceType("metrics.k8s.io/v1", "PodMetrics", "pods"), tuple(ALL))
    wanted = ResourceFilter(excluded=("events", "events.events.k8s.io", "*.metrics.k8s.io"))
    core = Served(ResourceType("v1", "Event", "events"), tuple(ALL))
    pods = Served(PODS, tuple(ALL))
    assert select((events, metrics, core, pods), wanted) == (PODS,)
