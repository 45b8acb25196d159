"""examples/02_autoscale: its files are accepted, and what its README tells happens (at life's speed)."""

from __future__ import annotations

from pathlib import Path

import yaml

from kcm.config.loader import load
from kcm.testing.virtual import run
from kcm.testing.world import World

FOLDER = Path(__file__).parents[2] / "examples" / "02_autoscale"
CONTROLLERS = {
    "replicaset": "controllers.replicaset:ReplicaSetController",
    "deployment": "controllers.deployment:DeploymentController",
    "hpa": "controllers.hpa:HorizontalPodAutoscalerController",
}
PATHS = {"Deployment": "/apis/apps/v1", "HorizontalPodAutoscaler": "/apis/autoscaling/v2"}
WEB = "/apis/apps/v1/namespaces/default/deployments/web"


def test_the_deployment_grows_with_its_load_and_shrinks_without() -> None:
    async def story() -> None:
        configuration = load(str(FOLDER / "kcm.yaml"))
        async with World(configuration=configuration) as world:
            world.start(CONTROLLERS)
            for document in yaml.safe_load_all((FOLDER / "web.yaml").read_text()):
                plural = f"{document['kind'].lower()}s"
                await world.call("POST", f"{PATHS[document['kind']]}/namespaces/default/{plural}", document)
            sizes = []
            for _ in range(60):
                await world.clock.sleep(5)
                sizes.append((await world.call("GET", WEB))["spec"]["replicas"])
            assert sizes[0] == 1
            assert sizes[-1] in range(10, 13)
            await world.patch(WEB, {"metadata": {"annotations": {"sandbox.kcm.dev/load": "cpu=0.5"}}})
            await world.clock.sleep(180)
            assert (await world.call("GET", WEB))["spec"]["replicas"] == 2

    run(story())
