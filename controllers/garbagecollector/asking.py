"""Asking the server whether an owner is there, past every cache.

Absence is remembered for a little while, by uid, because the thousand dependents of one owner
all ask the same; presence is not. Guarantees: one request at a time for each owner, however many
ask; absent is only who the server says it does not have, by name: another uid under the name, or
404 for that object, not for its whole resource (its definition may just be away). What the
server does not answer is raised. Holds up to `REMEMBERED` absences, and forgets them with its host.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from controllers.garbagecollector.observe import Asked, Standing
from controllers.garbagecollector.references import FOREGROUND
from kcm import NotFound, TerminalError
from kcm.objects import OwnerReference, PartialMetadata, Spec

if TYPE_CHECKING:
    from kcm import Context

REMEMBERED = 4096
SECONDS = timedelta(seconds=20)


class _Head(Spec, frozen=True):
    metadata: PartialMetadata


_decode = msgspec.json.Decoder(_Head).decode


class Inquiry:
    """Asks about owners."""

    def __init__(self) -> None:
        self._absent: OrderedDict[tuple[Asked, str], datetime] = OrderedDict()
        self._asking: dict[tuple[Asked, str], asyncio.Lock] = {}

    async def standing(self, ctx: Context, reference: OwnerReference, asked: Asked) -> Standing:
        """Return how an owner stands. ApiError, TransportError, TimeoutError, ValueError: nobody knows."""
        question = (asked, reference.uid)
        if self._is_absent(ctx, question):
            return Standing.ABSENT
        lock = self._asking.setdefault(question, asyncio.Lock())
        try:
            async with lock:
                if self._is_absent(ctx, question):
                    return Standing.ABSENT
                standing = await self._ask(ctx, reference.uid, asked)
                if standing is Standing.ABSENT:
                    self._remember(ctx, question)
                return standing
        finally:
            if not lock.locked():
                self._asking.pop(question, None)

    def _is_absent(self, ctx: Context, question: tuple[Asked, str]) -> bool:
        until = self._absent.get(question)
        if until is None:
            return False
        if ctx.now() < until:
            return True
        del self._absent[question]
        return False

    def _remember(self, ctx: Context, question: tuple[Asked, str]) -> None:
        self._absent[question] = ctx.now() + SECONDS
        if len(self._absent) > REMEMBERED:
            self._absent.popitem(last=False)

    async def _ask(self, ctx: Context, uid: str, asked: Asked) -> Standing:
        resource, key = asked.resource, asked.key
        root = ("apis", *resource.api.split("/")) if resource.group else ("api", resource.api)
        scope = ("namespaces", key.namespace) if resource.namespaced else ()
        try:
            answer = await ctx.read(*root, *scope, resource.plural, key.name)
        except NotFound as error:
            details = error.status.details
            if details is None or details.name != key.name:
                return Standing.UNKNOWN
            return Standing.ABSENT
        except TerminalError:
            # No object can be called so: the reference means nothing that can be checked.
            return Standing.UNKNOWN
        metadata = _decode(answer).metadata
        if metadata.uid != uid:
            return Standing.ABSENT if metadata.uid else Standing.UNKNOWN
        waits = metadata.deletion_timestamp is not None and FOREGROUND in metadata.finalizers
        return Standing.WAITING if waits else Standing.SOLID
