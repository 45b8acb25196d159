"""What other people's code raised, as text.

Guarantees: nothing here raises, whatever the exception's own methods do, and what is returned is
bounded. Pure.
"""

from __future__ import annotations

import asyncio
import os

LONGEST = 1000
# Whoever looks for a mistake looks in files that are neither ours nor Python's own.
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_PYTHONS = os.path.dirname(os.path.dirname(asyncio.__file__)) + os.sep


def said(thing: object) -> str:
    """Return `repr` of it, such as "KeyError('name')"; of what cannot even say that, its type."""
    try:
        return repr(thing)[:LONGEST]
    except BaseException as worse:  # noqa: BLE001 - a stranger's __repr__ may raise anything
        return f"{type(thing).__name__} (whose text cannot be had: {type(worse).__name__})"


def message_of(error: BaseException) -> str:
    """Return `str(error)`, or as much as can be had of it."""
    try:
        return str(error)[:LONGEST] or said(error)
    except BaseException:  # noqa: BLE001 - a stranger's __str__ may raise anything
        return said(error)


def told(error: BaseException) -> str:
    """Return `said` with the place, if there is one."""
    place = place_of(error)
    return f"{said(error)} at {place}" if place else said(error)


def place_of(*errors: BaseException) -> str:
    """Return where it was raised, "backup_policy.py:42 in decide"; "" when nobody knows.

    That is the innermost line of somebody's own file in the first error that has one; else of Python's.
    """
    anywhere = ""
    for error in errors:
        place = ""
        trace = error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            here = f"{os.path.basename(code.co_filename)}:{trace.tb_lineno} in {code.co_name}"
            if not code.co_filename.startswith(_OURS):
                anywhere = here
            if _is_somebodys(code.co_filename):
                place = here
            trace = trace.tb_next
        if place:
            return place
    return anywhere


def place_of_function(function: object) -> str:
    """Return where a function is, "backup_policy.py:7 namespace_of"; its text if it has no place."""
    code = getattr(function, "__code__", None)
    if code is None:
        return said(function)[:100]
    return f"{os.path.basename(code.co_filename)}:{code.co_firstlineno} {code.co_name}"


def _is_somebodys(file: str) -> bool:
    if file.startswith(("<", _OURS)):
        return False
    return not file.startswith(_PYTHONS) or "site-packages" in file
