"""The status page without a browser: who gets it, what is in it, and that nothing in it can act."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import msgspec
import pytest

from kcm.serving.health import Checks
from kcm.serving.messages import Request, Response
from kcm.serving.pages import Sources, pages
from kcm.serving.status import (
    BuildStatus,
    CacheStatus,
    ConfigurationStatus,
    ControllerStatus,
    DecisionStatus,
    ElectionStatus,
    HostStatus,
    PlanStatus,
    Status,
)
from kcm.serving.statuspage import status_page
from kcm.serving.tables import SHOWN_DECISIONS
from kcm.testing.virtual import VirtualClock, run

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
# No end tag, no content (HTML, void elements).
VOID = frozenset(("meta", "link", "input", "br"))


def decision(**fields: object) -> DecisionStatus:
    given = {
        "at": NOW - timedelta(seconds=12),
        "controller": "replicaset",
        "keys": ("default/web",),
        **fields,
    }
    return DecisionStatus(**given)  # type: ignore[arg-type]  # fields by name


STATUS = Status(
    build=BuildStatus(version="0.1.0", started=NOW - timedelta(hours=3), now=NOW, pid=7),
    election=ElectionStatus(
        identity="node-1_abc",
        leading=True,
        leader="node-1_abc",
        term=3,
        fence_in=8.2,
        lease="kube-system/kcm",
        acquired="2026-01-01T09:00:00.123456Z",
        expires_in=13.0,
    ),
    hosts=(
        HostStatus(
            name="replicaset", state="leading", pid=12, epoch=1, heartbeat_age=0.4, memory_bytes=30 << 20
        ),
        HostStatus(name="hpa", state="waiting to restart", epoch=5, restarts=4, reason="exit code 1"),
    ),
    controllers=(
        ControllerStatus(name="replicaset", ready=True, host="replicaset", workers=5, active=2, depth=1234),
        ControllerStatus(name="hpa", host="hpa", failing=3, reason="host hpa is waiting to restart"),
    ),
    caches=(CacheStatus(resource="pods", state="watching", objects=30000, position="99", event_age=0.2),),
    decisions=(
        decision(action="create", object="pods", because="500 of 1000 pods", wanted=500, done=500),
        decision(
            action="create",
            object="pods",
            because="0 of 3 pods",
            wanted=3,
            done=1,
            result="partly",
            error="quota",
        ),
    ),
    configuration=ConfigurationStatus(
        file="/etc/kcm.yaml", hash="9f86d081884c7d65", in_force_since=NOW, refused="port: no number"
    ),
    failing={"readyz/hosts": "hpa is waiting to restart"},
)


class Page(HTMLParser):
    """What a browser would make of it: elements with their attributes, and the text that is read."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.raw: dict[str, str] = {}
        self.text = ""
        assert isinstance(response.body, bytes)
        self.feed(response.body.decode())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in {tag}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            self.raw[self.open[-1]] = data
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def ids(self) -> list[str]:
        return [attributes["id"] or "" for _, attributes in self.elements if "id" in attributes]


def sources(**changes: object) -> Sources:
    checks = (Checks("livez"), Checks("readyz"), Checks("healthz"))
    given = Sources(*checks, metrics=lambda: b"", configs=dict, status=lambda: STATUS, for_browsers=True)
    return replace(given, **changes)  # type: ignore[arg-type]  # fields by name


def ask(headers: Mapping[str, str], path: str = "/", **changes: object) -> Response:
    handle = pages(sources(**changes))

    async def get() -> Response:
        return await handle(Request("GET", path, (), headers))

    return asyncio.run(get())


@pytest.mark.parametrize(
    ("accept", "enabled", "html"),
    [
        (BROWSER, True, True),
        ("text/html", True, True),
        ("TEXT/HTML;q=0.9", True, True),
        (BROWSER, False, False),
        ("*/*", True, False),
        ("", True, False),
        ("text/html;q=0, */*", True, False),
        ("application/json", True, False),
        ("text/htmlx", True, False),
    ],
)
def test_browsers_get_the_page_where_it_is_enabled_and_others_the_index(
    accept: str, enabled: bool, html: bool
) -> None:
    answer = ask({"accept": accept}, for_browsers=enabled)
    assert answer.content_type == ("text/html; charset=utf-8" if html else "text/plain; charset=utf-8")
    if not html:
        assert b"/statusz" in answer.body  # type: ignore[operator]  # bytes here


