"""Rules for roles and their bindings (reference: apiserver §5).

Pure. A rule names resources or URLs, not both, and URLs only where the whole cluster is meant; a
binding's role may not be changed, because who may bind was asked about that role.
"""

from __future__ import annotations

from kcm.sandbox.schema.validation import names
from kcm.sandbox.schema.validation.failures import FieldError, invalid, required
from kcm.sandbox.schema.validation.metadata import check_selector
from kcm.sandbox.schema.validation.parts import Errors, Json, part, text, values

_GROUP = "rbac.authorization.k8s.io"
_SUBJECTS = ("ServiceAccount", "User", "Group")


def check_role(role: Json) -> Errors:
    """The rules of a Role."""
    yield from _check_rules(role, namespaced=True)


def check_cluster_role(role: Json) -> Errors:
    """The rules of a ClusterRole, and whose rules it gathers."""
    yield from _check_rules(role, namespaced=False)
    if "aggregationRule" not in role:
        return
    selectors = _all(part(role, "aggregationRule"), "clusterRoleSelectors")
    path = "aggregationRule.clusterRoleSelectors"
    if not selectors:
        yield required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil")
    for index, selector in enumerate(selectors):
        problems = list(check_selector(selector, f"{path}[{index}]"))
        yield from problems
        if problems:
            yield invalid(f"{path}[{index}]", None, "invalid label selector.")


def check_role_binding(binding: Json) -> Errors:
    """The role and the subjects of a RoleBinding."""
    yield from _check_binding(binding, ("Role", "ClusterRole"), namespaced=True)


def check_cluster_role_binding(binding: Json) -> Errors:
    """The role and the subjects of a ClusterRoleBinding."""
    yield from _check_binding(binding, ("ClusterRole",), namespaced=False)


def check_binding_update(new: Json, old: Json) -> Errors:
    """A binding keeps its role."""
    if part(new, "roleRef") != part(old, "roleRef"):
        reference = part(new, "roleRef")
        shown = {field: text(reference, name) for field, name in _REFERENCE}
        yield invalid("roleRef", shown, "cannot change roleRef")


# As the server shows a reference: by the names of its own fields.
_REFERENCE = (("APIGroup", "apiGroup"), ("Kind", "kind"), ("Name", "name"))


def _all(obj: Json, name: str) -> list[Json]:
    """Return the objects in the list at `name`; null is an empty one, as the server decodes it."""
    return [one if isinstance(one, dict) else {} for one in values(obj, name)]


def _check_rules(role: Json, *, namespaced: bool) -> Errors:
    for index, rule in enumerate(_all(role, "rules")):
        path = f"rules[{index}]"
        urls = values(rule, "nonResourceURLs")
        if not values(rule, "verbs"):
            yield required(f"{path}.verbs", "verbs must contain at least one value")
        if urls:
            if namespaced:
                detail = "namespaced rules cannot apply to non-resource URLs"
                yield invalid(f"{path}.nonResourceURLs", urls, detail)
            if any(values(rule, name) for name in ("apiGroups", "resources", "resourceNames")):
                detail = "rules cannot apply to both regular resources and non-resource URLs"
                yield invalid(f"{path}.nonResourceURLs", urls, detail)
            continue
        if not values(rule, "apiGroups"):
            yield required(f"{path}.apiGroups", "resource rules must supply at least one api group")
        if not values(rule, "resources"):
            yield required(f"{path}.resources", "resource rules must supply at least one resource")


def _check_binding(binding: Json, kinds: tuple[str, ...], *, namespaced: bool) -> Errors:
    reference = part(binding, "roleRef")
    if text(reference, "apiGroup") != _GROUP:
        yield _unsupported("roleRef.apiGroup", text(reference, "apiGroup"), (_GROUP,))
    if text(reference, "kind") not in kinds:
        yield _unsupported("roleRef.kind", text(reference, "kind"), kinds)
    name = text(reference, "name")
    if not name:
        yield required("roleRef.name")
    for problem in names.path_segment(name):
        yield invalid("roleRef.name", name, problem)
    for index, subject in enumerate(_all(binding, "subjects")):
        yield from _check_subject(subject, f"subjects[{index}]", namespaced=namespaced)


def _check_subject(subject: Json, path: str, *, namespaced: bool) -> Errors:
    kind, name, group = text(subject, "kind"), text(subject, "name"), text(subject, "apiGroup")
    if not name:
        yield required(f"{path}.name")
    match kind:
        case "ServiceAccount":
            for problem in names.subdomain(name) if name else ():
                yield invalid(f"{path}.name", name, problem)
            if group:
                yield _unsupported(f"{path}.apiGroup", group, ("",))
            if not namespaced and not text(subject, "namespace"):
                yield required(f"{path}.namespace")
        case "User" | "Group":
            if group != _GROUP:
                yield _unsupported(f"{path}.apiGroup", group, (_GROUP,))
        case _:
            yield _unsupported(f"{path}.kind", kind, _SUBJECTS)


def _unsupported(field: str, value: str, supported: tuple[str, ...]) -> FieldError:
    """Like `not_supported`, but in the given order, as the server lists these."""
    listed = ", ".join(f'"{one}"' for one in supported)
    return FieldError(
        "FieldValueNotSupported", field, f'Unsupported value: "{value}": supported values: {listed}'
    )
