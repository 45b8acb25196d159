"""A label selector of the API as text. Owns no state."""

from __future__ import annotations

from typing import Any

_OPERATORS = {"In": "in", "NotIn": "notin"}


def selector_text(selector: dict[str, Any]) -> str:
    """Return a label selector in query syntax, keys in order."""
    terms = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        key, operator = expression["key"], expression["operator"]
        if operator in _OPERATORS:
            values = ",".join(sorted(expression.get("values") or ()))
            terms.append((key, f"{key} {_OPERATORS[operator]} ({values})"))
        else:
            terms.append((key, key if operator == "Exists" else f"!{key}"))
    return ",".join(text for _, text in sorted(terms))
