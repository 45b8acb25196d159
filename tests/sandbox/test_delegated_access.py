"""Who may see the pages, when the API server is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from kcm.base.rng import SeededRng
from kcm.client.api import ApiClient, Timeouts
from kcm.sandbox.api import Fault, Refuse
from kcm.serving import delegation
from kcm.serving.delegation import Delegation
from kcm.serving.health import Checks
from kcm.serving.messages import Handler, Request, Response
from kcm.serving.pages import Sources, pages, probes
from kcm.serving.status import BuildStatus, Status
from kcm.telemetry.metrics import Metrics
from kcm.testing.loopback import LoopbackTransport
from kcm.testing.virtual import run
from kcm.testing.world import World

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"


@dataclass
class Scene:
    world: World
    handle: Handler
    tokens: dict[str, str]

    async def get(self, path: str, who: str = "") -> int:
        token = self.tokens.get(who, who)
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return (await self.handle(Request("GET", path, headers=headers))).status

    def reviews(self) -> int:
        return len(self.asked)

    asked: list[str]


async def account(world: World, name: str, urls: list[str]) -> str:
    """Create a service account that may get these paths; return a token of it."""
    await world.call("POST", ACCOUNTS, {"metadata": {"name": name}})
    if urls:
        rules = [{"nonResourceURLs": urls, "verbs": ["get"]}]
        await world.call("POST", f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": rules})
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
        subject = {"kind": "ServiceAccount", "name": name, "namespace": "default"}
        binding = {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}
        await world.call("POST", f"{RBAC}/clusterrolebindings", binding)
    answer = await world.call("POST", f"{ACCOUNTS}/{name}/token", {"spec": {"expirationSeconds": 2**31}})
    token: str = answer["status"]["token"]
    return token


def play(scene: Callable[[Scene], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with World(nodes=0) as world:
            tokens = {
                "scraper": await account(world, "scraper", ["/metrics"]),
                "nobody": await account(world, "nobody", []),
            }
            asked: list[str] = []

            async def handle(request: Request) -> Response:
                asked.append(request.path)
                return await world.api.handle(request)

            client = ApiClient(
                LoopbackTransport(handle),
                user_agent="kcm/test/serving",
                metrics=Metrics(),
                clock=world.clock,
                rng=SeededRng(1),
                timeouts=Timeouts(),
            )
            await scene(Scene(world, pages(sources(Delegation(client, world.clock))), tokens, asked))

    run(whole())


def sources(asked: Delegation | None = None, **more: Any) -> Sources:
    return Sources(
        livez=Checks("livez"),
        readyz=Checks("readyz"),
        healthz=Checks("healthz"),
        metrics=lambda: b"up 1\n",
        configs=dict,
        status=lambda: Status(BuildStatus("0")),
        delegation=asked.admit if asked is not None else None,
        **more,
    )


def test_a_token_is_worth_what_its_user_may_get_and_probes_are_free() -> None:
    async def scene(it: Scene) -> None:
        assert await it.get("/livez") == await it.get("/readyz/ping") == 200
        assert it.reviews() == 0
        assert await it.get("/metrics") == 401
        assert await it.get("/metrics", "nonsense") == 401
        assert await it.get("/metrics", "nobody") == 403
        assert await it.get("/metrics", "scraper") == 200
        assert await it.get("/configz", "scraper") == 403

    play(scene)


def test_answers_are_kept_for_ten_seconds_and_no_longer() -> None:
    async def scene(it: Scene) -> None:
        for _ in range(50):
            assert await it.get("/metrics", "scraper") == 200
            assert await it.get("/metrics", "nonsense") == 401
        assert it.reviews() == 3
        await it.world.call("DELETE", f"{RBAC}/clusterrolebindings/scraper")
        assert await it.get("/metrics", "scraper") == 200
        await it.world.clock.sleep(delegation.HOLDS_SECONDS + 1)
        assert await it.get("/metrics", "scraper") == 403

    play(scene)


def test_a_thousand_who_ask_at_once_cost_one_question_each_kind_and_memory_is_bounded() -> None:
    async def scene(it: Scene) -> None:
        answers = await asyncio.gather(*(it.get("/metrics", "scraper") for _ in range(60)))
        assert set(answers) == {200}
        assert it.reviews() == 2
        many = await asyncio.gather(*(it.get("/metrics", f"wrong-{n}") for n in range(3000)))
        assert set(many) <= {401, 503}
        assert 401 in many

    play(scene)


@pytest.mark.parametrize("code", [403, 500, 503])
def test_where_the_server_cannot_be_asked_nobody_gets_in(code: int) -> None:
    async def scene(it: Scene) -> None:
        it.world.api.faults.add(Fault(Refuse(code, message="no"), "create", "tokenreviews"))
        assert await it.get("/metrics", "scraper") == 503
        assert await it.get("/livez") == 200

    play(scene)


def test_the_token_of_the_file_opens_too_and_costs_no_question() -> None:
    async def scene(it: Scene) -> None:
        asked = sources(Delegation(None, it.world.clock))  # type: ignore[arg-type]  # must not be asked
        it.handle = pages(replace(asked, token=lambda: "t-1"))
        assert await it.get("/metrics", "t-1") == 200

    play(scene)


def test_on_a_port_of_their_own_only_probes_are_served() -> None:
    async def whole() -> None:
        handle = probes(sources())
        assert (await handle(Request("GET", "/livez"))).status == 200
        assert (await handle(Request("GET", "/readyz/ping"))).status == 200
        for path in ("/", "/metrics", "/configz", "/debug/tasks"):
            assert (await handle(Request("GET", path))).status == 404
        assert (await handle(Request("PUT", "/livez"))).status == 404

    run(whole())
