"""What a cluster allocates for Services, and the taint that new nodes begin with."""

from __future__ import annotations

import pytest

SERVICES = "/api/v1/namespaces/default/services"


def service(name="a", **spec):
    return {"metadata": {"name": name}, "spec": {"ports": [{"name": "p", "port": 80}], **spec}}


def test_addresses_are_given_out_once(play):
    async def check(api):
        made = [(await api.post(SERVICES, service(f"s{n}"))).body["spec"] for n in range(3)]
        assert len({spec["clusterIP"] for spec in made}) == 3
        assert all(spec["clusterIPs"] == [spec["clusterIP"]] for spec in made)
        again = await api.post(SERVICES, service("b", clusterIP=made[0]["clusterIP"]))
        assert (again.status, again.body["details"]["causes"][0]["field"]) == (422, "spec.clusterIPs")
        assert "provided IP is already allocated" in again.body["message"]
        assert (await api.post(SERVICES, service("b", clusterIP="1.2.3.4"))).status == 422
        assert (await api.post(SERVICES, service("b", clusterIP="None"))).body["spec"]["clusterIPs"] == [
            "None"
        ]

    play(check)


@pytest.mark.parametrize("gone", [{"clusterIP": None}, {"clusterIP": None, "clusterIPs": None}])
def test_an_address_that_an_update_leaves_out_stays(play, gone):
    async def check(api):
        before = (await api.post(SERVICES, service())).body
        after = await api.patch(f"{SERVICES}/a", {"spec": gone})
        assert after.body == before
        sent = {**service(), "metadata": {"name": "a"}}
        assert (await api.put(f"{SERVICES}/a", sent)).body["spec"] == before["spec"]

    play(check)


def test_a_type_brings_and_takes_what_belongs_to_it(play):
    async def check(api):
        async def become(**spec):
            return (await api.patch(f"{SERVICES}/a", {"spec": spec})).body["spec"]

        first = (await api.post(SERVICES, service())).body["spec"]
        port = (await become(type="NodePort"))["ports"][0]["nodePort"]
        assert 30_000 <= port <= 32_767
        taken = await api.post(SERVICES, service("b", type="NodePort", ports=[{"port": 1, "nodePort": port}]))
        assert "provided port is already allocated" in taken.body["message"]
        assert await become(type="ClusterIP") == first
        outside = await become(type="ExternalName", externalName="x.example")
        assert "clusterIP" not in outside
        assert "clusterIPs" not in outside
        assert "clusterIP" in await become(type="ClusterIP", externalName=None)

    play(check)


def test_a_new_node_is_tainted_until_it_is_seen_ready(play):
    async def check(api):
        taint = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
        made = await api.post("/api/v1/nodes", {"metadata": {"name": "n"}})
        assert made.body["spec"]["taints"] == [taint]

    play(check)


def test_a_pod_is_bound_by_the_old_path(play):
    async def check(api):
        pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        await api.post("/api/v1/namespaces/default/pods", pod)
        binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}
        path = "/api/v1/namespaces/default/bindings"
        assert (await api.post(path, binding)).status == 201
        assert (await api.get("/api/v1/namespaces/default/pods/p")).body["spec"]["nodeName"] == "n"
        assert (await api.get(path)).status == 405
        assert (await api.post(path, {**binding, "metadata": {"name": "q"}})).status == 404

    play(check)
