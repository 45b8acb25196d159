"""The whole document: the parts of the page, its style, and the script that keeps it up to date.

Style and script stand in files beside this one and in every answer: one request, nothing from elsewhere.
The script asks for this very document again every two seconds and takes over what differs, so the
server's rendering is the only one, and without JavaScript the page is a snapshot. Guarantees: the
Content-Security-Policy lets this style and this script run, by their hashes, and nothing else; a
refusal shows nothing of the daemon but that a token is asked for. Pure but for reading the two files once.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from html import escape
from importlib import resources
from typing import NamedTuple

from kcm.base.timestamps import format_time
from kcm.serving.messages import Request, Response
from kcm.serving.status import Status
from kcm.serving.statuspage.markup import Markup, element, joined
from kcm.serving.statuspage.sections import sections, standing

HTML = "text/html; charset=utf-8"
# A square of the state's usual colour; browsers ask for /favicon.ico otherwise.
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Crect x='2' y='2' width='12' height='12' rx='3' fill='%232f6f4f'/%3E%3C/svg%3E"
)
_SECTIONS = (
    ("controllers", "Controllers"),
    ("decisions", "Decisions"),
    ("hosts", "Hosts"),
    ("caches", "Caches"),
)


class _Assets(NamedTuple):
    """What stands in every answer, and the policy that lets it."""

    style: Markup
    script: Markup
    policy: str


def wants_html(request: Request) -> bool:
    """Say whether a browser asks: by naming text/html, which curl and probes do not."""
    for item in request.headers.get("accept", "").split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        if name == "text/html":
            return "q=0" not in parameters
    return False


def status_page(status: Status) -> Response:
    """Return the page as it is now."""
    word, _ = standing(status)
    asked = format_time(status.build.now) if status.build.now else ""
    body = element("main", sections(status), id="status")
    return _document(200, f"{word} – kcm", f"as of {asked}" if asked else "", body, status.build.version)


def ask_page(refusal: Response) -> Response:
    """Return a page that asks for a token, in place of a refusal; it keeps its status and says its reason."""
    said = refusal.body.decode("utf-8", "replace").strip() if isinstance(refusal.body, bytes) else ""
    reason = "".join(letter if letter.isprintable() else "?" for letter in said)
    answer = _document(
        refusal.status, "kcm", "", element("main", id="status"), refused=reason or "not admitted"
    )
    kept = {name: value for name, value in refusal.headers.items() if name == "WWW-Authenticate"}
    return Response(answer.status, answer.body, HTML, {**answer.headers, **kept})


def _document(
    code: int, title: str, pulse: str, body: Markup, version: str = "", refused: str = ""
) -> Response:
    assets = _assets()
    links = (element("a", name, href=f"#{anchor}") for anchor, name in _SECTIONS)
    nav = element("nav", *links, id="sections", aria_label="Sections", hidden=bool(refused))
    head = joined(
        Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'),
        element("title", title),
        Markup(f'<link rel="icon" href="{_ICON}">'),
        element("style", assets.style),
    )
    top = element(
        "header",
        element("h1", "kcm", element("small", version, id="version")),
        nav,
        element("p", pulse, id="pulse", role="status"),
    )
    page = element(
        "html",
        element("head", head),
        element("body", top, _form(refused), body, element("script", assets.script)),
        lang="en",
    )
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": assets.policy,
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept, Authorization",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(code, f"<!doctype html>{page}\n".encode(), HTML, headers)


def _form(refused: str) -> Markup:
    """Return what asks for a token. It goes nowhere but into the header of this page's own requests."""
    field = Markup(
        '<input id="token" type="password" autocomplete="off" spellcheck="false" required '
        'aria-describedby="refusal">'
    )
    return element(
        "form",
        element("h2", "Who are you?"),
        # Plain words of ours, which `text` would take for a credential.
        element("p", Markup(escape(refused)), id="refusal"),
        element("label", Markup("Bearer token"), for_="token"),
        field,
        element("button", "Show the status", type="submit"),
        element(
            "p",
            "It is kept in this tab until it is closed or reloaded, and sent to this server only. "
            "Without JavaScript, use a proxy that adds it.",
            class_="note",
        ),
        id="ask",
        hidden=not refused,
    )


@cache
def _assets() -> _Assets:
    here = resources.files("kcm.serving.statuspage")
    style, script = (here.joinpath(name).read_text("utf-8") for name in ("style.css", "live.js"))
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
    return _Assets(Markup(style), Markup(script), policy)


def _hash(content: str) -> str:
    """Return what a Content-Security-Policy calls this content."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
