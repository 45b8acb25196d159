"""/sandbox/faults: faults ordered over HTTP; /sandbox/history and /sandbox/clock: one-off deeds.

    GET    /sandbox/faults          all that are in force, with how many requests each has met
    POST   /sandbox/faults          order one; answers it with its id
    GET    /sandbox/faults/<id>     one
    DELETE /sandbox/faults/<id>     take one back; without <id>: all
    DELETE /sandbox/history         compact: old watches and continue tokens get 410
    POST   /sandbox/clock           {"step": seconds}: set the server's time of day

Guarantees: a body that is not exactly understood orders nothing and answers 400 with one line.
Who may use these paths is decided before, as for any path that names no resource: with `--secure`
only who may everything, or is granted the path. Owns no state.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from kcm.base.clock import Clock
from kcm.base.timestamps import format_time
from kcm.sandbox.api.errors import ApiFailure, Json, bad_request
from kcm.sandbox.api.faults import Fault, Faults, Rule
from kcm.sandbox.api.records import encode
from kcm.sandbox.api.sabotage import Saboteur
from kcm.sandbox.api.store import Store
from kcm.serving.http import Request, Response

FAULTS = "/sandbox/faults"
HISTORY = "/sandbox/history"
CLOCK = "/sandbox/clock"

T = TypeVar("T")


class _Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    step: Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]


class FaultsAdmin:
    """Answers on the admin paths of faults."""

    def __init__(self, faults: Faults, saboteur: Saboteur, store: Store, clock: Clock) -> None:
        self._faults = faults
        self._saboteur = saboteur
        self._store = store
        self._clock = clock

    def answer(self, request: Request) -> Response | None:
        """Do what a request asks; ApiFailure when it cannot be; None when the path is another's."""
        path = request.path.rstrip("/")
        if path == FAULTS:
            return self._all(request)
        if path.startswith(f"{FAULTS}/"):
            return self._one(request, path.removeprefix(f"{FAULTS}/"))
        match request.method, path:
            case "DELETE", p if p == HISTORY:
                self._store.compact()
                return _json({"compacted": str(self._store.version)})
            case "POST", p if p == CLOCK:
                self._saboteur.step(_read(request.body, _Step, CLOCK).step)
                return self._time()
            case "GET", p if p == CLOCK:
                return self._time()
            case _, p if p in (HISTORY, CLOCK):
                raise _not_allowed(request)
        return None

    def _all(self, request: Request) -> Response:
        match request.method:
            case "GET":
                return _json({"faults": [_shown(rule) for rule in self._faults.rules()]})
            case "POST":
                fault = _read(request.body, Fault, FAULTS)
                try:
                    return _json(_shown(self._faults.order(fault)), 201)
                except ValueError as error:
                    raise bad_request(f"{FAULTS}: {error}") from None
            case "DELETE":
                gone = [_shown(rule) for rule in self._faults.rules()]
                self._faults.clear()
                return _json({"faults": gone})
        raise _not_allowed(request)

    def _one(self, request: Request, id_: str) -> Response:
        rule = next((rule for rule in self._faults.rules() if rule.id == id_), None)
        if request.method not in ("GET", "DELETE"):
            raise _not_allowed(request)
        if rule is None:
            raise ApiFailure(404, "NotFound", f"{FAULTS}: there is no fault {id_[:20]}")
        if request.method == "DELETE":
            self._faults.withdraw(id_)
        return _json(_shown(rule))

    def _time(self) -> Response:
        return _json({"now": format_time(self._clock.wall())})


def _shown(rule: Rule) -> Json:
    shown: Json = msgspec.to_builtins(rule.fault)
    return {"id": rule.id, "met": rule.met, **shown}


def _read(body: bytes, type_: type[T], where: str) -> T:
    try:
        return msgspec.json.decode(body, type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise bad_request(f"{where}: {error}") from None


def _json(value: Json, status: int = 200) -> Response:
    return Response(status, encode(value))


def _not_allowed(request: Request) -> ApiFailure:
    return ApiFailure(405, "MethodNotAllowed", f"{request.path[:100]}: cannot be asked with {request.method}")
