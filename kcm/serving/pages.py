"""The manager's HTTP pages: probes, metrics, configuration, status, and an index.

`pages` makes one Handler of what it is given. Guarantees: GET and HEAD only (405 otherwise), an
unknown path is a 404 that names the index; credentials never appear (reference: reliability 5);
with a token set, everything but the probes asks for it. Does not gather: each page calls the
function that it was given and shows the result. Owns the last status page, for a second.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import msgspec

from kcm.serving.health import Checks
from kcm.serving.http import Handler, Request, Response
from kcm.serving.status import Status
from kcm.serving.statuspage import ask_page, status_page, wants_html
from kcm.serving.tables import status_text
from kcm.telemetry.cleaning import REDACTED, is_secret_name
from kcm.telemetry.exposition import CONTENT_TYPE
from kcm.telemetry.tracing import continuing

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
_PROBES = ("livez", "readyz", "healthz")
# Making the status page takes milliseconds of the manager's loop: however many look, once a second.
PAGE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the pages come from. `configs` gives what /configz shows, by name."""

    livez: Checks
    readyz: Checks
    healthz: Checks
    metrics: Callable[[], bytes]
    configs: Callable[[], Mapping[str, object]]
    status: Callable[[], Status]
    token: Callable[[], str] = lambda: ""
    delegation: Callable[[Request], Awaitable[Response | None]] | None = None
    debug: Handler | None = None
    slis: Callable[[], bytes] = bytes
    for_browsers: bool = False
    """Show browsers a status page at / in place of the index."""


class _StatusPage:
    """The status page for browsers, a second old at most."""

    def __init__(self, status: Callable[[], Status]) -> None:
        self._status = status
        self._made = 0.0
        self._answer: Response | None = None

    def answer(self) -> Response:
        now = asyncio.get_running_loop().time()
        if self._answer is None or now - self._made >= PAGE_SECONDS:
            self._answer, self._made = status_page(self._status()), now
        return self._answer


def pages(sources: Sources) -> Handler:
    """Return the handler for `kcm.serving.http.HttpServer`."""
    page = _StatusPage(sources.status)

    async def handle(request: Request) -> Response:
        endpoint, _, rest = request.path.strip("/").partition("/")
        debug = sources.debug if endpoint == "debug" else None
        if request.method not in ("GET", "HEAD") and debug is None:
            return replace(_plain(405, "only GET and HEAD are served here\n"), headers={"Allow": "GET, HEAD"})
        if endpoint in _PROBES:
            checks: Checks = getattr(sources, endpoint)
            return checks.answer(request, rest)
        with continuing(request.headers.get("traceparent", "")):
            refusal = await _refusal(sources, request)
        if refusal is not None:
            asks = refusal.status in (401, 403) and _shows_page(sources, request)
            return ask_page(refusal) if asks else refusal
        if _shows_page(sources, request):
            return page.answer()
        return _page(sources, request) if debug is None else await debug(request)

    return handle


def probes(sources: Sources) -> Handler:
    """Return a handler that answers probes and nothing else."""

    async def handle(request: Request) -> Response:
        endpoint, _, rest = request.path.strip("/").partition("/")
        if endpoint not in _PROBES or request.method not in ("GET", "HEAD"):
            return _plain(404, "only /livez, /readyz and /healthz are served here\n")
        checks: Checks = getattr(sources, endpoint)
        return checks.answer(request, rest)

    return handle


async def _refusal(sources: Sources, request: Request) -> Response | None:
    """Return why a request for a page is not answered; the token of the file opens, and so may the server."""
    token = sources.token()
    if sources.delegation is not None:
        return None if token and _admitted(request, token) else await sources.delegation(request)
    if not _admitted(request, token):
        return replace(_plain(401, "a bearer token is needed\n"), headers={"WWW-Authenticate": "Bearer"})
    return None


def _page(sources: Sources, request: Request) -> Response:
    match request.path:
        case "/":
            return _plain(200, _index(sources))
        case "/metrics":
            return Response(200, sources.metrics(), CONTENT_TYPE)
        case "/metrics/slis":
            return Response(200, sources.slis(), CONTENT_TYPE)
        case "/configz":
            shown = {name: _hidden(msgspec.to_builtins(config)) for name, config in sources.configs().items()}
            return _json(shown)
        case "/statusz":
            status = sources.status()
            return _json(status) if _wants_json(request) else _plain(200, status_text(status))
    return _plain(404, "there is no such page; / lists those that are\n")


def _shows_page(sources: Sources, request: Request) -> bool:
    return sources.for_browsers and request.path == "/" and wants_html(request)


def _index(sources: Sources) -> str:
    probes = "".join(
        f"/{name:<9} {', '.join(f'/{name}/{check}' for check in getattr(sources, name).names())}\n"
        for name in _PROBES
    )
    return (
        "kcm\n\n"
        f"{probes}"
        "           ?verbose lists every check, ?exclude=NAME leaves one out\n"
        "/metrics   Prometheus metrics of all processes; /metrics/slis: results of the checks only\n"
        "/statusz   leader, controllers, hosts, caches, decisions (?format=json for scripts)\n"
        "/configz   the configuration in use\n"
    )


def _wants_json(request: Request) -> bool:
    """Return whether JSON is asked for: by ?format=, else by Accept naming it before text."""
    asked = request.parameter("format")
    if asked:
        return asked == "json"
    for item in request.headers.get("accept", "").split(","):
        match item.partition(";")[0].strip().lower():
            case "application/json":
                return True
            case "text/plain" | "text/html" | "text/*":
                return False
    return False


def _admitted(request: Request, token: str) -> bool:
    if not token:
        return True
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    # A comparison that ends at the first difference tells the token letter by letter.
    same = hmac.compare_digest(given.strip().encode("utf-8", "replace"), token.encode())
    return same and scheme.lower() == "bearer"


def _hidden(value: object) -> object:
    """Return the configuration without credentials; the config loader has bounded its depth."""
    match value:
        case dict():
            return {name: _hidden_member(str(name), member) for name, member in value.items()}
        case list():
            return [_hidden(item) for item in value]
    return value


def _hidden_member(name: str, value: object) -> object:
    if is_secret_name(name) and value not in ("", None) and not isinstance(value, bool | int | float):
        return REDACTED
    return _hidden(value)


def _json(value: object) -> Response:
    body = msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
    return Response(200, body, JSON, {"Cache-Control": "no-store"})


def _plain(status: int, text: str) -> Response:
    return Response(status, text.encode("utf-8", "backslashreplace"), TEXT, {"Cache-Control": "no-store"})