def test_other_paths_are_as_ever() -> None:
    assert ask({"accept": BROWSER}, "/statusz").content_type == "text/plain; charset=utf-8"
    assert ask({"accept": BROWSER}, "/nothing").status == 404


def test_it_says_what_status_says() -> None:
    shown = Page(status_page(STATUS)).text
    for text in (
        "Leading",
        "may write for 8.2s",
        "node-1_abc",
        "term 3, since 2026-01-01 09:00:00Z",
        "kube-system/kcm",
        "free in 13s, unless renewed",
        "9f86d081884c",
        "a newer file is refused: port: no number",
        "hpa is waiting to restart",
        "1,234",
        "30.0 MiB",
        "exit code 1",
        "30,000",
        "12s ago",
        "create 500 pods",
        "500 of 1000 pods",
        "1 of 3",
        "quota",
        "as of 2026-01-01T12:00:00Z",
    ):
        assert text in shown, text


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (Status(build=BuildStatus(version="0")), ("Standby", "nobody leads", "None.", "None here")),
        (
            Status(build=BuildStatus(version="0"), election=ElectionStatus(leader="b", expires_in=-3.0)),
            ("Standby", "b", "ran out 3.0s ago"),
        ),
        (Status(build=BuildStatus(version="0"), election=ElectionStatus(enabled=False)), ("Alone",)),
        (
            Status(
                build=BuildStatus(version="0"),
                dry_run=True,
                plans=(PlanStatus(NOW, "replicaset", "default/web", ("create pods a: why",), 5),),
            ),
            ("Dry run", "Plans not sent", "create pods a: why", "and 4 more"),
        ),
    ],
)
def test_it_says_how_things_stand_in_words(status: Status, says: tuple[str, ...]) -> None:
    shown = Page(status_page(status)).text
    for text in says:
        assert text in shown


def test_it_is_built_for_those_who_cannot_see_it() -> None:
    page = Page(status_page(STATUS))
    assert page.all("html")[0]["lang"] == "en"
    assert page.all("title")
    assert len(page.all("h1")) == len(page.all("main")) == 1
    assert len(page.all("table")) == len(page.all("caption")) == 4
    heads = [attributes for attributes in page.all("th") if attributes.get("scope") == "col"]
    assert all(attributes["role"] == "columnheader" for attributes in heads)
    assert {attributes["scope"] for attributes in page.all("th")} == {"col", "row"}
    ids = page.ids()
    assert len(set(ids)) == len(ids)
    labels = [
        attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes
    ]
    links = [(attributes["href"] or "") for attributes in page.all("a")]
    named = [link[1:] for link in links if link.startswith("#")]
    assert set(labels) | set(named) | {page.all("label")[0]["for"]} <= set(ids)


def test_every_row_has_as_many_cells_as_its_table_has_columns() -> None:
    rows: list[int] = []
    for tag, attributes in Page(status_page(STATUS)).elements:
        match tag:
            case "tr":
                rows.append(0)
            case "td" | "th":
                rows[-1] += int(attributes.get("colspan") or 1)
    # Each table's head is followed by its rows, two of which have a line below.
    assert rows == [7] * 4 + [6] * 4 + [9] * 4 + [7] * 2


def test_all_that_the_script_touches_is_there_also_where_a_token_is_asked_for() -> None:
    shown, asked = Page(status_page(STATUS)), Page(ask({"accept": BROWSER}, token=lambda: "t-1"))
    touched = set(re.findall(r'getElementById\("([^"]+)"\)', shown.raw["script"]))
    assert {"status", "pulse", "ask", "token", "refusal", "version"} <= touched
    assert touched <= set(shown.ids())
    assert touched <= set(asked.ids())


