"""What Deployments and replica sets tell each other by annotations.

Keys, and reading them: text from outside is bounded before it becomes a number, and text that
is no number counts as missing (reference: workloads 2.6, 2.7). Revisions only grow; copied
annotations are never taken away again. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
ROLLBACK_TO = "deprecated.deployment.rollback.to"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

# What a Deployment and its replica sets each keep for themselves.
NOT_COPIED = frozenset((REVISION, REVISION_HISTORY, DESIRED, MAXIMUM, ROLLBACK_TO, LAST_APPLIED))
LONGEST_HISTORY = 2000

_INTEGER = re.compile(r"[+-]?[0-9]{1,30}", re.ASCII)
_INT64 = range(-(2**63), 2**63)
_INT32_COUNT = range(2**31)


def integer(annotations: Mapping[str, str], name: str) -> int | None:
    """Return an annotation as an int64, None where it is missing or none."""
    text = annotations.get(name, "")
    if not _INTEGER.fullmatch(text):
        return None
    number = int(text)
    return number if number in _INT64 else None


def count(annotations: Mapping[str, str], name: str) -> int | None:
    """Return an annotation as a number of replicas, None where it is missing or none."""
    number = integer(annotations, name)
    return number if number is not None and number in _INT32_COUNT else None


def copied(annotations: Mapping[str, str]) -> dict[str, str]:
    """Return what a replica set takes over from its Deployment, or a Deployment rolled back to it."""
    return {name: text for name, text in annotations.items() if name not in NOT_COPIED}


def revised(annotations: Mapping[str, str], revision: int) -> dict[str, str]:
    """Return the changes that give a replica set a revision; none if it has that or a higher one.

    The one that it had goes into its history. Text that is no number is left as it is.
    """
    before = annotations.get(REVISION, "")
    known = integer(annotations, REVISION)
    if (before and known is None) or (known or 0) >= revision:
        return {}
    changes = {REVISION: str(revision)}
    if before:
        changes[REVISION_HISTORY] = _appended(annotations.get(REVISION_HISTORY, ""), before)
    return changes


def _appended(history: str, revision: str) -> str:
    """Return the comma list with one more entry, the oldest dropped where it gets too long."""
    entries = [*filter(None, history[-2 * LONGEST_HISTORY :].split(",")), revision]
    while entries[1:] and len(",".join(entries)) > LONGEST_HISTORY:
        del entries[0]
    return ",".join(entries)
