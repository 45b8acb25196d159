"""One thing that is wrong with one field, in the words of an API server.

`message` is what a Status cause carries: the kind of problem, the value, the detail. The whole
line of an error is `field: message` (reference: apiserver §4).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_LONGEST_SHOWN = 1024


@dataclass(frozen=True, slots=True)
class FieldError:
    """`reason` is a StatusCause type, `field` a path like `spec.containers[0].name`."""

    reason: str
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


def required(field: str, detail: str = "") -> FieldError:
    """The field must be there."""
    return FieldError(
        "FieldValueRequired", field, f"Required value: {detail}" if detail else "Required value"
    )


def invalid(field: str, value: Any, detail: str) -> FieldError:
    """The value is not acceptable."""
    return FieldError("FieldValueInvalid", field, f"Invalid value: {_shown(value)}: {detail}")


def forbidden(field: str, detail: str) -> FieldError:
    """The field may not be set, or not be changed."""
    return FieldError("FieldValueForbidden", field, f"Forbidden: {detail}")


def duplicate(field: str, value: Any) -> FieldError:
    """The value must be unique."""
    return FieldError("FieldValueDuplicate", field, f"Duplicate value: {_shown(value)}")


def not_found(field: str, value: Any) -> FieldError:
    """The value names something that is not there."""
    return FieldError("FieldValueNotFound", field, f"Not found: {_shown(value)}")


def too_long(field: str, limit: int) -> FieldError:
    """The value has more than `limit` bytes."""
    return FieldError("FieldValueTooLong", field, f"Too long: may not be more than {limit} bytes")


def not_supported(field: str, value: Any, supported: Iterable[str]) -> FieldError:
    """The value is none of those that exist."""
    names = ", ".join(f'"{name}"' for name in sorted(supported))
    return FieldError(
        "FieldValueNotSupported", field, f"Unsupported value: {_shown(value)}: supported values: {names}"
    )