@pytest.mark.parametrize("refused", [False, True])
def test_the_policy_lets_this_style_and_script_run_and_nothing_else(refused: bool) -> None:
    answer = ask({"accept": BROWSER}, token=lambda: "t-1" if refused else "")
    policy = dict(
        part.strip().partition(" ")[::2] for part in answer.headers["Content-Security-Policy"].split(";")
    )
    page = Page(answer)
    for tag in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(page.raw[tag].encode()).digest()).decode()
        assert policy[f"{tag}-src"] == f"'sha256-{digest}'"
        assert len(page.all(tag)) == 1
        assert not page.all(tag)[0]
    assert policy["default-src"] == policy["frame-ancestors"] == policy["form-action"] == "'none'"
    assert policy["connect-src"] == "'self'"
    for tag, attributes in page.elements:
        # The policy would stop them; they must not be there in the first place.
        assert not any(name.startswith("on") or name in ("style", "src", "srcdoc") for name in attributes), (
            tag
        )
    resources = [attributes["href"] or "" for attributes in page.all("link")]
    assert all(href.startswith("data:") for href in resources)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></style></script><svg/onload=alert(1)>",
    "\x1b[31mred\x1b[0m\x07",
    "\u202egnp.exe\u200b",
    "&lt;b&gt; &amp; <!-- ]]> {{7*7}} ${7*7}",
    "x" * 10_000,
    "\ud800 lone",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_texts_say_they_stay_texts(text: str) -> None:
    def poisoned(value: object) -> object:
        match value:
            case msgspec.Struct():
                fields = {name: poisoned(getattr(value, name)) for name in value.__struct_fields__}
                return type(value)(**fields)
            case str():
                return text
            case tuple():
                return tuple(map(poisoned, value))
            case dict() if value and isinstance(next(iter(value.values())), str):
                return {text: text}
        return value

    status = poisoned(STATUS)
    assert isinstance(status, Status)
    plans = (PlanStatus(NOW, text, text, (text,), 1),)
    for each in (status, msgspec.structs.replace(status, dry_run=True, plans=plans)):
        answer = status_page(each)
        page, clean = Page(answer), Page(status_page(STATUS))
        assert {tag for tag, _ in page.elements} <= {tag for tag, _ in clean.elements}
        known = {name for _, attributes in clean.elements for name in attributes}
        assert {name for _, attributes in page.elements for name in attributes} <= known | {"title"}
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e]", page.text)
        assert page.raw == clean.raw
        assert isinstance(answer.body, bytes)
        assert len(answer.body) < 100_000


def test_it_stays_small_however_much_there_is() -> None:
    much = msgspec.structs.replace(STATUS, decisions=STATUS.decisions * 100)
    page = Page(status_page(much))
    assert page.text.count("create 500 pods") == SHOWN_DECISIONS // 2
    assert f"{200 - SHOWN_DECISIONS} more" in page.text


@pytest.mark.parametrize(("given", "status"), [("", 401), ("Bearer wrong", 401), ("Bearer t-1", 200)])
def test_it_is_behind_the_token_and_asks_for_it_without_a_word_of_what_there_is(
    given: str, status: int
) -> None:
    answer = ask({"accept": BROWSER, "authorization": given}, token=lambda: "t-1")
    assert answer.status == status
    if status == 401:
        page = Page(answer)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert "a bearer token is needed" in page.text
        for secret in ("replicaset", "node-1", "0.1.0", "Leading", "default"):
            assert secret not in page.text
        (form,) = page.all("form")
        assert "hidden" not in form
        assert "action" not in form
        assert page.all("input")[0]["type"] == "password"


@pytest.mark.parametrize(("code", "html"), [(401, True), (403, True), (503, False)])
def test_it_is_behind_delegation_whose_reason_is_shown(code: int, html: bool) -> None:
    async def refuse(request: Request) -> Response:
        return Response(code, b"<b>jane</b> may not get /\x1b[2J", "text/plain", {})

    answer = ask({"accept": BROWSER}, delegation=refuse)
    assert answer.status == code
    assert answer.content_type.startswith("text/html") == html
    if html:
        assert "<b>jane</b> may not get /?[2J" in Page(answer).text


def test_curl_and_scripts_are_refused_in_plain_text() -> None:
    answer = ask({"accept": "*/*"}, token=lambda: "t-1")
    assert (answer.status, answer.body) == (401, b"a bearer token is needed\n")
    assert ask({"accept": BROWSER}, "/statusz", token=lambda: "t-1").body == b"a bearer token is needed\n"


def test_however_many_look_it_is_made_once_a_second() -> None:
    made = 0

    def status() -> Status:
        nonlocal made
        made += 1
        return STATUS

    handle = pages(sources(status=status))

    async def look() -> None:
        for _ in range(50):
            await handle(Request("GET", "/", (), {"accept": BROWSER}))
            await VirtualClock().sleep(0.1)

    run(look())
    assert made == 5
