"""One request to a resource, read once: route, verb, options, who asks.

Guarantees: options are checked here, so that below this point they have their types. Owns no
state; a `Call` lives as long as its request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kcm.base.errors import KcmError
from kcm.sandbox.access.users import ADMIN, User
from kcm.sandbox.api.errors import (
    SCHEME,
    Json,
    bad_request,
    cause,
    go_quote,
    invalid_option,
    unparsable_number,
)
from kcm.sandbox.api.history import Cause
from kcm.sandbox.api.routing import Route
from kcm.sandbox.schema.resources import ResourceInfo
from kcm.sandbox.schema.typecheck import type_errors
from kcm.serving.http import Request

_LONGEST_MANAGER = 128
_LARGEST = 2**63
_NUMBERS = ("limit", "timeoutSeconds")
_OPTIONS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}
_VALIDATIONS = ("", "Ignore", "Strict", "Warn")
_PROPAGATIONS = ("Foreground", "Background", "Orphan")


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
    user: User = ADMIN
    duplicates: tuple[str, ...] = ()
    # Set by faults alone: a LIST is to show what there was at that moment (monotonic seconds).
    behind: float | None = None
    always_behind: bool = False

    @property
    def cause(self) -> Cause:
        return Cause(self.verb, self.agent, self.subresource, self.user.name)

    def flag(self, name: str) -> bool:
        """Return a boolean option: everything but false and 0 is true, as the real server reads it."""
        return self.options.get(name, "false").lower() not in ("false", "0")

    def number(self, name: str, default: int = 0) -> int:
        """Return an integer option; ApiFailure 400 when it is none."""
        text = self.options.get(name)
        if text is None:
            return default
        digits = text[1:] if text.startswith(("-", "+")) else text
        if len(text) > 20 or not digits.isdigit() or not text.isascii() or abs(int(text)) >= _LARGEST:
            raise bad_request(unparsable_number(text))
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
    call.validation = options.get("fieldValidation") or "Warn"
    if request.method == "GET":
        for name in _NUMBERS:
            call.number(name)
    elif options or request.method == "PATCH":
        _check_write_options(call, request.headers.get("content-type", ""))
    return call


def _check_write_options(call: Call, content_type: str) -> None:
    """Raise 422 for what the options of a write may not be."""
    options = call.options
    dry_run = options.get("dryRun")
    call.dry_run = dry_run == "All"
    kind = _OPTIONS.get(call.verb)
    if kind is None:
        # A DELETE may have its options in its body; see `read_delete_options`.
        return
    problems: list[Json] = []
    if kind == "PatchOptions":
        applying = content_type.startswith("application/apply-patch")
        if "force" in options and not applying:
            problems.append(cause("force", "Forbidden: may not be specified for non-apply patch"))
        if applying and not options.get("fieldManager"):
            message = "Required value: is required for apply patch"
            problems.append(cause("fieldManager", message, "FieldValueRequired"))
    problems += _manager_problems(options.get("fieldManager", ""))
    if dry_run is not None and not call.dry_run:
        problems.append(_unsupported_dry_run([dry_run]))
    if options.get("fieldValidation", "") not in _VALIDATIONS:
        problems.append(_unsupported("fieldValidation", options["fieldValidation"], _VALIDATIONS))
    if problems:
        raise invalid_option(kind, *problems)


def _manager_problems(manager: str) -> list[Json]:
    problems: list[Json] = []
    if len(manager.encode()) > _LONGEST_MANAGER:
        message = f"Too long: may not be more than {_LONGEST_MANAGER} bytes"
        problems.append(cause("fieldManager", message, "FieldValueTooLong"))
    if not manager.isprintable():
        position, letter = next((at, one) for at, one in enumerate(manager) if not one.isprintable())
        message = f"invalid character U+{ord(letter):04X} (at position {position})"
        message = f"Invalid value: {go_quote(manager)}: {message}"
        problems.append(cause("fieldManager", message, "FieldValueInvalid"))
    return problems


def _unsupported(field: str, value: str, supported: Sequence[str]) -> Json:
    known = ", ".join(f'"{one}"' for one in supported)
    message = f"Unsupported value: {go_quote(value)}: supported values: {known}"
    return cause(field, message, "FieldValueNotSupported")


def _unsupported_dry_run(values: Sequence[str]) -> Json:
    shown = ",".join(go_quote(value) for value in values)
    message = f'Unsupported value: [{shown}]: supported values: "All"'
    return cause("dryRun", message, "FieldValueNotSupported")


def _verb(method: str, route: Route, options: Mapping[str, str]) -> str:
    match method:
        case "GET":
            if route.name:
                return "get"
            watching = route.watching or options.get("watch", "false").lower() not in ("false", "0")
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
    cascades: bool = False


def read_delete_options(call: Call, body: Any) -> DeleteOptions:
    """Return the options of a DELETE: its body's, or the query's if it has no body. Sets `call.dry_run` too.

    ApiFailure 400 when a value has the wrong type, 422 when it is none that is known.
    """
    given = _query_options(call) if body is None else body
    if not isinstance(given, dict):
        raise bad_request("the body of a DELETE must be DeleteOptions")
    kind, version = given.get("kind") or "DeleteOptions", given.get("apiVersion") or "v1"
    if kind != "DeleteOptions":
        raise bad_request(f'no kind "{kind}" is registered for version "{version}" in scheme {SCHEME}')
    if problems := type_errors("DeleteOptions", given):
        raise bad_request(problems[0])
    preconditions = given.get("preconditions") or {}
    grace, dry_run = given.get("gracePeriodSeconds"), given.get("dryRun") or []
    orphan, propagation = given.get("orphanDependents"), given.get("propagationPolicy")
    refused: list[Json] = []
    if propagation is not None and orphan is not None:
        message = f"Invalid value: {go_quote(propagation)}: "
        message += "orphanDependents and deletionPropagation cannot be both set"
        refused.append(cause("propagationPolicy", message, "FieldValueInvalid"))
    elif propagation is not None and propagation not in _PROPAGATIONS:
        refused.append(_unsupported("propagationPolicy", propagation, (*_PROPAGATIONS, "nil")))
    if any(value != "All" for value in dry_run):
        refused.append(_unsupported_dry_run(dry_run))
    if refused:
        raise invalid_option("DeleteOptions", *refused)
    call.dry_run = bool(dry_run)
    if propagation is None and orphan is not None:
        propagation = "Orphan" if orphan else "Background"
    return DeleteOptions(
        uid=preconditions.get("uid") or "",
        resource_version=preconditions.get("resourceVersion") or "",
        # A negative grace means the shortest one that still is one.
        grace_seconds=None if grace is None else int(grace) if grace >= 0 else 1,
        propagation=propagation or "",
        cascades=orphan is False,
    )


def _query_options(call: Call) -> Json:
    """Return the DeleteOptions that stand in the query."""
    options = call.options
    given: Json = {}
    if "gracePeriodSeconds" in options:
        given["gracePeriodSeconds"] = call.number("gracePeriodSeconds")
    if "orphanDependents" in options:
        given["orphanDependents"] = call.flag("orphanDependents")
    if "propagationPolicy" in options:
        given["propagationPolicy"] = options["propagationPolicy"]
    if "dryRun" in options:
        given["dryRun"] = [options["dryRun"]]
    return given
