"""What there is, in a few lines a person can read: the end of a test that waited in vain.

Pure: objects as dicts in, text out. Bounded: a line an object, so many objects and no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Json = Mapping[str, Any]

_MOST = 20


def describe(kind: str, objects: Iterable[Json]) -> list[str]:
    """Return one line for each of the first objects of a kind."""
    whole = list(objects)
    lines = [f"  {_place(kind, each)}: {_state(kind, each)}" for each in whole[:_MOST]]
    if len(whole) > _MOST:
        lines.append(f"  … and {len(whole) - _MOST} more {kind} objects")
    return lines


def newest(objects: Iterable[Json], most: int) -> list[Json]:
    """Return the objects that were written last, in the order of their last write."""
    return sorted(objects, key=lambda each: int(each["metadata"]["resourceVersion"]))[-most:]


def _place(kind: str, obj: Json) -> str:
    # An event's name says nothing to a person; what it is about does.
    about = obj.get("involvedObject") or {} if kind == "Event" else obj["metadata"]
    namespace, name = about.get("namespace", ""), about.get("name", "")
    whole = f"{namespace}/{name}" if namespace else str(name)
    return f"Event of {about.get('kind', '')} {whole}" if kind == "Event" else f"{kind} {whole}"


def _state(kind: str, obj: Json) -> str:
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    match kind:
        case "Pod":
            said = _pod(spec, status)
        case "Event":
            said = f"{obj.get('type')} {obj.get('reason')}: {str(obj.get('message', ''))[:160]}"
        case _:
            said = _counts(spec, status) or f"resourceVersion {metadata.get('resourceVersion')}"
    if metadata.get("deletionTimestamp"):
        held = ", ".join(metadata.get("finalizers") or ())
        said += f"; being deleted{f', held by {held}' if held else ''}"
    return said


def _pod(spec: Json, status: Json) -> str:
    containers = status.get("containerStatuses") or ()
    ready = sum(bool(each.get("ready")) for each in containers)
    parts = [f"{status.get('phase')}, {ready}/{len(spec.get('containers') or ())} ready"]
    for each in containers:
        for state in (each.get("state") or {}).values():
            if state.get("reason"):
                parts.append(f"{each.get('name')} {state['reason']}")
    parts += _untrue(status)
    if not spec.get("nodeName"):
        parts.append("on no node")
    return ", ".join(parts)


def _counts(spec: Json, status: Json) -> str:
    parts = [f"wants {spec['replicas']}"] if "replicas" in spec else []
    names = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "phase")
    parts += [f"{name} {status[name]}" for name in names if name in status]
    return ", ".join(parts + _untrue(status))


def _untrue(status: Json) -> list[str]:
    """Return what conditions that do not hold say."""
    return [
        f"{each.get('type')}={each.get('status')} ({each.get('reason', '')})"
        for each in status.get("conditions") or ()
        if each.get("status") != "True"
    ]
