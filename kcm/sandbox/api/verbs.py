"""The verbs on resources: reads bodies, calls the rules, writes answers.

`Verbs.serve` is given a checked `Call` and returns the `Response` for it. Guarantees: 201 only
for what was made; every Status and object in the form that Accept asks for; what the resource
or subresource does not have answers 404, 405 or 501. Owns no state.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from kcm.base.clock import Clock
from kcm.base.rng import Rng
from kcm.sandbox.api import rendering, startup
from kcm.sandbox.api.answers import squeezed, warning_fields
from kcm.sandbox.api.calls import Call, read_delete_options
from kcm.sandbox.api.configurations import read_configuration
from kcm.sandbox.api.deletion import Deleter, answer
from kcm.sandbox.api.errors import (
    ApiFailure,
    Json,
    Undecodable,
    method_not_allowed,
    not_found,
    not_implemented,
    unknown_route,
)
from kcm.sandbox.api.evictions import Evictions
from kcm.sandbox.api.lists import BadVersion, Page, list_page, parse_version, reach
from kcm.sandbox.api.negotiation import (
    APPLY_PATCH,
    YAML,
    Wanted,
    check_custom_patch,
    check_watchable,
    parse_accept,
    read_body,
    read_strictly,
    write_yaml,
)
from kcm.sandbox.api.patching import Patch
from kcm.sandbox.api.podlogs import PodLogs
from kcm.sandbox.api.records import Record, encode
from kcm.sandbox.api.reviews import Reviews, is_review
from kcm.sandbox.api.selection import Selection, parse_selection
from kcm.sandbox.api.store import Collection, Store
from kcm.sandbox.api.subresources import Subresources, scale_of
from kcm.sandbox.api.tokens import TokenIssuer
from kcm.sandbox.api.watches import SHORTEST_DEFAULT, Watch, read_watch_options
from kcm.sandbox.api.writes import Change, Writer
from kcm.sandbox.schema.resources import subresource as find_subresource
from kcm.serving.http import Request, Response

_NO_CACHE: Mapping[str, str] = {"Cache-Control": "no-cache, private"}
_STREAMS = frozenset(("attach", "exec", "portforward", "proxy", "ephemeralcontainers", "resize"))
# Longer lists are streamed, and longer tables, whose rows cost more.
_WHOLE = 2000
_WHOLE_TABLE = 200


class Verbs:
    """Serves requests to resources."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        deleter: Deleter,
        subresources: Subresources,
        reviews: Reviews,
        issuer: TokenIssuer,
        clock: Clock,
        rng: Rng,
    ) -> None:
        self._store = store
        self._writer = writer
        self._deleter = deleter
        self._subresources = subresources
        self._evictions = Evictions(store, writer, deleter, clock)
        self._reviews = reviews
        self._issuer = issuer
        self._clock = clock
        self._rng = rng

    async def serve(self, call: Call, request: Request) -> Response:
        """Answer one call; ApiFailure when it is refused."""
        if call.resource.custom is not None:
            call.warnings += call.resource.custom.warnings
        if call.subresource:
            return self._serve_subresource(call, request)
        if call.verb not in call.resource.verbs or not _has_verb(call):
            raise unknown_route() if call.name and is_review(call) else method_not_allowed()
        match call.verb:
            case "get":
                await self._wait_for_version(call)
                return self._get(call, request)
            case "list":
                return await self._list(call, request)
            case "watch":
                return await self._watch(call, request)
            case "create":
                return self._create(call, request)
            case "update":
                record, new = self._writer.update(call, self._document(call, request))
                return self._show(call, request, record, 201 if new else 200)
            case "patch":
                return self._patch(call, request)
            case "delete":
                return self._delete(call, request)
        return await self._delete_collection(call, request)

    def _get(self, call: Call, request: Request) -> Response:
        return self._show(call, request, self._writer.find(call))

    async def _wait_for_version(self, call: Call) -> None:
        """A GET may demand an object that is not older than a version."""
        if asked := call.options.get("resourceVersion"):
            try:
                await reach(self._store, parse_version(asked))
            except BadVersion as problem:
                raise ApiFailure(500, "", str(problem)) from None

    async def _list(self, call: Call, request: Request) -> Response:
        page = await list_page(
            self._store, self._writer.collection(call.resource), call, self._selection(call)
        )
        return self._show_page(call, request, page)

    async def _watch(self, call: Call, request: Request) -> Response:
        options = read_watch_options(call, SHORTEST_DEFAULT * self._rng.uniform(1.0, 2.0))
        selection = self._selection(call)
        renderer = self._renderer(call, request, rendering.ITEM_SHAPES)
        check_watchable(parse_accept(request.headers.get("accept", ""), rendering.ITEM_SHAPES))
        watch = Watch(self._store, self._writer.collection(call.resource), selection, renderer, options)
        return Response(200, watch.lines(), headers=_NO_CACHE)

    def _create(self, call: Call, request: Request) -> Response:
        document = self._document(call, request)
        if is_review(call):
            return self._reply(call, request, encode(self._reviews.answer(call, document)), 201)
        if call.resource.nature == "Binding":
            return self._reply(call, request, encode(self._subresources.bind_named(call, document)), 201)
        record = self._writer.create(call, document)
        if call.resource.nature == "Namespace" and not call.dry_run:
            startup.furnish_namespace(self._writer, record.name)
        return self._show(call, request, record, 201)

    def _patch(self, call: Call, request: Request) -> Response:
        if request.headers.get("content-type", "").startswith(APPLY_PATCH):
            config = read_configuration(call, request.body)
            record, new = self._writer.apply(call, config, force=call.flag("force"))
            return self._show(call, request, record, 201 if new else 200)
        patch = self._read_patch(call, request)
        try:
            return self._show(
                call, request, self._writer.replace(call, patch.change, shows_owners=patch.shows_owners)
            )
        except Undecodable as failure:
            raise patch.refusal(failure) from None

    def _document(self, call: Call, request: Request) -> Any:
        """Return what the request's body says, and note in the call what it says twice."""
        content_type = request.headers.get("content-type", "")
        strictly = call.validation != "Ignore"
        body = read_strictly(request.body, content_type, call.resource.kind, strictly=strictly)
        call.duplicates = body.repeated
        return body.value

    def _change(self, call: Call, request: Request) -> Change:
        """Return what the request's patch does to a document."""
        return self._read_patch(call, request).change

    def _read_patch(self, call: Call, request: Request) -> Patch:
        if call.resource.custom is not None:
            check_custom_patch(request.headers.get("content-type", ""))
        patch = Patch(call.resource.nature, request.body, request.headers.get("content-type", ""))
        call.duplicates = patch.repeated
        return patch

    def _delete(self, call: Call, request: Request) -> Response:
        body = read_body(request.body, request.headers.get("content-type", "")) if request.body else None
        options = read_delete_options(call, body)
        record, gone = self._deleter.delete(call, options)
        shown = answer(call, record, gone)
        # Only who says in the old words that dependents go too is told that it takes time.
        status = 202 if not gone and options.cascades else 200
        return self._reply(call, request, shown if isinstance(shown, bytes) else encode(shown), status)

    async def _delete_collection(self, call: Call, request: Request) -> Response:
        body = read_body(request.body, request.headers.get("content-type", "")) if request.body else None
        options = read_delete_options(call, body)
        page = await list_page(
            self._store, self._writer.collection(call.resource), call, self._selection(call)
        )
        for record in page.records:
            call.namespace, call.name = record.namespace, record.name
            try:
                self._deleter.delete(call, options)
            except ApiFailure as failure:
                # Gone since the list: what was wanted.
                if failure.code != 404:
                    raise
        return self._show_page(call, request, page)

    def _serve_subresource(self, call: Call, request: Request) -> Response:
        name, resource = call.subresource, call.resource
        if name == "log" and resource.nature == "Pod":
            return self._logs_of(call)
        if name in _STREAMS and resource.plural in ("pods", "nodes", "services"):
            raise not_implemented(f"{resource.qualified}/{name}")
        try:
            info = find_subresource(resource, name)
        except KeyError:
            raise not_found(resource, call.name) if resource.custom else unknown_route() from None
        if call.verb not in info.verbs:
            raise method_not_allowed()
        match name:
            case "status":
                return self._status(call, request)
            case "scale":
                return self._reply(call, request, encode(self._scale(call, request)), 200)
            case "finalize":
                return self._show(call, request, self._subresources.finalize(call, self._body(request)))
        post = {
            "binding": self._subresources.bind,
            "eviction": self._evictions.evict,
            "token": self._issuer.issue,
        }.get(name)
        if post is not None:
            return self._reply(call, request, encode(post(call, self._body(request))), 201)
        raise not_implemented(f"{resource.qualified}/{name}")

    def _logs_of(self, call: Call) -> Response:
        if call.verb != "get":
            raise method_not_allowed()
        return PodLogs(self._store, self._clock).answer(call)

    def _status(self, call: Call, request: Request) -> Response:
        match call.verb:
            case "get":
                return self._get(call, request)
            case "patch":
                return self._patch(call, request)
        record, _ = self._writer.update(call, self._document(call, request))
        return self._show(call, request, record)

    def _scale(self, call: Call, request: Request) -> Json:
        resource = call.resource
        if call.verb == "get":
            return scale_of(resource, self._writer.find(call))
        if call.verb == "update":
            return self._subresources.put_scale(call, self._body(request))
        if request.headers.get("content-type", "").startswith(APPLY_PATCH):
            config = read_configuration(call, request.body)
            return self._subresources.apply_scale(call, config, force=call.flag("force"))
        present = scale_of(resource, self._writer.find(call))
        return self._subresources.put_scale(call, self._change(call, request)(present))

    def _body(self, request: Request) -> Any:
        return read_body(request.body, request.headers.get("content-type", ""))

    def _selection(self, call: Call) -> Selection:
        collection: Collection = self._writer.collection(call.resource)
        return parse_selection(
            call.resource,
            collection.field_names,
            call.namespace,
            call.options.get("labelSelector", ""),
            call.options.get("fieldSelector", ""),
        )

    def _renderer(self, call: Call, request: Request, shapes: tuple[str, ...]) -> rendering.Renderer:
        wanted = parse_accept(request.headers.get("accept", ""), shapes)
        return rendering.Renderer(call.resource, wanted, self._clock, call.options.get("includeObject", ""))

    def _show(self, call: Call, request: Request, record: Record, status: int = 200) -> Response:
        body = self._renderer(call, request, rendering.ITEM_SHAPES).item(record.raw)
        return self._reply(call, request, body, status)

    def _show_page(self, call: Call, request: Request, page: Page) -> Response:
        renderer = self._renderer(call, request, rendering.LIST_SHAPES)
        pieces = renderer.page(page)
        if len(page.records) <= (_WHOLE_TABLE if renderer.is_table else _WHOLE):
            return self._reply(call, request, b"".join(pieces), 200)
        # Made piece by piece as the reader takes it: a list of 30,000 in one go holds everybody up.
        response = self._reply(call, request, b"", 200)
        if response.content_type == YAML:
            return self._reply(call, request, b"".join(pieces), 200)
        return squeezed(replace(response, body=_stream(pieces)), request)

    def _reply(self, call: Call, request: Request, body: bytes, status: int) -> Response:
        """Write an answer as JSON or YAML, with the call's warnings."""
        told, repeats = warning_fields(call.warnings)
        headers = {**_NO_CACHE, **told}
        wanted: Wanted = parse_accept(request.headers.get("accept", ""), rendering.ANY_SHAPE)
        if wanted.media == YAML:
            return squeezed(Response(status, write_yaml(body), YAML, headers, repeats), request)
        if "pretty" in call.options and call.flag("pretty"):
            body = msgspec.json.format(body, indent=2)
        return squeezed(Response(status, body, headers=headers, repeats=repeats), request)


def _has_verb(call: Call) -> bool:
    """Say whether the verb is meant for what the path names: an object, or a collection of one namespace."""
    if call.verb in ("update", "patch", "delete"):
        return bool(call.name)
    if call.verb in ("create", "deletecollection"):
        return not call.name and (not call.resource.namespaced or bool(call.namespace))
    return True


async def _stream(pieces: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    for piece in pieces:
        yield piece
