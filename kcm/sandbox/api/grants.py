"""Nobody gives away what they do not have: the checks on writing roles and bindings.

Guarantees: who writes a role holds all that it grants, or may `escalate`; who binds one holds all
that it grants, or may `bind` it; a rule that gathers roles takes everything to write; a PUT or an
apply that creates takes the permission to create. Members of system:masters are not asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kcm.sandbox.access.rules import FULL_AUTHORITY, Rule, Wish, describe, missing, quoted
from kcm.sandbox.api.calls import Call
from kcm.sandbox.api.errors import ApiFailure, Json, forbidden, not_found
from kcm.sandbox.api.gate import RBAC, Gate

# What the garbage collector changes: it may do that without holding what the object grants.
_COLLECTED = ("ownerReferences", "finalizers")
_GATHERING_NEEDS = "must have cluster-admin privileges to use the aggregationRule"


class Grants:
    """Judges writes by what they would give away."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def check_creates(self, call: Call) -> None:
        """Raise 403 unless the caller, who updates or applies what is absent, may create it."""
        if call.user.is_master:
            return
        resource = call.resource
        self._gate.demand(
            call.user, Wish("create", resource.group, resource.plural, "", call.namespace, call.name)
        )

    def check_write(self, call: Call, new: Json, old: Json | None) -> None:
        """Raise 403 for a role or binding that gives what the caller does not have."""
        if call.resource.group != RBAC or call.user.is_master:
            return
        if old is not None and _essence(new) == _essence(old):
            return
        if call.resource.kind in ("Role", "ClusterRole"):
            self._check_role(call, new, old or {})
        else:
            self._check_binding(call, new)

    def _check_role(self, call: Call, new: Json, old: Json) -> None:
        wish = Wish("escalate", RBAC, call.resource.plural, "", call.namespace, call.name)
        if self._gate.permit(call.user, wish).allowed:
            return
        self._check_held(call, new, [Rule.read(rule or {}) for rule in new.get("rules") or ()])
        if _gathers(new) or _gathers(old):
            held, _ = self._gate.policy.rules_of(call.user, call.namespace)
            if missing(held, FULL_AUTHORITY):
                raise forbidden(call.resource, _name(new), _GATHERING_NEEDS)

    def _check_binding(self, call: Call, new: Json) -> None:
        reference: Json = new.get("roleRef") or {}
        kind, name = str(reference.get("kind", "")), str(reference.get("name", ""))
        if kind not in ("Role", "ClusterRole"):
            # Refused by validation.
            return
        group = reference.get("apiGroup") or RBAC
        wish = Wish("bind", group, f"{kind.lower()}s", "", call.namespace, name)
        if self._gate.permit(call.user, wish).allowed:
            return
        rules = self._gate.policy.rules_in(kind, name, call.namespace)
        if rules is None:
            raise not_found(call.resource, name)
        self._check_held(call, new, rules)

    def _check_held(self, call: Call, new: Json, wanted: Iterable[Rule]) -> None:
        user = call.user
        held, problem = self._gate.policy.rules_of(user, call.namespace)
        lacking = missing(held, wanted)
        if not lacking:
            return
        why = f'user "{user.name}" (groups={quoted(user.groups)}) is attempting to grant RBAC permissions '
        why += "not currently held:\n" + "\n".join(describe(lacking))
        if problem:
            why += f"; resolution errors: [{problem}]"
        failure: ApiFailure = forbidden(call.resource, _name(new), why)
        raise failure


def _essence(obj: Json) -> Json:
    """Return what of an object matters here."""
    metadata: dict[str, Any] = {
        key: value for key, value in obj["metadata"].items() if key not in (*_COLLECTED, "managedFields")
    }
    return {**obj, "metadata": metadata}


def _gathers(role: Json) -> bool:
    return bool((role.get("aggregationRule") or {}).get("clusterRoleSelectors"))


def _name(obj: Json) -> str:
    return str(obj["metadata"].get("name", ""))
