"""Whether a class can work as a controller, before it is made.

`fault_of` finds the mistakes that would otherwise show as a stack trace at the first event, or not at
all: a coroutine where none belongs, a single watch without its comma, two watches of one type. It
returns what is wrong and what to do, in one line. Pure; runs no code of the controller.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from inspect import iscoroutinefunction
from typing import Any

import msgspec

from kcm.cache.projection import Fields, Projection, projection_of
from kcm.objects.resource import Resource
from kcm.objects.selectors import Selector
from kcm.runtime.controller import Controller
from kcm.runtime.grants import Grant
from kcm.runtime.watches import Watch, places_of

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_FIELD = re.compile(r"[A-Za-z0-9.]+(=|==|!=)[^=!,]*")


def fault_of(found: type[Controller[Any, Any]]) -> str:
    """Return what is wrong with a controller class, "" when nothing is."""
    return (
        _fault_of_methods(found)
        or _fault_of_settings(found)
        or _fault_of_watches(found)
        or _fault_of_writes(found)
    )


def _fault_of_methods(found: type[Controller[Any, Any]]) -> str:
    if abstract := sorted(getattr(found, "__abstractmethods__", ())):
        return f"does not define {' and '.join(abstract)}"
    if iscoroutinefunction(found.observe):
        return "observe must not be async: it only reads the cache"
    if not iscoroutinefunction(found.reconcile):
        return "reconcile must be `async def`; if it has to block, derive from kcm.BlockingController"
    return ""


def _fault_of_settings(found: type[Controller[Any, Any]]) -> str:
    declared: object = found.settings_type
    if declared is None or (isinstance(declared, type) and issubclass(declared, msgspec.Struct)):
        return ""
    return f"settings_type is {declared!r:.60}: it must be a class derived from kcm.objects.Spec"


def _fault_of_watches(found: type[Controller[Any, Any]]) -> str:
    declared: object = found.watches
    if isinstance(declared, Watch):
        return "watches is a single watch: put it into a tuple, with a comma behind it"
    if not isinstance(declared, tuple) or not all(isinstance(each, Watch) for each in declared):
        return "watches must be a tuple of primary(…), owns(…) and watches(…)"
    if not declared and found.hears is None:
        return "watches is empty: a controller needs primary(T), the type that it reconciles"
    primaries = [watch for watch in declared if watch.role == "primary"]
    if len(primaries) > 1:
        return f"watches has {len(primaries)} primaries: one controller reconciles one type"
    if not primaries and any(watch.role == "owned" for watch in declared):
        return "watches has owns(…) and no primary(…): whose would they be?"
    if not primaries and found.hears is None and all(watch.role == "mapped" for watch in declared):
        return "watches has no primary(T), the type that it reconciles"
    return _fault_of_types(declared)


def _fault_of_types(declared: Iterable[Watch]) -> str:
    seen: set[type[Resource[Any]]] = set()
    for watch in declared:
        type_: Any = watch.type
        if not (isinstance(type_, type) and issubclass(type_, Resource)):
            return f"watches {type_!r}, which is no kcm.objects.Resource"
        for name in ("api", "kind", "plural"):
            if not isinstance(getattr(type_, name, None), str):
                return f'watches {type_.__name__}, whose class has no `{name} = "…"`'
        if fault := _fault_of_selection(watch):
            return f"watches {type_.__name__} {fault}"
        if watch.to is not None and not places_of(watch.to):
            return f"watches({type_.__name__}, to=…) needs a function of the object, or of object and cache"
        if type_ in seen:
            return (
                f"watches {type_.__name__} twice: it gets one cache per type; "
                "declare a subclass for the second, or one watch for both"
            )
        seen.add(type_)
        try:
            projection = projection_of(type_)
        except (ValueError, TypeError, NameError) as error:
            return f"watches {type_.__name__}, whose fields cannot be understood: {error}"
        if watch.metadata_only and (more := _beyond_metadata(projection)):
            return f"watches {type_.__name__} metadata_only, which reads {', '.join(more)} too"
    return ""


def _beyond_metadata(projection: Projection) -> list[str]:
    """Return the fields that a type reads and that are not sent with the metadata alone."""
    members = projection.members if isinstance(projection, Fields) else ()
    own = [name for name, each in members if name not in ("apiVersion", "kind", "metadata")]
    return [name for name in own if dict(members)[name] != Fields(())]


def _fault_of_selection(watch: Watch) -> str:
    """Return what is wrong with where and what a watch selects; the server would refuse it for ever."""
    if watch.namespace and not _NAMESPACE.fullmatch(watch.namespace):
        return f"in the namespace {watch.namespace[:64]!r}, which is no name of a namespace"
    if watch.namespace and not watch.type.namespaced:
        return f"in the namespace {watch.namespace!r}, but objects of this type are in none"
    for part in watch.field_selector.split(",") if watch.field_selector else ():
        if not _FIELD.fullmatch(part):
            return f"with the field selector {watch.field_selector[:100]!r}: expected metadata.name=x"
    try:
        Selector.parse(watch.label_selector)
    except ValueError as error:
        return f"with a label selector that cannot be: {error}"
    return ""


def _fault_of_writes(found: type[Controller[Any, Any]]) -> str:
    declared: object = found.writes
    each_is_one = isinstance(declared, tuple) and all(isinstance(each, Grant) for each in declared)
    if declared is None or isinstance(declared, Grant) or each_is_one:
        return ""
    return 'writes must be made of kcm.writes(T, "create", …), or left out'
