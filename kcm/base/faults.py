"""What other people's code raised, as text.

Guarantees: `said` and `place_of` raise nothing, whatever the exception's own methods do, and what
they return is bounded. Pure.
"""

from __future__ import annotations

import os

LONGEST = 1000


def said(error: object) -> str:
    """Return `repr` of it, such as "KeyError('name')"; of what cannot even say that, its type."""
    try:
        return repr(error)[:LONGEST]
    except BaseException as worse:  # noqa: BLE001 - a stranger's __repr__ may raise anything
        return f"{type(error).__name__} (whose text cannot be had: {type(worse).__name__})"


def message_of(error: BaseException) -> str:
    """Return `str(error)`, or as much as can be had of it."""
    try:
        return str(error)[:LONGEST] or said(error)
    except BaseException:  # noqa: BLE001 - a stranger's __str__ may raise anything
        return said(error)


def place_of(error: BaseException) -> str:
    """Return where it was raised: "backup_policy.py:42 in decide"; "" when nobody knows."""
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return f"{os.path.basename(code.co_filename)}:{trace.tb_lineno} in {code.co_name}"
