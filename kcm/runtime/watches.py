"""What a controller watches, and which of its keys a change touches.

Built with `primary`, `owns` and `watches`; pure values. A watch only names keys: the reconcile
that follows looks at present state, never at the event (DESIGN §2.1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

from kcm.client.discovery import ResourceFilter
from kcm.objects.partials import ObjectKey, PartialObject
from kcm.objects.resource import Key, Resource
from kcm.objects.selectors import Selector
from kcm.runtime.predicates import Predicate

if TYPE_CHECKING:
    from kcm.cache.graph import ObjectGraph
    from kcm.cache.replica import Cache

R = TypeVar("R", bound=Resource[Any])

Touches = Callable[
    ["ObjectGraph", "PartialObject | None", "PartialObject | None"],
    Iterable[ObjectKey],
]
Mapper: TypeAlias = "Callable[[Any], Iterable[Key]] | Callable[[Any, Cache], Iterable[Key]]"
Index = Callable[[Any], Iterable[str]]
Adopts = Callable[[Any], Selector | None]


class Watch(msgspec.Struct, frozen=True):
    """One resource type that a controller reads, restricted by selectors and namespace.

    Or, with `discovers`, all types of a kind of their own, read as `PartialObject`s.
    """

    type: type[Resource[Any]]
    role: str
    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""
    indexes: Mapping[str, Index] = {}
    to: Mapper | None = None
    adopts: Adopts | None = None
    discovers: ResourceFilter | None = None
    touches: Touches | None = None
    when: Predicate | None = None
    metadata_only: bool = False


def primary(
    type_: type[R],
    *,
    namespace: str = "",
    label_selector: str = "",
    field_selector: str = "",
    indexes: Mapping[str, Index] | None = None,
    when: Predicate | None = None,
    metadata_only: bool = False,
) -> Watch:
    """Declare the type whose objects are reconciled: a change of one touches its own key.

    `when`: which updates count (see `kcm.runtime.predicates`). `metadata_only`: the server leaves out what
    is in the objects; for types that declare nothing but their metadata.
    """
    limits = (namespace, label_selector, field_selector, indexes or {})
    return Watch(type_, "primary", *limits, when=when, metadata_only=metadata_only)


def owns(
    type_: type[R],
    *,
    adopts: Adopts | None = None,
    namespace: str = "",
    label_selector: str = "",
    field_selector: str = "",
    indexes: Mapping[str, Index] | None = None,
    when: Predicate | None = None,
    metadata_only: bool = False,
) -> Watch:
    """Declare a type whose objects the primaries control: a change touches the controlling owner.

    With `adopts`, a change of an object without controller touches every primary of its
    namespace whose selector (what `adopts` returns for it) matches the object's labels.
    """
    limits = (namespace, label_selector, field_selector, indexes or {})
    return Watch(type_, "owned", *limits, adopts=adopts, when=when, metadata_only=metadata_only)


def watches(
    type_: type[R],
    *,
    to: Mapper,
    namespace: str = "",
    label_selector: str = "",
    field_selector: str = "",
    indexes: Mapping[str, Index] | None = None,
    when: Predicate | None = None,
    metadata_only: bool = False,
) -> Watch:
    """Declare another type; `to(object)` or `to(object, cache)` names the keys that it touches.

    It is asked about the old and the new state of each object that changes. `cache` is what `observe` reads,
    the change itself included; look there by index (`cache.by_index`), since a list of all primaries for
    every change is a cost that grows with both. A primary that is not in it yet wakes itself when it comes.
    """
    limits = (namespace, label_selector, field_selector, indexes or {})
    return Watch(type_, "mapped", *limits, to=to, when=when, metadata_only=metadata_only)


def discovers(
    *, touches: Touches, verbs: Iterable[str] = ("list", "watch"), excluding: Iterable[str] = ()
) -> Watch:
    """Declare all types that the server has, also those that come later: metadata only, in `cache.graph`.

    Taken are resources with all of `verbs`, each once, but for those `excluding`: "events",
    "events.events.k8s.io", a whole group as "*.metrics.k8s.io". `touches(graph, old, new)` maps a
    change of one object to the keys that it touches, which are `ObjectKey`s.
    """
    wanted = ResourceFilter(tuple(verbs), tuple(excluding))
    return Watch(PartialObject, "discovered", discovers=wanted, touches=touches)


def places_of(to: Mapper) -> int:
    """Return how many arguments a mapping takes: 1 or 2; 0 for one that cannot be called with either."""
    try:
        parameters = signature(to).parameters.values()
    except (TypeError, ValueError):
        # Some functions that are written in C do not tell.
        return 1
    by_place = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    positional = [each for each in parameters if each.kind in by_place]
    needed = sum(each.default is Parameter.empty for each in positional)
    if any(each.kind is each.KEYWORD_ONLY and each.default is Parameter.empty for each in parameters):
        return 0
    open_ended = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    if needed == 2:
        return 2
    return 1 if needed <= 1 and (positional or open_ended) else 0
