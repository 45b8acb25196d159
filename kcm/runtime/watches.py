"""What a controller watches, and which of its keys a change touches.

Built with `primary`, `owns` and `watches`; pure values. A watch only names keys: the reconcile
that follows looks at present state, never at the event (DESIGN §2.1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from kcm.objects.resource import Key, Resource
from kcm.objects.selectors import Selector

R = TypeVar("R", bound=Resource[Any])

Mapper = Callable[[Any], Iterable[Key]]
Index = Callable[[Any], Iterable[str]]
Adopts = Callable[[Any], Selector | None]


class Watch(msgspec.Struct, frozen=True):
    """One resource type that a controller reads, restricted by selectors and namespace."""

    type: type[Resource[Any]]
    role: str
    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""
    indexes: Mapping[str, Index] = {}
    to: Mapper | None = None
    adopts: Adopts | None = None


def primary(
    type_: type[R],
    *,
    namespace: str = "",
    label_selector: str = "",
    field_selector: str = "",
    indexes: Mapping[str, Index] | None = None,
) -> Watch:
    """Declare the type whose objects are reconciled: a change of one touches its own key."""
    return Watch(type_, "primary", namespace, label_selector, field_selector, indexes or {})


def owns(
    type_: type[R],
    *,
    adopts: Adopts | None = None,
    namespace: str = "",
    label_selector: str = "",
    field_selector: str = "",
    indexes: Mapping[str, Index] | None = None,
) -> Watch:
    """Declare a type whose objects the primaries control: a change touches the controlling owner.

    With `adopts`, a change of an object without controller touches every primary of its
    namespace whose selector (what `adopts` returns for it) matches the object's labels.
    """
    return Watch(type_, "owned", namespace, label_selector, field_selector, indexes or {}, None, adopts)


def watches(
    type_: type[R],
    *,
    to: Mapper,
    namespace: str = "",
    label_selector: str = "",
    field_selector: str = "",
    indexes: Mapping[str, Index] | None = None,
) -> Watch:
    """Declare another type; `to` maps one of its objects to the keys that it touches."""
    return Watch(type_, "mapped", namespace, label_selector, field_selector, indexes or {}, to)
