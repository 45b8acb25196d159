"""HTML from values: whatever is not `Markup` is text, and is escaped.

Guarantees: text cannot become a tag, an attribute or a script, whatever is in it; what a terminal
or a reader would obey (control characters, reordering) is written as an escape, credentials are blanked
and long texts cut, as in logs (`kcm.telemetry.cleaning`). Pure.
"""

from __future__ import annotations

from functools import lru_cache
from html import escape

from kcm.telemetry.cleaning import clean_text

LONGEST_TEXT = 400
LONGEST_NAME = 100


class Markup(str):
    """HTML that is safe as it is."""

    __slots__ = ()


Child = Markup | str | int | None


def element(name: str, *children: Child, **attributes: str | bool | None) -> Markup:
    """Return an element. `class_` is class, `data_label` is data-label; False and None leave one out."""
    return Markup(f"{_opening(name, tuple(attributes.items()))}{joined(*children)}</{name}>")


def joined(*children: Child) -> Markup:
    """Return one behind the other; None is nothing."""
    parts = []
    for child in children:
        if type(child) is Markup:
            parts.append(child)
        elif child is not None:
            parts.append(text(str(child)))
    return Markup("".join(parts))


def text(value: str) -> Markup:
    """Return text as HTML shows it, also within quotes."""
    return Markup(escape(clean_text(value, LONGEST_TEXT)))


def short(name: str) -> str:
    """Return a name cut to what a cell can take."""
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"


# The cells of a column have one opening; those with a time of their own only pass through.
@lru_cache(maxsize=512)
def _opening(name: str, attributes: tuple[tuple[str, str | bool | None], ...]) -> Markup:
    opening = name
    for key, value in attributes:
        if value is None or value is False:
            continue
        written = key.rstrip("_").replace("_", "-")
        opening += f" {written}" if value is True else f' {written}="{text(value)}"'
    return Markup(f"<{opening}>")
