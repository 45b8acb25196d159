"""Does a value satisfy its schema? The server's answer, in its words (reference: apiserver §2, CRD).

`validate` lists every problem of a value as field errors. With the old value given, what an update
left as it was is not judged again: an object that became invalid by a new schema can still be
changed elsewhere. Guarantees: pure; bounded by value and schema; patterns take linear time.
Uniqueness in lists is `lists`', embedded metadata `embedded`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kcm.sandbox.schema.custom.formats import has_format, is_checked
from kcm.sandbox.schema.custom.structural import UNSET, Bounds, Schema
from kcm.sandbox.schema.validation.failures import FieldError, invalid, required, too_long

# A list of a hundred thousand wrong items is refused without telling of each.
MOST_ERRORS = 1_000
_BITS = {"int32": 31, "int64": 63}


@dataclass(slots=True)
class _Result:
    """What one schema says about one value. `matches` counts what held: the best branch has most."""

    errors: dict[FieldError, None] = field(default_factory=dict)
    matches: int = 0

    def add(self, error: FieldError) -> None:
        if len(self.errors) < MOST_ERRORS:
            self.errors[error] = None

    def merge(self, other: _Result) -> None:
        for error in other.errors:
            self.add(error)
        self.matches += other.matches


def validate(value: Any, schema: Schema, base: str = "", old: Any = UNSET) -> list[FieldError]:
    """Return what is wrong with a value, at most `MOST_ERRORS` things.

    `base` is where the value is; messages name paths below it.
    """
    return list(_Walk(base).judge(value, schema, "", old).errors)


class _Walk:
    def __init__(self, base: str) -> None:
        self._base = base

    def _field(self, path: str) -> str:
        inner = path.removeprefix(".")
        return f"{self._base}.{inner}" if self._base and inner else self._base or inner

    def _error(self, path: str, value: Any, text: str) -> FieldError:
        return invalid(self._field(path), value, f"{path} in body {text}")

    def _composite(self, path: str, text: str) -> FieldError:
        """A problem of allOf, anyOf, oneOf or not belongs to no field."""
        return invalid(self._base or "<nil>", "", f"{json.dumps(path)} {text}")

    def judge(self, value: Any, schema: Schema, path: str, old: Any) -> _Result:
        """Return the result of a value and all that is in it."""
        result = _Result()
        if old is not UNSET and value is not None and value == old and type(value) is type(old):
            return result
        if (problem := self._type_problem(value, schema, path)) is not None:
            result.add(problem)
        else:
            result.matches += 1
        if value is None:
            self._enum(value, schema.bounds, path, result)
            return result
        self._junctors(value, schema, path, old, result)
        match value:
            case str():
                self._string(value, schema, path, result)
            case bool():
                pass
            case int() | float():
                self._number(value, schema, path, result)
            case list():
                self._list(value, schema, path, old, result)
        self._enum(value, schema.bounds, path, result)
        if isinstance(value, dict):
            self._object(value, schema, path, old, result)
        return result

    def _type_problem(self, value: Any, schema: Schema, path: str) -> FieldError | None:
        expected = "integer,string" if schema.int_or_string else schema.type
        if not expected:
            return None
        found = type_name(value)
        if value is None:
            if schema.nullable:
                return None
        elif (
            found in expected.split(",")
            or (expected == "number" and found == "integer")
            or (found == "number" and "integer" in expected and _is_whole(value))
        ):
            return None
        elif schema.bounds.format and expected == "string" and is_checked(schema.bounds.format):
            expected, found = schema.bounds.format, {"integer": "int64", "number": "double"}.get(found, found)
        shown = json.dumps(found)
        message = (
            f"Invalid value: {shown}: {path.removeprefix('.')} in body must be of type {expected}: {shown}"
        )
        return FieldError("FieldValueTypeInvalid", self._field(path), message)

    def _junctors(self, value: Any, schema: Schema, path: str, old: Any, result: _Result) -> None:
        name = path.removeprefix(".")
        if schema.any_of:
            self._any_of(value, schema, name, old, result)
        if schema.one_of:
            self._one_of(value, schema, name, old, result)
        if schema.all_of:
            results = [self.judge(value, one, path, old) for one in schema.all_of]
            for one in results:
                result.merge(one)
            valid = sum(1 for one in results if not one.errors)
            if valid < len(results):
                text = "must validate all the schemas (allOf)"
                result.add(self._composite(name, text if valid else f"{text}. None validated"))
        if schema.negated is not None and not self.judge(value, schema.negated, path, old).errors:
            result.add(self._composite(name, "must not validate the schema (not)"))
        result.matches += 1

    def _any_of(self, value: Any, schema: Schema, path: str, old: Any, result: _Result) -> None:
        best: _Result | None = None
        for one in schema.any_of:
            found = self.judge(value, one, path, old)
            if not found.errors:
                result.merge(found)
                return
            if best is None or found.matches > best.matches:
                best = found
        result.add(self._composite(path, "must validate at least one schema (anyOf)"))
        if best is not None:
            result.merge(best)

    def _one_of(self, value: Any, schema: Schema, path: str, old: Any, result: _Result) -> None:
        results = [self.judge(value, one, path, old) for one in schema.one_of]
        valid = [one for one in results if not one.errors]
        if len(valid) == 1:
            result.merge(valid[0])
            return
        found = f"Found {len(valid)} valid alternatives" if valid else "Found none valid"
        result.add(self._composite(path, f"must validate one and only one schema (oneOf). {found}"))
        if not valid:
            result.merge(max(results, key=lambda one: one.matches))

    def _enum(self, value: Any, bounds: Bounds, path: str, result: _Result) -> None:
        if bounds.enum is None or any(_same(value, one) for one in bounds.enum):
            result.matches += 1
            return
        names = ", ".join(json.dumps(one if isinstance(one, str) else json.dumps(one)) for one in bounds.enum)
        message = f"Unsupported value: {_shown(value)}: supported values: {names}"
        result.add(FieldError("FieldValueNotSupported", self._field(path), message))

    def _string(self, value: str, schema: Schema, path: str, result: _Result) -> None:
        bounds, where = schema.bounds, self._field(path)
        name = path.removeprefix(".")
        if bounds.max_length is not None and len(value) > bounds.max_length:
            result.add(too_long(where, bounds.max_length))
        elif bounds.min_length is not None and len(value) < bounds.min_length:
            text = f"should be at least {bounds.min_length} chars long"
            result.add(self._error(name, value, text))
        elif bounds.automaton is not None and not bounds.automaton.matches(value):
            result.add(self._error(name, value, f"should match '{bounds.pattern}'"))
        if bounds.format and schema.type in ("", "string") and not has_format(bounds.format, value):
            shown = _shown(value)
            message = f"Invalid value: {shown}: {name} in body must be of type {bounds.format}: {shown}"
            result.add(FieldError("FieldValueTypeInvalid", where, message))

    def _number(self, value: float, schema: Schema, path: str, result: _Result) -> None:
        name = path.removeprefix(".")
        for problem in _range_problems(value, schema, name):
            result.add(invalid(self._base or "<nil>", "", problem))
        for bound, text in _number_problems(value, schema.bounds):
            if bound is None:
                result.add(self._error(name, value, text))
            else:
                declared = f"factor MultipleOf declared for {name} must be positive: {bound}"
                result.add(invalid(self._field(path), bound, declared))
        result.matches += 1

    def _list(self, value: list[Any], schema: Schema, path: str, old: Any, result: _Result) -> None:
        bounds, name = schema.bounds, path.removeprefix(".")
        if schema.items is not None:
            earlier = _earlier_items(schema, old)
            for index, element in enumerate(value):
                if len(result.errors) >= MOST_ERRORS:
                    break
                before = earlier.get(_key(element, schema.map_keys), UNSET) if earlier else UNSET
                result.merge(self.judge(element, schema.items, f"{path}[{index}]", before))
        if bounds.min_items is not None and len(value) < bounds.min_items:
            result.add(self._error(name, len(value), f"should have at least {bounds.min_items} items"))
        if bounds.max_items is not None and len(value) > bounds.max_items:
            result.add(_too_many(self._field(path), len(value), bounds.max_items))

    def _object(self, value: dict[str, Any], schema: Schema, path: str, old: Any, result: _Result) -> None:
        bounds, name = schema.bounds, path.removeprefix(".")
        before: Mapping[str, Any] = old if isinstance(old, dict) and schema.map_type != "atomic" else {}
        if bounds.min_properties is not None and len(value) < bounds.min_properties:
            text = f"should have at least {bounds.min_properties} properties"
            result.add(self._error(name, len(value), text))
        if bounds.max_properties is not None and len(value) > bounds.max_properties:
            result.add(_too_many(self._field(path), len(value), bounds.max_properties))
        for key, element in value.items():
            if len(result.errors) >= MOST_ERRORS:
                break
            inner = schema.properties.get(key)
            if inner is None:
                inner = schema.additional if isinstance(schema.additional, Schema) else None
            if inner is not None:
                result.merge(self.judge(element, inner, f"{path}.{key}", before.get(key, UNSET)))
        for key in schema.required:
            if key not in value:
                result.add(required(self._field(f"{path}.{key}")))


def type_name(value: Any) -> str:
    """Return the name of a JSON value's type as schemas write it."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def _is_whole(value: float) -> bool:
    """Say whether a number with a point is an integer to the server: only as far as those are exact."""
    return value.is_integer() and abs(value) < 2**53


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _same(value: Any, other: Any) -> bool:
    if isinstance(value, bool) != isinstance(other, bool):
        return False
    return bool(value == other)


