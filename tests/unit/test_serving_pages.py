"""The manager's pages: who gets what, in which form."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kcm.config.loader import parse
from kcm.serving.health import Checks
from kcm.serving.http import HttpServer, Request, Response
from kcm.serving.pages import Sources, pages
from kcm.serving.status import (
    BuildStatus,
    CacheStatus,
    ControllerStatus,
    ElectionStatus,
    HostStatus,
    Status,
)
from kcm.serving.tables import age, size, status_text, table
from kcm.telemetry.exposition import Exposition
from kcm.telemetry.metrics import Metrics

STARTED = datetime(2026, 1, 1, tzinfo=UTC)
STATUS = Status(
    build=BuildStatus(
        version="0.1.0", python="3.11.7", started=STARTED, now=STARTED + timedelta(hours=3, minutes=20), pid=7
    ),
    election=ElectionStatus(identity="node-1_abc", leading=True, leader="node-1_abc", term=3, fence_in=8.2),
    hosts=(
        HostStatus(
            name="replicaset", state="leading", pid=12, epoch=1, heartbeat_age=0.4, memory_bytes=30 << 20
        ),
        HostStatus(name="hpa", state="dead", epoch=5, restarts=4, reason="exit status 1, next start in 8s"),
    ),
    controllers=(
        ControllerStatus(name="replicaset", ready=True, host="replicaset", workers=5, active=2, depth=12),
        ControllerStatus(name="cleaner", enabled=False, reason="off by default"),
    ),
    caches=(
        CacheStatus(
            resource="pods", state="watching", objects=30000, position="123456", event_age=0.2, readers=2
        ),
    ),
    failing={"readyz/hpa": "host died 4 times\nin 20s"},
)
CONFIG = parse(
    b"apiVersion: kcm.dev/v1alpha1\nkind: ManagerConfiguration\n"
    b"serving: {tokenFile: /run/token}\n"
    b"controllers: {mail: {settings:"
    b" {password: hunter2, smtp: [{apiKey: hunter2}], passwordFile: /p, tokens: 5}}}",
    "kcm.yaml",
)


def sources() -> Sources:
    exposition = Exposition()
    exposition.own(Metrics())
    return Sources(
        livez=Checks("livez"),
        readyz=Checks("readyz"),
        healthz=Checks("healthz"),
        metrics=exposition.render,
        configs=lambda: {"kcm": CONFIG},
        status=lambda: STATUS,
    )


def get(
    path: str,
    *query: tuple[str, str],
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    token: str = "",
) -> Response:
    handler = pages(replace(sources(), token=lambda: token))

    async def ask() -> Response:
        return await handler(Request(method, path, query, headers or {}))

    return asyncio.run(ask())


def text(response: Response) -> str:
    assert isinstance(response.body, bytes)
    return response.body.decode()


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz", "/livez/ping", "/readyz/"])
def test_probes_answer_also_without_the_token(path: str) -> None:
    assert (get(path, token="t").status, text(get(path))) == (200, "ok")


def test_the_index_lists_every_page() -> None:
    listed = text(get("/"))
    for path in ("/livez/ping", "/readyz/ping", "/healthz/ping", "/metrics", "/statusz", "/configz"):
        assert path in listed


@pytest.mark.parametrize("path", ["/nothing", "/metrics/x", "/statusz/", "/livezz", "/livez/none"])
def test_what_is_not_there_is_a_404(path: str) -> None:
    assert get(path).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_pages_are_only_read(method: str) -> None:
    answer = get("/livez", method=method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_metrics_are_prometheus_text() -> None:
    answer = get("/metrics")
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    assert 'kcm_process_resident_memory_bytes{process="manager"}' in text(answer)


def test_configz_shows_the_configuration_without_credentials() -> None:
    shown = json.loads(text(get("/configz")))["kcm"]
    assert shown["apiVersion"] == "kcm.dev/v1alpha1"
    assert shown["leaderElection"]["leaseDuration"] == 15
    assert shown["serving"]["tokenFile"] == "/run/token"
    assert shown["controllers"]["mail"]["settings"] == {
        "password": "REDACTED",
        "smtp": [{"apiKey": "REDACTED"}],
        "passwordFile": "/p",
        "tokens": 5,
    }


@pytest.mark.parametrize(
    ("accept", "query", "is_json"),
    [
        ("", (), False),
        ("*/*", (), False),
        ("application/json", (), True),
        ("text/html,application/json", (), False),
        ("application/json;q=0.9, text/plain", (), True),
        ("", (("format", "json"),), True),
        ("application/json", (("format", "text"),), False),
    ],
)
def test_statusz_has_the_form_that_is_asked_for(
    accept: str, query: tuple[tuple[str, str], ...], is_json: bool
) -> None:
    answer = get("/statusz", *query, headers={"accept": accept})
    assert answer.content_type == ("application/json" if is_json else "text/plain; charset=utf-8")
    if is_json:
        read = json.loads(text(answer))
        assert read["election"]["leader"] == "node-1_abc"
        assert read["hosts"][0]["heartbeatAge"] == 0.4
        assert read["caches"][0]["objects"] == 30000


def test_statusz_is_pleasant_to_read() -> None:
    assert status_text(STATUS) == (
        "version:   kcm 0.1.0 (Python 3.11.7)\n"
        "running:   3h20m, since 2026-01-01T00:00:00Z, pid 7\n"
        "election:  leading, term 3, may write for 8.2s\n"
        "identity:  node-1_abc\n"
        "\n"
        "FAILING CHECKS\n"
        "  CHECK       REASON\n"
        "  readyz/hpa  host died 4 times\\nin 20s\n"
        "\n"
        "CONTROLLERS\n"
        "  NAME        STATE  HOST        WORKERS  ACTIVE  QUEUED  DELAYED  FAILING  REASON\n"
        "  replicaset  ready  replicaset        5       2      12        0        0  -\n"
        "  cleaner     off    -                 0       0       0        0        0  off by default\n"
        "\n"
        "HOSTS\n"
        "  NAME        STATE    PID  EPOCH  RESTARTS  HEARTBEAT  MEMORY    REASON\n"
        "  replicaset  leading   12      1         0  0.4s ago   30.0 MiB  -\n"
        "  hpa         dead       -      5         4  -          -         exit status 1, next start in 8s\n"
        "\n"
        "CACHES\n"
        "  RESOURCE  SELECTOR  STATE     OBJECTS  READERS  POSITION  LAST EVENT\n"
        "  pods      all       watching    30000        2  123456    0.2s ago\n"
        "\n"
        "LAST DECISIONS\n"
        "  none\n"
    )


@pytest.mark.parametrize(
    ("election", "says"),
    [
        (ElectionStatus(enabled=False), "off: this process works alone"),
        (ElectionStatus(), "standby, nobody leads"),
        (ElectionStatus(leader="b", term=2), "standby, term 2, led by b"),
        (ElectionStatus(leading=True), "leading\n"),
    ],
)
def test_the_standing_is_said_in_words(election: ElectionStatus, says: str) -> None:
    assert says in status_text(Status(build=BuildStatus(version="0"), election=election))


def test_an_empty_status_says_that_it_is_empty() -> None:
    shown = status_text(Status(build=BuildStatus(version="0")))
    assert shown.count("  none\n") == 4


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "-"),
        (0.31, "0.3s"),
        (12.9, "12s"),
        (250, "4m10s"),
        (240, "4m"),
        (12000, "3h20m"),
        (446400, "5d4h"),
        (-3, "-3.0s"),
    ],
)
def test_ages_are_short(seconds: float | None, shown: str) -> None:
    assert age(seconds) == shown


@pytest.mark.parametrize(("count", "shown"), [(None, "-"), (2048, "2 KiB"), (3 << 20, "3.0 MiB")])
def test_sizes_are_short(count: int | None, shown: str) -> None:
    assert size(count) == shown


def test_a_table_keeps_its_lines_whatever_is_in_it() -> None:
    assert table(("A", "B"), [("x\n\x1b[2J", 1), ("y" * 500, None)]).count("\n") == 3


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("", 401),
        ("Bearer wrong", 401),
        ("Basic t-1", 401),
        ("Bearer ü", 401),
        ("Bearer t-1", 200),
        ("bearer t-1", 200),
    ],
)
def test_with_a_token_set_all_but_the_probes_ask_for_it(given: str, status: int) -> None:
    for path in ("/", "/metrics", "/statusz", "/configz"):
        assert get(path, headers={"authorization": given}, token="t-1").status == status


def test_the_real_server_serves_the_pages() -> None:
    async def talk() -> list[bytes]:
        server = HttpServer(pages(sources()))
        port = await server.start("127.0.0.1", 0)
        answers = []
        for method, path in (
            ("GET", "/readyz?verbose&exclude=ping"),
            ("HEAD", "/statusz"),
            ("PUT", "/livez"),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            answers.append(await reader.read())
            writer.close()
            await writer.wait_closed()
        await server.stop()
        return answers

    verbose, head, put = asyncio.run(talk())
    assert verbose.startswith(b"HTTP/1.1 200 OK\r\n")
    assert verbose.endswith(b"\r\n\r\n[+]ping excluded: ok\nreadyz check passed\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert head.endswith(b"\r\n\r\n")
    assert put.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: GET, HEAD\r\n" in put
