"""`pods/log` of simulated containers, in virtual time."""

import asyncio
import json

import pytest

from kcm.base.rng import SeededRng
from kcm.sandbox.api import ApiServer
from kcm.sandbox.cluster import Cluster, ClusterSettings
from kcm.serving.http import Request
from kcm.testing.virtual import VirtualClock, run

PODS = "/api/v1/namespaces/default/pods"


class World:
    def __init__(self):
        self.clock, rng = VirtualClock(), SeededRng(1)
        self.server = ApiServer(self.clock, rng)
        self.cluster = Cluster(self.server.handle, ClusterSettings(), self.clock, rng)

    async def pod(self, name="p", annotations=None, **spec):
        notes = {f"sandbox.kcm.dev/{key}": value for key, value in (annotations or {}).items()}
        spec = {"containers": [{"name": "c", "image": "web:1"}], **spec}
        body = json.dumps({"metadata": {"name": name, "annotations": notes}, "spec": spec}).encode()
        answer = await self.server.handle(Request("POST", PODS, (), {}, body))
        assert answer.status == 201, answer.body

    async def log(self, name="p", **query):
        pairs = tuple((key, str(value)) for key, value in query.items())
        return await self.server.handle(Request("GET", f"{PODS}/{name}/log", pairs, {}, b""))

    async def lines(self, name="p", **query):
        answer = await self.log(name, **query)
        assert answer.status == 200, answer.body
        return answer.body.decode().splitlines()


def on_a_cluster(story):
    async def main():
        there = World()
        async with asyncio.TaskGroup() as group:
            server = group.create_task(there.server.run())
            await there.cluster.register()
            cluster = group.create_task(there.cluster.run())
            await story(there)
            server.cancel()
            cluster.cancel()

    run(main())


STARTED = "simulated container c started from web:1 on sandbox-node-1"


def test_a_running_container_tells_its_start_and_that_it_is_there():
    async def story(there):
        await there.pod()
        await there.clock.sleep(130)
        lines = await there.lines()
        assert lines == [STARTED, "still running after 1 min", "still running after 2 min"]
        assert await there.lines(tailLines=1) == lines[-1:]
        assert await there.lines(tailLines=0) == []
        assert await there.lines(sinceSeconds=75) == lines[1:]
        assert (await there.lines(timestamps="true"))[1].startswith("2026-01-01T00:01:00")
        assert len("\n".join(await there.lines(limitBytes=10))) == 10

    on_a_cluster(story)


def test_a_crash_is_in_the_log_of_the_previous_run():
    async def story(there):
        await there.pod(annotations={"fault": "crash-loop", "fault-after": "20s"})
        await there.clock.sleep(30)
        assert await there.lines() == [STARTED]
        assert await there.lines(previous="true") == [STARTED, "ended with exit code 1: Error"]

    on_a_cluster(story)


def test_following_goes_on_until_the_container_ends():
    async def story(there):
        await there.pod(annotations={"run-for": "90s"}, restartPolicy="Never")
        await there.clock.sleep(10)
        answer = await there.log(follow="true")
        told = b"".join([piece async for piece in answer.body]).decode().splitlines()
        assert told == [STARTED, "still running after 1 min", "ended with exit code 0: Completed"]

    on_a_cluster(story)


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ({"container": "none"}, 400, "container none is not valid for pod p"),
        ({"tailLines": "x"}, 400, ""),
        ({"previous": "true"}, 400, 'previous terminated container "c" in pod "p" not found'),
    ],
)
def test_what_cannot_be_told_is_refused(query, status, message):
    async def story(there):
        await there.pod()
        await there.clock.sleep(5)
        answer = await there.log(**query)
        assert answer.status == status
        assert message in json.loads(answer.body)["message"]

    on_a_cluster(story)


def test_a_container_that_has_not_started_or_is_not_named_is_refused():
    async def story(there):
        await there.pod("pulls", containers=[{"name": "c", "image": "web:nonexistent"}])
        await there.pod("two", containers=[{"name": "a", "image": "i"}, {"name": "b", "image": "i"}])
        await there.clock.sleep(5)
        waiting = json.loads((await there.log("pulls")).body)["message"]
        assert waiting == 'container "c" in pod "pulls" is waiting to start: ImagePullBackOff'
        which = json.loads((await there.log("two")).body)["message"]
        assert which == "a container name must be specified for pod two, choose one of: [a b]"
        assert len(await there.lines("two", container="b")) == 1
        assert (await there.log("none")).status == 404

    on_a_cluster(story)