def _too_many(where: str, count: int, most: int) -> FieldError:
    return FieldError("FieldValueTooMany", where, f"Too many: {count}: must have at most {most} items")


def _range_problems(value: float, schema: Schema, name: str) -> Iterator[str]:
    """Yield the problem of a number that its type and format cannot hold."""
    if schema.type != "integer":
        return
    bits = _BITS.get(schema.bounds.format)
    if isinstance(value, float) and not value.is_integer():
        yield f"Checked value must be of type integer (default format) in {name}"
    elif bits is not None and not -(2**bits) <= value < 2**bits:
        yield f"Checked value must be of type integer with format {schema.bounds.format} in {name}"
    elif bits is None and not -(2**63) <= value < 2**63:
        yield f"Checked value must be of type integer (default format) in {name}"


def _number_problems(value: float, bounds: Bounds) -> Iterator[tuple[int | None, str]]:
    """Yield texts of what is wrong; a number with it is a factor that is none, as integers see it."""
    factor = bounds.multiple_of
    if factor is not None:
        whole = isinstance(value, int)
        used = int(factor) if whole else factor
        if used <= 0:
            yield int(used), ""
        elif (whole and value % used) or (
            not whole and not float(value / used if used >= 1 else 1 / used * value).is_integer()
        ):
            yield None, f"should be a multiple of {_plain(factor)}"
    low, high = bounds.minimum, bounds.maximum
    if low is not None and (value < low or (bounds.exclusive_minimum and value == low)):
        text = "greater than" if bounds.exclusive_minimum else "greater than or equal to"
        yield None, f"should be {text} {_plain(low)}"
    if high is not None and (value > high or (bounds.exclusive_maximum and value == high)):
        text = "less than" if bounds.exclusive_maximum else "less than or equal to"
        yield None, f"should be {text} {_plain(high)}"


def _plain(number: float) -> str:
    return str(int(number)) if isinstance(number, float) and number.is_integer() else str(number)


def _key(element: Any, names: tuple[str, ...]) -> str:
    return _shown([element.get(name) for name in names]) if isinstance(element, dict) else ""


def _earlier_items(schema: Schema, old: Any) -> Mapping[str, Any]:
    """Return the old elements of a list that is a map, by key: only those can be told apart."""
    if schema.list_type != "map" or not isinstance(old, list):
        return {}
    return {_key(element, schema.map_keys): element for element in old}
