"""Questions to the server: who am I, whose token is this, may they, what may I.

`Reviews.answer` gives the posted review back with its status; nothing is stored. Guarantees: what
it says of a user is what `Gate` would do, and it is said of any user from the stored roles, also
where the server itself asks nobody who they are. Selectors in a question are not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kcm.base.clock import Clock
from kcm.base.timestamps import format_time
from kcm.sandbox.access.policy import Verdict
from kcm.sandbox.access.rules import Wish
from kcm.sandbox.access.tokens import AUDIENCE, BadToken
from kcm.sandbox.access.users import User
from kcm.sandbox.api import rules
from kcm.sandbox.api.calls import Call
from kcm.sandbox.api.errors import ApiFailure, Json, bad_request, unknown_route
from kcm.sandbox.api.gate import Gate
from kcm.sandbox.api.knowledge import check_fields, check_types
from kcm.sandbox.schema.validation.failures import FieldError, invalid

_AUTHENTICATION = "authentication.k8s.io"
_AUTHORIZATION = "authorization.k8s.io"
_RESOURCE_FIELDS = ("namespace", "verb", "group", "resource", "subresource", "name")


def is_review(call: Call) -> bool:
    """Say whether a call asks a question instead of storing an object."""
    group = call.resource.group
    return group in (_AUTHENTICATION, _AUTHORIZATION) and not call.subresource


class Reviews:
    """Answers reviews."""

    def __init__(self, gate: Gate, clock: Clock) -> None:
        self._gate = gate
        self._clock = clock

    def answer(self, call: Call, document: object) -> Json:
        """Return the review with its status; 400, 404 and 422 for one that cannot be answered."""
        if call.resource.namespaced and not call.namespace:
            raise unknown_route()
        review = rules.check_shape(call.resource, document)
        check_types(call.resource, review)
        call.warnings += check_fields(call.resource, review, call.validation)
        spec = review.get("spec") or {}
        match call.resource.kind:
            case "SelfSubjectReview":
                return self._who_am_i(call, review)
            case "TokenReview":
                status = self._token(spec)
            case "SelfSubjectRulesReview":
                return {**review, "spec": {}, "status": self._my_rules(call.user, spec)}
            case "SelfSubjectAccessReview":
                _check_question(review, spec)
                status = self._access(call.user, spec)
            case _:
                _check_question(review, spec, of_user=True, namespace=call.namespace)
                if call.namespace:
                    review["metadata"] = {"namespace": call.namespace}
                status = self._access(_user_in(spec), spec)
        return {**review, "status": status}

    def _who_am_i(self, call: Call, review: Json) -> Json:
        metadata = {"creationTimestamp": format_time(self._clock.wall())}
        return {**review, "metadata": metadata, "status": {"userInfo": _shown(call.user)}}

    def _token(self, spec: Json) -> Json:
        token = spec.get("token")
        if not token:
            raise bad_request("token is required for TokenReview in authentication")
        try:
            user, audiences = self._gate.bearer(token, tuple(spec.get("audiences") or (AUDIENCE,)))
        except BadToken as error:
            reason = str(error)
            shown = reason if reason == "invalid bearer token" else f"[invalid bearer token, {reason}]"
            return {"user": {}, "error": shown}
        return {"authenticated": True, "user": _shown(user), "audiences": list(audiences)}

    def _access(self, user: User, spec: Json) -> Json:
        verdict: Verdict = self._gate.policy.decide(user, _wish(spec))
        status: Json = {"allowed": verdict.allowed}
        return {**status, "reason": verdict.reason} if verdict.reason else status

    def _my_rules(self, user: User, spec: Json) -> Json:
        namespace = spec.get("namespace")
        if not namespace:
            raise bad_request("no namespace on request")
        found, problem = self._gate.policy.rules_of(user, namespace)
        status: Json = {
            "resourceRules": [rule.shown() for rule in found if rule.resources],
            "nonResourceRules": [
                {"verbs": list(rule.verbs), "nonResourceURLs": list(rule.urls)} for rule in found if rule.urls
            ],
            "incomplete": False,
        }
        return {**status, "evaluationError": problem} if problem else status


def _shown(user: User) -> Json:
    shown: Json = {"username": user.name}
    if user.uid:
        shown["uid"] = user.uid
    shown["groups"] = list(user.groups)
    if user.extra:
        shown["extra"] = {key: list(values) for key, values in user.extra}
    return shown


def _wish(spec: Mapping[str, Any]) -> Wish:
    resource = spec.get("resourceAttributes")
    if resource is None:
        path = spec["nonResourceAttributes"]
        # A path that is not given is none that a rule could name; "" would mean a resource.
        return Wish(path.get("verb", ""), path=path.get("path") or " ")
    return Wish(**{name: resource.get(name, "") for name in _RESOURCE_FIELDS})


def _user_in(spec: Json) -> User:
    extra = tuple((key, tuple(values)) for key, values in sorted((spec.get("extra") or {}).items()))
    return User(spec.get("user", ""), tuple(spec.get("groups") or ()), spec.get("uid", ""), extra)


def _check_question(review: Json, spec: Json, *, of_user: bool = False, namespace: str = "") -> None:
    """Raise 422 unless exactly one thing is asked about, and somebody if it is not oneself."""
    problems: list[FieldError] = []
    resource, other = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and other is not None:
        detail = "cannot be specified in combination with resourceAttributes"
        problems.append(invalid("spec.nonResourceAttributes", _path_shown(other), detail))
    if resource is None and other is None:
        detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        problems.append(invalid("spec.resourceAttributes", None, detail))
    if of_user and not spec.get("user") and not spec.get("groups"):
        problems.append(invalid("spec.user", "", "at least one of user or group must be specified"))
    if namespace:
        problems += _check_local(spec, namespace)
    metadata = {key: value for key, value in review["metadata"].items() if key != "managedFields" and value}
    if namespace and metadata.pop("namespace", namespace) != namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if metadata:
        detail = "must be empty except for namespace" if namespace else "must be empty"
        problems.append(invalid("metadata", metadata, detail))
    if problems:
        raise _unanswerable(problems)


def _check_local(spec: Json, namespace: str) -> list[FieldError]:
    resource, other = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if other is not None:
        detail = "disallowed on this kind of request"
        return [invalid("spec.nonResourceAttributes", _path_shown(other), detail)]
    asked = (resource or {}).get("namespace", "")
    if resource is None or asked == namespace:
        return []
    return [invalid("spec.resourceAttributes.namespace", asked, "must match metadata.namespace")]


def _path_shown(attributes: Json) -> Json:
    """Return a path and a verb as the server shows them: by the names of its own fields."""
    return {"Path": attributes.get("path", ""), "Verb": attributes.get("verb", "")}


def _unanswerable(problems: list[FieldError]) -> ApiFailure:
    """Return the server's answer, which does not name the kind here."""
    texts = [str(problem) for problem in problems]
    body = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    causes = [{"reason": one.reason, "message": one.message, "field": one.field} for one in problems]
    details = {"group": _AUTHORIZATION, "causes": causes}
    return ApiFailure(422, "Invalid", f'.{_AUTHORIZATION} "" is invalid: {body}', details=details)
