"""Who may see the pages: the API server is asked, as kube-controller-manager does.

A bearer token is shown to it (TokenReview), and whether its user may `get` the page's path as a
non-resource URL (SubjectAccessReview). Guarantees: without the server's word nobody gets in, and
whoever cannot be judged gets 503, not a page; answers hold for ten seconds; memory and the number
of questions under way are bounded; tokens are kept as digests only. Owns both caches.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

import msgspec

from kcm.base.clock import Clock
from kcm.base.errors import KcmError
from kcm.client.api import ApiClient
from kcm.objects.metadata import Spec
from kcm.objects.resource import ResourceType
from kcm.serving.messages import Request, Response
from kcm.telemetry.logging import logger

HOLDS_SECONDS = 10.0
REMEMBERED = 1024
AT_ONCE = 4
MOST_WAITING = 64
LONGEST_TOKEN = 16 * 1024

TOKEN_REVIEWS = ResourceType("authentication.k8s.io/v1", "TokenReview", "tokenreviews")
ACCESS_REVIEWS = ResourceType("authorization.k8s.io/v1", "SubjectAccessReview", "subjectaccessreviews")

V = TypeVar("V")

log = logger("serving.delegation")


class _User(Spec, frozen=True):
    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] | None = None
    extra: dict[str, tuple[str, ...]] | None = None


class _TokenStatus(Spec, frozen=True):
    authenticated: bool = False
    user: _User = _User()


class _TokenReview(Spec, frozen=True):
    status: _TokenStatus = _TokenStatus()


class _AccessStatus(Spec, frozen=True):
    allowed: bool = False
    denied: bool = False


class _AccessReview(Spec, frozen=True):
    status: _AccessStatus = _AccessStatus()


class _Answers(Generic[V]):
    """Answers by question, for a while."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[V, float]] = OrderedDict()

    def get(self, question: bytes) -> tuple[V] | None:
        """Return an answer that still holds, in a tuple, because an answer may be None."""
        answer = self._known.get(question)
        if answer is None or self._clock.monotonic() >= answer[1]:
            return None
        return (answer[0],)

    def put(self, question: bytes, answer: V) -> None:
        self._known.pop(question, None)
        self._known[question] = (answer, self._clock.monotonic() + HOLDS_SECONDS)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


class Delegation:
    """Asks the API server. Its client needs `create` on both kinds of review (system:auth-delegator)."""

    def __init__(self, client: ApiClient, clock: Clock) -> None:
        self._client = client
        self._users: _Answers[_User | None] = _Answers(clock)
        self._verdicts: _Answers[bool] = _Answers(clock)
        self._asking = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def admit(self, request: Request) -> Response | None:
        """Return None for a request that may be answered, else the refusal: 401, 403 or 503."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > LONGEST_TOKEN:
            return _refusal(401, "a bearer token is needed")
        try:
            user = await self._user(token)
            if user is None:
                return _refusal(401, "the API server does not know this token")
            if not await self._may(user, request):
                verb = request.method.lower()
                return _refusal(403, f"{user.username[:256]} may not {verb} {request.path[:256]}")
        except (KcmError, ValueError, TimeoutError) as error:
            log.warning("cannot ask who may see a page", path=request.path, error=str(error))
            return _refusal(503, "the API server cannot be asked whether you may see this")
        return None

    async def _user(self, token: str) -> _User | None:
        question = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()

        async def ask() -> _User | None:
            review = await self._ask(TOKEN_REVIEWS, {"token": token})
            status = msgspec.json.decode(review, type=_TokenReview).status
            return status.user if status.authenticated and status.user.username else None

        return await self._known_or_asked(self._users, question, ask)

    async def _may(self, user: _User, request: Request) -> bool:
        spec = {
            "user": user.username,
            "uid": user.uid,
            "groups": user.groups or (),
            "extra": user.extra or {},
            "nonResourceAttributes": {"path": request.path, "verb": request.method.lower()},
        }
        question = hashlib.sha256(msgspec.json.encode(spec)).digest()

        async def ask() -> bool:
            review = await self._ask(ACCESS_REVIEWS, spec)
            status = msgspec.json.decode(review, type=_AccessReview).status
            return status.allowed and not status.denied

        return await self._known_or_asked(self._verdicts, question, ask)

    async def _known_or_asked(
        self, answers: _Answers[V], question: bytes, ask: Callable[[], Coroutine[Any, Any, V]]
    ) -> V:
        if known := answers.get(question):
            return known[0]
        if self._waiting >= MOST_WAITING:
            raise KcmError("too many questions are under way")
        self._waiting += 1
        try:
            async with self._asking:
                # Whoever asked the same before us may have the answer by now.
                if known := answers.get(question):
                    return known[0]
                answer = await ask()
        finally:
            self._waiting -= 1
        answers.put(question, answer)
        return answer

    async def _ask(self, kind: ResourceType, spec: dict[str, Any]) -> bytes:
        body = {"apiVersion": kind.api, "kind": kind.kind, "spec": spec}
        return await self._client.create(kind, "", msgspec.json.encode(body))


def _refusal(status: int, text: str) -> Response:
    headers = {"Cache-Control": "no-store"} | ({"WWW-Authenticate": "Bearer"} if status == 401 else {})
    body = f"{text}\n".encode("utf-8", "backslashreplace")
    return Response(status, body, "text/plain; charset=utf-8", headers)
