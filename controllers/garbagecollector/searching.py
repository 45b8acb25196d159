"""Looking for dependents on the server itself, past every cache.

For the one conclusion that cannot be taken back: that nobody names an owner any more, so that it
may go without them. Guarantees: what was there when `search` was called is found, in each resource
that can be read; what may not be read, or is served no more, is left out. Any other failure is
raised: then nobody knows. Reads metadata, in pages. Holds no state.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from kcm import ApiError, NotFound
from kcm.objects import PartialMetadata, PartialObject, ResourceType, Spec, partial

if TYPE_CHECKING:
    from kcm import Context

PAGE = "500"
LARGEST_PAGE = 64 * 1024 * 1024
_UNREADABLE = (403, 405)


class _Item(Spec, frozen=True):
    metadata: PartialMetadata


class _ListMetadata(Spec, frozen=True):
    next_page: str = msgspec.field(default="", name="continue")


class _Page(Spec, frozen=True):
    metadata: _ListMetadata = _ListMetadata()
    items: tuple[_Item, ...] | None = None


_decode = msgspec.json.Decoder(_Page).decode


async def search(
    ctx: Context, resources: Iterable[ResourceType], owner: PartialObject
) -> tuple[PartialObject, ...]:
    """Return the objects of these resources that name `owner`, as the server has them now.

    Of a namespaced owner those in its namespace. ApiError, TransportError, TimeoutError, ValueError.
    """
    found: list[PartialObject] = []
    for resource in resources:
        try:
            found += await _search_one(ctx, resource, owner)
        except NotFound:
            continue
        except ApiError as error:
            if error.code not in _UNREADABLE:
                raise
            ctx.log.warning("dependents cannot be looked for", resource=str(resource), error=str(error))
    return tuple(found)


async def _search_one(ctx: Context, resource: ResourceType, owner: PartialObject) -> list[PartialObject]:
    root = ("apis", *resource.api.split("/")) if resource.group else ("api", resource.api)
    namespace = owner.metadata.namespace
    scope = ("namespaces", namespace) if namespace else ()
    found: list[PartialObject] = []
    query = {"limit": PAGE}
    while True:
        body = await ctx.read(
            *(*root, *scope, resource.plural), query=query, max_bytes=LARGEST_PAGE, metadata_only=True
        )
        page = _decode(body)
        for item in page.items or ():
            if any(each.uid == owner.metadata.uid for each in item.metadata.owner_references):
                found.append(partial(resource)(metadata=item.metadata))
        if not page.metadata.next_page:
            return found
        query = {"limit": PAGE, "continue": page.metadata.next_page}
