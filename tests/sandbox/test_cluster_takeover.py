"""After a restart kubelets take running pods over little by little, and one that is spoken to at once."""

from __future__ import annotations

import asyncio
import json

from kcm.base.rng import SeededRng
from kcm.sandbox.api import ApiServer
from kcm.sandbox.cluster.cluster import Cluster, ClusterSettings
from kcm.serving.http import Request, Response
from kcm.testing.virtual import VirtualClock, run

PODS = "/api/v1/namespaces/default/pods"
COUNT = 1000


async def furnish(api: ApiServer) -> None:
    for number in range(COUNT):
        spec = {"nodeName": "sandbox-node-1", "containers": [{"name": "c", "image": "i"}]}
        pod = {"metadata": {"name": f"p{number:03}"}, "spec": spec}
        await api.handle(Request("POST", PODS, body=json.dumps(pod).encode()))
        status = {"phase": "Running", "podIP": f"10.244.{number // 250}.{number % 250 + 1}"}
        patch = json.dumps({"status": status}).encode()
        headers = {"content-type": "application/merge-patch+json"}
        await api.handle(Request("PATCH", f"{PODS}/p{number:03}/status", (), headers, patch))


def test_running_pods_are_taken_over_at_a_bounded_pace():
    asked: set[str] = set()

    async def main():
        clock, rng = VirtualClock(), SeededRng(1)
        api = ApiServer(clock, rng)

        async def handle(request: Request) -> Response:
            if request.method == "GET" and request.path.startswith(f"{PODS}/"):
                asked.add(request.path.rpartition("/")[2])
            return await api.handle(request)

        await furnish(api)
        cluster = Cluster(handle, ClusterSettings(), clock, rng)
        await cluster.register()
        work = asyncio.create_task(cluster.run())
        await asyncio.sleep(0.5)
        assert 200 <= len(asked) <= 300
        assert "p999" not in asked
        await api.handle(Request("DELETE", f"{PODS}/p999"))
        await asyncio.sleep(0.1)
        assert "p999" in asked
        await asyncio.sleep(2.0)
        assert len(asked) == COUNT
        work.cancel()

    run(main())
