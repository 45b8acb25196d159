"""Everything a server answers that is not an object: version, health, discovery, OpenAPI.

Guarantees: only what is served is advertised; aggregated discovery repeats g/v/as in its
Content-Type, by which clients recognise it; an OpenAPI document is found by group-version and
its hash. OpenAPI v2 is a document without definitions, in the protobuf form that kubectl asks
for to check a `kind: List`; as JSON it answers 406, because JSON breaks kubectl. Owns no state.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from kcm.sandbox.api.errors import Json, not_acceptable
from kcm.sandbox.api.negotiation import accepts_aggregated
from kcm.sandbox.api.records import encode
from kcm.sandbox.schema import discovery, openapi
from kcm.sandbox.schema.resources import ResourceInfo
from kcm.serving.http import Request, Response

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
# Clients ask with "@v1.0", but cannot parse that in an answer's Content-Type.
_OPENAPI_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
# Field 1 of the document, `swagger`: "2.0". Kinds it does not define are left for the server to check.
_EMPTY_V2 = b"\x0a\x032.0"
_HEALTH = frozenset(("/healthz", "/livez", "/readyz"))
MAJOR, MINOR = "1", "36"


def version() -> Json:
    """Return what /version says: the Kubernetes version whose behaviour is modelled."""
    return {
        "major": MAJOR,
        "minor": MINOR,
        "gitVersion": f"v{MAJOR}.{MINOR}.0+kcm-sandbox",
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": sys.implementation.name,
        "platform": sys.platform,
    }


def answer(request: Request, resources: Sequence[ResourceInfo]) -> Response | None:
    """Return the document at the request's path about these resources, or None when there is none."""
    path = request.path.rstrip("/") or "/"
    if path in _HEALTH or path.startswith(("/livez/", "/readyz/", "/healthz/")):
        return Response(200, b"ok", "text/plain; charset=utf-8")
    if path == "/version":
        return _json(version())
    if path == "/openapi/v2":
        return _openapi_v2(request.headers.get("accept", ""))
    if path.startswith("/openapi/v3"):
        return _openapi(request, path, resources)
    return _discovery(request, path, resources)


def _openapi_v2(accept: str) -> Response:
    if "proto-openapi.spec.v2" not in accept:
        raise not_acceptable((_OPENAPI_V2,))
    return Response(200, _EMPTY_V2, _OPENAPI_V2)


def _openapi(request: Request, path: str, resources: Sequence[ResourceInfo]) -> Response | None:
    if path == "/openapi/v3":
        return _json(openapi.index(resources))
    group_version = path.removeprefix("/openapi/v3/")
    document = openapi.document(group_version, resources)
    if document is None:
        return None
    asked = dict(request.query).get("hash", "")
    present = openapi.index(resources)["paths"][group_version]["serverRelativeURL"] if asked else ""
    if asked and not present.endswith(f"={asked}"):
        # A document that was changed: who kept the old hash learns the new one.
        return Response(301, b"", headers={"Location": present})
    # The index names each document with its hash, so it may be kept for ever.
    return Response(200, document, headers={"Cache-Control": "public, immutable"} if asked else {})


def _discovery(request: Request, path: str, resources: Sequence[ResourceInfo]) -> Response | None:
    if path in ("/api", "/apis"):
        if accepts_aggregated(request.headers.get("accept", "")):
            return Response(200, encode(discovery.aggregated(path == "/api", resources)), _AGGREGATED)
        return _json(discovery.api_versions() if path == "/api" else discovery.group_list(resources))
    parts = path.strip("/").split("/")
    match parts:
        case ["api", version_]:
            found = discovery.resource_list("", version_, resources)
        case ["apis", group, version_]:
            found = discovery.resource_list(group, version_, resources)
        case ["apis", group]:
            found = discovery.group(group, resources)
        case [""]:
            found = {"paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]}
        case _:
            found = None
    return None if found is None else _json(found)


def _json(document: Json) -> Response:
    return Response(200, encode(document))
