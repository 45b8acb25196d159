"""The status page in a real browser: asked for with KCM_TEST_BROWSER=chromium, else left out."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kcm.serving.http import HttpServer, Request, Response
from kcm.serving.status import BuildStatus, DecisionStatus, ElectionStatus, Status
from kcm.serving.statuspage import status_page

BROWSER = shutil.which(os.environ.get("KCM_TEST_BROWSER", "")) or ""

pytestmark = pytest.mark.skipif(not BROWSER, reason="KCM_TEST_BROWSER names no browser")


async def shown(answers: list[Response], profile: Path) -> str:
    """Return the document as the browser has it after ten seconds of its own time."""
    asked = iter(answers)
    last = answers[-1]

    async def answer(request: Request) -> Response:
        assert request.path == "/"
        return next(asked, last)

    server = HttpServer(answer)
    port = await server.start("127.0.0.1", 0)
    flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", "--dump-dom")
    browser = await asyncio.create_subprocess_exec(
        *(BROWSER, *flags, f"--user-data-dir={profile}", f"http://127.0.0.1:{port}/"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(60):
            dump, _ = await browser.communicate()
    finally:
        if browser.returncode is None:
            browser.kill()
            await browser.wait()
        await server.stop()
    return dump.decode()


def page(number: int) -> Response:
    decision = DecisionStatus(
        at=datetime(2026, 1, 1, tzinfo=UTC),
        controller="<img src=x onerror=\"document.title='hacked'\">",
        because=f"reason {number}",
    )
    election = ElectionStatus(identity=f"node-{number}", leading=True, fence_in=8.0)
    return status_page(Status(build=BuildStatus(version="0.1.0"), election=election, decisions=(decision,)))


def test_it_follows_along_and_no_text_acts(tmp_path: Path) -> None:
    dump = asyncio.run(shown([page(number) for number in range(1, 4)], tmp_path))
    assert "node-3" in dump
    assert "reason 3" in dump
    assert re.search(r'id="pulse"[^>]*>live<', dump)
    assert "<title>Leading – kcm</title>" in dump
    assert "&lt;img src=x" in dump


def test_it_says_when_nobody_answers_and_keeps_what_it_had(tmp_path: Path) -> None:
    dump = asyncio.run(shown([page(1), Response(503, b"no")], tmp_path))
    assert re.search(r"no answer since .*\d+ s \(HTTP 503\)", dump)
    assert "node-1" in dump
