"""serviceaccounts/token: tokens that prove to be a service account, for a time.

Guarantees (reference: apiserver §2): 201 with a signed token that `Gate` accepts until it expires or
the account, or the object it is bound to, is gone; nothing is stored. Pods, secrets and nodes
may be bound to. Owns no state.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from kcm.base.clock import Clock
from kcm.base.rng import Rng
from kcm.base.timestamps import format_time
from kcm.sandbox.access.tokens import AUDIENCE, Bound, Reference
from kcm.sandbox.api import rules
from kcm.sandbox.api.calls import Call
from kcm.sandbox.api.errors import ApiFailure, Json, bad_request, conflict, invalid, not_found
from kcm.sandbox.api.gate import Gate
from kcm.sandbox.api.knowledge import check_types
from kcm.sandbox.api.records import Record
from kcm.sandbox.api.store import Store
from kcm.sandbox.schema.resources import ResourceInfo, find

_USUAL_SECONDS = 3600
_SHORTEST = 600
_LONGEST = 2**32
_KIND = ResourceInfo("authentication.k8s.io", "v1", "TokenRequest", "tokenrequests", "tokenrequest")
_BINDABLE = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}


class TokenIssuer:
    """Answers TokenRequests."""

    def __init__(self, store: Store, gate: Gate, clock: Clock, rng: Rng) -> None:
        self._store = store
        self._gate = gate
        self._clock = clock
        self._rng = rng

    def issue(self, call: Call, request: Any) -> Json:
        """Return the request with a token in its status; 404, 409, 422 or 400 when there can be none."""
        request = rules.check_shape(_KIND, request)
        check_types(_KIND, request)
        rules.check_namespace(_KIND, request, call.namespace)
        account = self._find("serviceaccounts", call.namespace, call.name)
        spec: Json = request.get("spec") or {}
        _check_identity(call, request.get("metadata") or {}, account)
        seconds = _seconds(spec)
        audiences = tuple(map(str, spec.get("audiences") or ())) or (AUDIENCE,)
        reference = spec.get("boundObjectRef")
        bound = self._bound(account, reference)
        now = self._clock.wall()
        token = self._gate.signer.sign(bound, audiences, now, seconds, self._rng.uuid())
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {
                "name": account.name,
                "namespace": account.namespace,
                "uid": account.uid,
                "creationTimestamp": format_time(now),
            },
            "spec": {
                "audiences": list(audiences),
                "expirationSeconds": seconds,
                "boundObjectRef": reference,
            },
            "status": {
                "token": token,
                "expirationTimestamp": format_time(now + timedelta(seconds=seconds)),
            },
        }

    def _bound(self, account: Record, reference: Any) -> Bound:
        own = Reference(account.name, account.uid)
        if not reference:
            return Bound(account.namespace, own)
        kind, name = reference.get("kind", ""), reference.get("name", "")
        plural = _BINDABLE.get(kind)
        if plural is None or reference.get("apiVersion", "v1") != "v1":
            group = reference.get("apiVersion", "")
            raise bad_request(f"cannot bind token to object of type {group}, Kind={kind}")
        record = self._find(plural, "" if kind == "Node" else account.namespace, name)
        if reference.get("uid") and reference["uid"] != record.uid:
            why = f"the UID in the bound object reference ({reference['uid']}) does not match the UID in "
            why += "record. The object might have been deleted and then recreated"
            raise conflict(_resource(plural), name, why)
        found = Reference(record.name, record.uid)
        if kind == "Secret":
            return Bound(account.namespace, own, secret=found)
        if kind == "Node":
            return Bound(account.namespace, own, node=found)
        return Bound(account.namespace, own, pod=found, node=self._node_of(record, account))

    def _node_of(self, pod: Record, account: Record) -> Reference | None:
        """Return the node that the pod is on, if any; 400 for a pod of another account."""
        names = self._store.collection("", "pods").field_names
        owner = pod.fields[names.index("spec.serviceAccountName")]
        if owner != account.name:
            raise bad_request(
                f'cannot bind token for serviceaccount "{account.name}" to pod running with different '
                "serviceaccount name."
            )
        node = pod.fields[names.index("spec.nodeName")]
        record = self._store.collection("", "nodes").records.get(f"/{node}")
        return Reference(node, record.uid if record is not None else "") if node else None

    def _find(self, plural: str, namespace: str, name: str) -> Record:
        record = self._store.collection("", plural).records.get(f"{namespace}/{name}")
        if record is None:
            raise not_found(_resource(plural), name)
        return record


def _resource(plural: str) -> ResourceInfo:
    info = find("", "v1", plural)
    assert info is not None
    return info


def _check_identity(call: Call, metadata: Json, account: Record) -> None:
    if metadata.get("name", call.name) not in (call.name, ""):
        text = "must match the service account name if specified"
        raise _wrong("metadata.name", metadata["name"], text, call.name)
    uid = metadata.get("uid")
    if uid and uid != account.uid:
        why = f"the UID in the token request ({uid}) does not match the UID of the service account "
        why += f"({account.uid})"
        raise conflict(replace(_KIND, plural=_KIND.kind), call.name, why)


def _seconds(spec: Json) -> int:
    if spec.get("expirationSeconds") is None:
        return _USUAL_SECONDS
    seconds = int(spec["expirationSeconds"])
    if seconds < _SHORTEST:
        raise _wrong("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    if seconds > _LONGEST:
        raise _wrong("spec.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")
    return seconds


def _wrong(field: str, value: object, text: str, name: str = "") -> ApiFailure:
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    cause = {"reason": "FieldValueInvalid", "message": f"Invalid value: {shown}: {text}", "field": field}
    return invalid(_KIND, name, (cause,))
