"""What the server wrote down (`judging_cluster.py`), read and judged.

`Record` reads it while it grows; `verdict` names what of reliability.md was broken. Both see times as the
record has them: seconds since the machine was started.
"""

import bisect
import itertools
import json
import re
from dataclasses import dataclass

NAMESPACE = "kcm-system"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:kcm"


@dataclass(frozen=True)
class Term:
    """The time for which the Lease named one identity. `released`: it said itself that this was over."""

    identity: str
    begin: float
    end: float
    released: bool


class Record:
    """What the server has written down, in its order."""

    def __init__(self, path):
        self._path = path
        self._read = 0
        self._lines = []

    def lines(self):
        """Return all of it, each line as (kind, fields)."""
        with open(self._path, "rb") as record:
            record.seek(self._read)
            fresh = record.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            self._lines += json.loads(line).items()
        return self._lines

    def _of(self, kind, since, wanted):
        lines = self.lines()
        # It is asked again and again, and may be long.
        begin = bisect.bisect_left(lines, since, key=lambda line: line[1]["at"])
        return [
            fields
            for each, fields in itertools.islice(lines, begin, None)
            if each == kind and wanted.items() <= fields.items()
        ]

    def requests(self, since=0.0, **wanted):
        """Return the requests that were answered since then and have these fields."""
        return self._of("request", since, wanted)

    def commits(self, since=0.0, **wanted):
        """Return what was stored since then and has these fields."""
        return self._of("commit", since, wanted)

    def broken(self):
        """Return the invariants that did not hold."""
        return [fields for kind, fields in self.lines() if kind == "broken"]

    def writes(self, identity="", since=0.0):
        """Return the writes that a kcm, or the one of this identity, tried: all but its Lease and its events.

        Reviews are no writes, and events are words for people: a leader tells that it does not lead any more.
        """
        return [
            line
            for line in self.requests(since)
            if line["method"] != "GET"
            and line["agent"].startswith("kcm/")
            and identity in line["agent"]
            and not re.search(r"/(leases|events|tokenreviews|subjectaccessreviews)\b", line["path"])
        ]

    def terms(self):
        """Return who held the Lease, and when, in order."""
        found = []
        for line in self.commits(resource="leases", name="kcm", namespace=NAMESPACE):
            if found and found[-1].identity == line["holder"]:
                continue
            if found:
                released = not line["holder"] or found[-1].released
                last = found.pop()
                found.append(Term(last.identity, last.begin, line["at"], released))
            found.append(Term(line["holder"], line["at"], float("inf"), False))
        return [term for term in found if term.identity]


def identity_of(agent):
    """Return the identity that a User-Agent of kcm names."""
    return re.findall(r"\(([^)]*)\)", agent)[0]


def verdict(record):
    """Return what of reliability.md was broken: S1, S4 and S5 at any revision, S2, S7, and the rights."""
    found = [f"{line['invariant']}: {line['text']}" for line in record.broken()]
    terms = record.terms()
    for line in record.writes():
        identity = identity_of(line["agent"])
        what = f"{line['method']} {line['path']} by {identity} at {line['began']}: {line['status']}"
        if not any(t.identity == identity and t.begin <= line["began"] <= t.end for t in terms):
            found.append(f"S7: not its term: {what}")
        if identity.startswith("kcm-") and line["status"] < 300 and line["who"] != ACCOUNT:
            found.append(f"not as the pods' account: {what}: {line['who']}")
        if line["method"] == "DELETE" and set(line["preconditions"]) != {"uid", "resourceVersion"}:
            found.append(f"S2: no preconditions: {what}")
    for line in record.requests(status=403):
        if line["agent"].startswith("kcm/"):
            found.append(f"forbidden: {line['method']} {line['path']} to {line['who']} {line['agent']}")
    return found
