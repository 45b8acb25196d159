"""/debug: off unless wanted; tasks, a profile, the level of the log."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from kcm.base.errors import ConfigurationError
from kcm.config.loader import parse
from kcm.serving.debugging import Level, debug_pages, sample, task_dump
from kcm.serving.health import Checks
from kcm.serving.messages import Request, Response
from kcm.serving.pages import Sources, pages
from kcm.serving.status import BuildStatus, Status

SOURCES = Sources(
    livez=Checks("livez"),
    readyz=Checks("readyz"),
    healthz=Checks("healthz"),
    metrics=lambda: b"",
    configs=dict,
    status=lambda: Status(BuildStatus("0")),
)


class Process:
    """What has a level of its log."""

    def __init__(self) -> None:
        self.level: Level = "info"

    def set(self, level: Level) -> None:
        self.level = level


def ask(request: Request, process: Process | None = None, token: str = "") -> Response:
    known = process or Process()
    debug = debug_pages(lambda: known.level, known.set)
    handle = pages(replace(SOURCES, debug=debug, token=lambda: token))
    return asyncio.run(handle(request))  # type: ignore[arg-type]  # a coroutine, as all handlers here


def text(answer: Response) -> str:
    assert isinstance(answer.body, bytes)
    return answer.body.decode()


def test_it_is_not_there_unless_it_is_turned_on_and_asks_for_the_token() -> None:
    handle = pages(SOURCES)
    assert asyncio.run(handle(Request("GET", "/debug/tasks"))).status == 404  # type: ignore[arg-type]  # as above
    assert ask(Request("GET", "/debug/tasks"), token="t").status == 401
    assert ask(Request("PUT", "/debug/log-level", body=b"debug"), token="t").status == 401


def test_tasks_are_shown_with_the_awaits_in_which_they_stand() -> None:
    async def outer() -> None:
        await inner()

    async def inner() -> None:
        await asyncio.Event().wait()

    async def look() -> str:
        task = asyncio.ensure_future(outer())
        await asyncio.sleep(0)
        dump = task_dump()
        task.cancel()
        return dump

    dump = asyncio.run(look())
    assert dump.index("outer:") < dump.index("inner:") < dump.index("asyncio.locks.Event.wait:")
    assert text(ask(Request("GET", "/debug/tasks"))).startswith("1 tasks\n")


def test_a_profile_shows_where_the_time_goes_and_is_bounded() -> None:
    answer = ask(Request("GET", "/debug/profile", (("seconds", "0.1"),)))
    assert answer.status == 200
    assert "MainThread;" in text(answer)
    for wrong in ("0", "31", "nan", "inf", "x"):
        assert ask(Request("GET", "/debug/profile", (("seconds", wrong),))).status == 400


def test_a_sample_leaves_itself_out() -> None:
    assert "kcm.serving.debugging.sample" not in sample(0.1)


def test_the_level_is_shown_and_changed() -> None:
    process = Process()
    assert text(ask(Request("GET", "/debug/log-level"), process)) == "info\n"
    assert ask(Request("PUT", "/debug/log-level", body=b"debug\n"), process).status == 200
    assert process.level == "debug"
    assert ask(Request("PUT", "/debug/log-level", body=b"loud"), process).status == 400
    assert ask(Request("POST", "/debug/log-level"), process).status == 405
    assert ask(Request("GET", "/debug/other"), process).status == 404


HEAD = "apiVersion: kcm.dev/v1alpha1\nkind: ManagerConfiguration\n"


@pytest.mark.parametrize(
    ("serving", "key"),
    [
        ("{address: 0.0.0.0, delegatedAuth: true}", "serving.delegatedAuth"),
        ("{address: 0.0.0.0, debug: true}", "serving.debug"),
        ("{port: 8085, probePort: 8085}", "serving.probePort"),
        ("{maxConnections: 1}", "serving.maxConnections"),
    ],
)
def test_what_would_be_unsafe_or_senseless_is_refused_by_name(serving: str, key: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse(f"{HEAD}serving: {serving}\n".encode(), "kcm.yaml")
    assert refused.value.key == key


@pytest.mark.parametrize(
    "serving",
    [
        "{delegatedAuth: true, debug: true}",
        "{address: 0.0.0.0, delegatedAuth: true, tlsCertFile: c, tlsKeyFile: k, probePort: 8086}",
        "{address: 0.0.0.0, debug: true, tokenFile: /t}",
    ],
)
def test_what_is_safe_is_taken(serving: str) -> None:
    parse(f"{HEAD}serving: {serving}\n".encode(), "kcm.yaml")
