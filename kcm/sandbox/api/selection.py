"""Which objects a LIST, WATCH or deletecollection is about: namespace, name, labels, fields.

A `Selection` is parsed once per request and asked per record. Guarantees: a selector that the
real server refuses is refused with 400 (an unknown field, a malformed requirement). Fields
compare with `=`, `==` and `!=` only (reference: apiserver §3). Owns no state.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kcm.sandbox.api.errors import bad_request, go_quote
from kcm.sandbox.api.labels import BadSelector, parse_labels
from kcm.sandbox.api.records import Record
from kcm.sandbox.schema.resources import ResourceInfo

Test = Callable[[Record], bool]

_TERM = re.compile(r"(?P<field>[^=!,]*)(?P<operator>==|!=|=)(?P<value>(?:[^,\\]|\\.)*)")
_ESCAPED = re.compile(r"\\([\\,=])")
_WRONG_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*(\\(?:[^\\,=]|$))")
_UNESCAPED = re.compile(r"(?<!\\)(?:\\\\)*=")

# events.k8s.io names the same stored fields differently.
_EVENT_FIELDS: Mapping[str, str] = {
    "regarding.kind": "involvedObject.kind",
    "regarding.namespace": "involvedObject.namespace",
    "regarding.name": "involvedObject.name",
    "regarding.uid": "involvedObject.uid",
    "regarding.apiVersion": "involvedObject.apiVersion",
    "regarding.resourceVersion": "involvedObject.resourceVersion",
    "regarding.fieldPath": "involvedObject.fieldPath",
    "reportingController": "reportingComponent",
}


@dataclass(frozen=True, slots=True)
class Selection:
    """A conjunction of tests. `namespace` "" means all; `name` is set when a field selector names one."""

    namespace: str = ""
    name: str = ""
    tests: tuple[Test, ...] = ()

    @property
    def selective(self) -> bool:
        """Say whether there is a selector (remainingItemCount is left out then)."""
        return bool(self.tests or self.name)

    def matches(self, record: Record) -> bool:
        """Say whether the record is selected."""
        if self.namespace and record.namespace != self.namespace:
            return False
        if self.name and record.name != self.name:
            return False
        return all(test(record) for test in self.tests)


def parse_selection(
    resource: ResourceInfo, stored_fields: tuple[str, ...], namespace: str, labels: str, fields: str
) -> Selection:
    """Return the selection of a request; `ApiFailure` 400 when a selector cannot be understood."""
    tests: list[Test] = []
    if labels:
        try:
            selector = parse_labels(labels)
        except BadSelector as problem:
            raise bad_request(str(problem)) from None
        tests.append(lambda record: selector.matches(record.labels))
    name = ""
    for field, equal, value in _terms(fields):
        if field == "metadata.name" and equal and value and not name:
            name = value
        else:
            tests.append(_field_test(resource, stored_fields, field, equal, value))
    return Selection(namespace, name, tuple(tests))


def _terms(text: str) -> list[tuple[str, bool, str]]:
    terms: list[tuple[str, bool, str]] = []
    for part in filter(None, re.split(r"(?<!\\),", text)):
        found = _TERM.fullmatch(part)
        if found is None:
            raise bad_request(f"invalid selector: '{text[:200]}'; can't understand '{part[:80]}'")
        terms.append((found["field"], found["operator"] != "!=", _plain(found["value"])))
    return terms


def _plain(value: str) -> str:
    """Return a value without its escapes; ApiFailure 400 for one that is wrongly escaped."""
    if found := _WRONG_ESCAPE.search(value):
        raise bad_request(f"invalid field selector: invalid escape sequence: {found[1]}")
    if _UNESCAPED.search(value):
        raise bad_request(f"invalid field selector: unescaped character in value: {ord('=')}")
    return _ESCAPED.sub(r"\1", value)


def _field_test(
    resource: ResourceInfo, stored_fields: tuple[str, ...], field: str, equal: bool, value: str
) -> Test:
    if field == "metadata.name":
        return lambda record: (record.name == value) is equal
    if field == "metadata.namespace" and resource.namespaced:
        return lambda record: (record.namespace == value) is equal
    stored = _EVENT_FIELDS.get(field, field) if resource.group == "events.k8s.io" else field
    if stored not in stored_fields and resource.custom is not None:
        raise bad_request(f"field label not supported: {field}")
    if stored not in stored_fields:
        # A kind with fields of its own is asked by another part of the server, with other words.
        if stored_fields or resource.custom is not None:
            raise bad_request(f"field label not supported: {field}")
        known = 'only "metadata.name", "metadata.namespace"'
        raise bad_request(f"{go_quote(field)} is not a known field selector: {known}")
    index = stored_fields.index(stored)
    return lambda record: (record.fields[index] == value) is equal
