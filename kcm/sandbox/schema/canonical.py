"""The one spelling of an object: what a server's decode and encode do to it.

JSON null, empty lists, empty maps and zeros that mean absence vanish; the few fields that are
always written appear; quantities and times get the server's text.
Without this a no-op write would look like a change (reference: apiserver §9, trap 9).
Guarantees: in place, idempotent, never fails: what has the wrong type is left for
`kcm.sandbox.schema.typecheck` to report. Empty objects stay: `emptyDir: {}` has meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kcm.base.timestamps import format_micro_time, format_time, parse_time
from kcm.sandbox.schema.fields import ANY, TYPES, Field, Shape, TypeDef
from kcm.sandbox.schema.quantities import canonical


def canonicalize(type_: TypeDef, obj: dict[str, Any]) -> None:
    """Rewrite `obj`, which should be of that type, in place."""
    vanished: list[str] | None = None
    fields = type_.fields
    for name, value in obj.items():
        field = fields.get(name)
        shape = field.shape if field is not None else ANY
        if not value and (value is None or _is_nothing(field, shape, value)):
            vanished = [*vanished, name] if vanished else [name]
        elif isinstance(value, dict | list):
            _descend(shape, value)
        elif shape.name in _SPELLING:
            obj[name] = _spell(shape.name, value)
    for name in vanished or ():
        del obj[name]
    for name, nothing in _ALWAYS.get(type_.name, _NEVER):
        if name not in obj:
            obj[name] = {} if nothing == {} else nothing


_VANISH_EMPTY = frozenset(("list", "map"))
_ZEROS = frozenset(("bool", "float", "int", "long", "string"))
_NEVER: tuple[tuple[str, Any], ...] = ()
_TIMES: tuple[tuple[str, Any], ...] = (("lastTransitionTime", None),)
# What the server writes down even where it is nothing (reference: apiserver §2).
_ALWAYS: Mapping[str, tuple[tuple[str, Any], ...]] = {
    "DeploymentCondition": (*_TIMES, ("lastUpdateTime", None)),
    "Event": (
        ("eventTime", None),
        ("firstTimestamp", None),
        ("lastTimestamp", None),
        ("reportingComponent", ""),
        ("reportingInstance", ""),
        ("source", {}),
    ),
    "HorizontalPodAutoscalerCondition": _TIMES,
    "events.Event": (
        ("deprecatedFirstTimestamp", None),
        ("deprecatedLastTimestamp", None),
        ("deprecatedSource", {}),
        ("eventTime", None),
        ("reportingController", ""),
        ("reportingInstance", ""),
    ),
    "HorizontalPodAutoscalerStatus": (("currentMetrics", None), ("desiredReplicas", 0)),
    "PodCondition": (("lastProbeTime", None), *_TIMES),
    "PodDisruptionBudgetStatus": (
        ("currentHealthy", 0),
        ("desiredHealthy", 0),
        ("disruptionsAllowed", 0),
        ("expectedPods", 0),
    ),
    "StatefulSetStatus": (("availableReplicas", 0), ("replicas", 0)),
    "ReplicaSetCondition": _TIMES,
}


def _is_nothing(field: Field | None, shape: Shape, value: Any) -> bool:
    """Say whether an empty value is left out: what is neither required nor told apart from absence."""
    if isinstance(value, dict | list):
        return shape.form in _VANISH_EMPTY and not (field is not None and field.nullable)
    return field is not None and not field.required and not field.nullable and shape.name in _ZEROS


def _descend(shape: Shape, value: dict[str, Any] | list[Any]) -> None:
    item = shape.item
    match shape.form:
        case "object" if isinstance(value, dict):
            canonicalize(TYPES[shape.name], value)
        case "list" if isinstance(value, list) and item is not None and item.form == "object":
            inner = TYPES[item.name]
            for element in value:
                if isinstance(element, dict):
                    canonicalize(inner, element)
        case "map" if isinstance(value, dict) and item is not None and item.name == "string":
            for key in [key for key, element in value.items() if element is None]:
                value[key] = ""
        case "map" if isinstance(value, dict) and item is not None and item.name in _SPELLING:
            for key, element in value.items():
                value[key] = _spell(item.name, element)
        case _:
            return


def _spell(name: str, value: object) -> object:
    if name == "quantity" and isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return value
    try:
        return _SPELLING[name](value)
    except (ValueError, OverflowError):
        return value


def _time(text: str) -> str:
    return text if len(text) == 20 and text[-1] == "Z" else format_time(parse_time(text))


def _micro_time(text: str) -> str:
    return text if len(text) == 27 and text[-1] == "Z" else format_micro_time(parse_time(text))


_SPELLING: Mapping[str, Callable[[str], str]] = {
    "quantity": canonical,
    "time": _time,
    "microTime": _micro_time,
}
