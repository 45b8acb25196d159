"""One request to a resource, read once: route, verb, options, who asks.

Guarantees: options are checked here, so that below this point they have their types. Owns no
state; a `Call` lives as long as its request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kcm.base.errors import KcmError
from kcm.sandbox.api.errors import bad_request, invalid_option
from kcm.sandbox.api.history import Cause
from kcm.sandbox.api.routing import Route
from kcm.sandbox.schema.resources import ResourceInfo
from kcm.serving.http import Request

_LONGEST_MANAGER = 128


@dataclass(slots=True)
class Call:
    """What one caller wants done with one resource."""

    resource: ResourceInfo
    verb: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    agent: str = ""
    dry_run: bool = False
    validation: str = "Warn"
    options: Mapping[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def cause(self) -> Cause:
        return Cause(self.verb, self.agent, self.subresource)

    def flag(self, name: str) -> bool:
        """Return a boolean option: everything but false and 0 is true, as the real server reads it."""
        return self.options.get(name, "false").lower() not in ("false", "0")

    def number(self, name: str, default: int = 0) -> int:
        """Return an integer option; ApiFailure 400 when it is none."""
        text = self.options.get(name, "")
        if not text:
            return default
        if len(text) > 18 or not text.removeprefix("-").isdigit() or not text.isascii():
            raise bad_request(f'invalid value for {name}: "{text[:40]}" is not a number')
        return int(text)


def read_call(request: Request, route: Route) -> Call:
    """Return the call that a request makes on a route."""
    options = dict(reversed(request.query))
    call = Call(
        resource=route.resource,
        verb=_verb(request.method, route, options),
        namespace=route.namespace,
        name=route.name,
        subresource=route.subresource,
        agent=request.headers.get("user-agent", ""),
        options=options,
    )
    call.dry_run = _dry_run(options.get("dryRun"))
    call.validation = options.get("fieldValidation") or "Warn"
    if call.validation not in ("Warn", "Strict", "Ignore"):
        raise invalid_option(
            "CreateOptions",
            "fieldValidation",
            f'Unsupported value: "{call.validation}"',
            "FieldValueNotSupported",
        )
    if len(options.get("fieldManager", "")) > _LONGEST_MANAGER:
        raise invalid_option(
            "PatchOptions", "fieldManager", "Too long: may not be more than 128 bytes", "FieldValueTooLong"
        )
    return call


def _dry_run(value: str | None) -> bool:
    if value is None:
        return False
    if value != "All":
        raise invalid_option(
            "CreateOptions", "dryRun", f'Unsupported value: "{value}"', "FieldValueNotSupported"
        )
    return True


def _verb(method: str, route: Route, options: Mapping[str, str]) -> str:
    match method:
        case "GET":
            if route.name:
                return "get"
            watching = options.get("watch", "false").lower() not in ("false", "0")
            return "watch" if watching else "list"
        case "POST":
            return "create"
        case "PUT":
            return "update"
        case "PATCH":
            return "patch"
        case "DELETE":
            return "delete" if route.name else "deletecollection"
    raise KcmError(f"no verb for method {method}")


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """`metav1.DeleteOptions`, from the body or the query."""

    uid: str = ""
    resource_version: str = ""
    grace_seconds: int | None = None
    propagation: str = ""


def read_delete_options(call: Call, body: Any) -> DeleteOptions:
    """Return the options of a DELETE; the body wins over the query. Sets `call.dry_run` too."""
    given = body if body is not None else {}
    if not isinstance(given, dict):
        raise bad_request("the body of a DELETE must be DeleteOptions")
    preconditions = given.get("preconditions") or {}
    grace = given.get("gracePeriodSeconds")
    if grace is None and call.options.get("gracePeriodSeconds"):
        grace = call.number("gracePeriodSeconds")
    if grace is not None and not isinstance(grace, int):
        raise bad_request("gracePeriodSeconds must be a whole number")
    orphan = given.get("orphanDependents")
    propagation = given.get("propagationPolicy") or call.options.get("propagationPolicy", "")
    if not propagation and orphan is not None:
        propagation = "Orphan" if orphan else "Background"
    if propagation not in ("", "Background", "Foreground", "Orphan"):
        raise invalid_option(
            "DeleteOptions",
            "propagationPolicy",
            f'Unsupported value: "{propagation}"',
            "FieldValueNotSupported",
        )
    if given.get("dryRun"):
        call.dry_run = _dry_run(given["dryRun"][0])
    return DeleteOptions(
        uid=preconditions.get("uid") or "",
        resource_version=preconditions.get("resourceVersion") or "",
        grace_seconds=None if grace is None else max(1 if grace < 0 else 0, grace),
        propagation=propagation,
    )
