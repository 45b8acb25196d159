"""What a CustomResourceDefinition is accepted with, but should know: warnings for its author.

CEL rules are not evaluated here, and webhooks do not convert; formats that nobody checks are told of as
by the real server. Pure, bounded by the definition.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kcm.sandbox.schema.custom.definition import definition_schemas
from kcm.sandbox.schema.custom.document import children
from kcm.sandbox.schema.custom.formats import is_checked

Json = dict[str, Any]

_NUMBER_FORMATS = {"integer": ("int32", "int64"), "number": ("float", "double")}


def cautions(crd: Json) -> tuple[str, ...]:
    """Return the warnings about a definition."""
    found: list[str] = []
    for index, schema in definition_schemas(crd):
        inside = list(_all(schema))
        found += [f'unrecognized format "{one}"' for one in dict.fromkeys(map(_odd_format, inside)) if one]
        rules = sum(len(one.get("x-kubernetes-validations") or ()) for one in inside)
        if rules:
            path = f"spec.versions[{index}].schema.openAPIV3Schema"
            found.append(f"{path}: the sandbox does not evaluate its {rules} x-kubernetes-validations (CEL)")
    if ((crd.get("spec") or {}).get("conversion") or {}).get("strategy") == "Webhook":
        text = "spec.conversion.strategy: the sandbox calls no webhooks, and converts as with strategy None"
        found.append(text)
    return tuple(found)


def _all(schema: Json) -> Iterator[Json]:
    waiting = [schema]
    while waiting:
        one = waiting.pop()
        yield one
        waiting.extend(inner for _, inner in children(one))


def _odd_format(schema: Json) -> str:
    """Return a format that means nothing for its type, "" when there is none."""
    form, kind = schema.get("format") or "", schema.get("type") or ""
    if not form:
        return ""
    if kind in ("", "string"):
        return "" if is_checked(form) else str(form)
    return "" if form in _NUMBER_FORMATS.get(kind, ()) else str(form)
