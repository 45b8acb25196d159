"""A `Status` as text for people: aligned tables, plain words.

Guarantees: text from outside (reasons, selectors, identities) is cleaned and cut, so that a
line stays a line; an empty table says that it is empty. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from kcm.base.timestamps import format_time
from kcm.serving.status import (
    BuildStatus,
    CacheStatus,
    ControllerStatus,
    DecisionStatus,
    ElectionStatus,
    HostStatus,
    PlanStatus,
    Status,
)
from kcm.telemetry.cleaning import clean_text

LONGEST_CELL = 160
SHOWN_DECISIONS = 30

Cell = str | int | float | bool | None


def status_text(status: Status) -> str:
    """Return the page, each part under its heading, the troubles first."""
    standing = "dry run: takes no part, and writes nothing" if status.dry_run else _standing(status.election)
    parts = [_summary(status.build, status.election, standing)]
    if status.failing:
        failing = sorted(status.failing.items())
        parts.append(_part("FAILING CHECKS", ("CHECK", "REASON"), failing))
    parts.append(_part("CONTROLLERS", _CONTROLLER_HEAD, [_controller(row) for row in status.controllers]))
    parts.append(_part("HOSTS", _HOST_HEAD, [_host(row) for row in status.hosts]))
    parts.append(_part("CACHES", _CACHE_HEAD, [_cache(row) for row in status.caches]))
    if status.dry_run:
        parts.append(_part("PLANS NOT SENT (dry run)", _PLAN_HEAD, _plans(status.plans)))
    else:
        parts.append(_part("LAST DECISIONS", _DECISION_HEAD, _decisions(status)))
    return "\n".join(parts)


def table(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return lines of aligned columns; columns of numbers are flush right. Ends with a newline."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(head), *cells]) for i in range(len(head))]
    right = [bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(len(head))]
    lines = []
    for line in [list(head), *cells]:
        padded = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True)]
        lines.append("  ".join(padded).rstrip() + "\n")
    return "".join(lines)


def age(seconds: float | None) -> str:
    """Return a duration as people say it: 0.3s, 12s, 4m10s, 3h20m, 5d4h; "-" for None."""
    if seconds is None:
        return "-"
    if seconds < 0:
        return f"-{age(-seconds)}"
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    for size, unit, smaller, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size}{unit}{rest}{small_unit}" if rest else f"{whole // size}{unit}"
    return f"{whole}s"


def size(count: int | None) -> str:
    """Return a number of bytes in KiB or MiB; "-" for None."""
    if count is None:
        return "-"
    if count < 1024 * 1024:
        return f"{count / 1024:.0f} KiB"
    return f"{count / (1024 * 1024):.1f} MiB"


def _summary(build: BuildStatus, election: ElectionStatus, standing: str) -> str:
    up = age((build.now - build.started).total_seconds()) if build.now and build.started else "-"
    facts = [
        ("version", f"kcm {build.version}" + (f" (Python {build.python})" if build.python else "")),
        ("running", f"{up}, since {_moment(build.started)}, pid {build.pid}"),
        ("election", standing),
        ("identity", election.identity or "-"),
    ]
    return "".join(f"{name + ':':<10} {_cell(value)}\n" for name, value in facts)


def _standing(election: ElectionStatus) -> str:
    if not election.enabled:
        return "off: this process works alone"
    term = "" if election.term is None else f", term {election.term}"
    if election.leading:
        fence = "" if election.fence_in is None else f", may write for {age(election.fence_in)}"
        return f"leading{term}{fence}"
    return f"standby{term}, led by {election.leader}" if election.leader else "standby, nobody leads"


_CONTROLLER_HEAD = ("NAME", "STATE", "HOST", "WORKERS", "ACTIVE", "QUEUED", "DELAYED", "FAILING", "REASON")


def _controller(row: ControllerStatus) -> tuple[Cell, ...]:
    state = ("ready" if row.ready else "not ready") if row.enabled else "off"
    numbers = (row.workers, row.active, row.depth, row.delayed, row.failing)
    return (row.name, state, row.host, *numbers, row.reason)


_HOST_HEAD = ("NAME", "STATE", "PID", "EPOCH", "RESTARTS", "HEARTBEAT", "MEMORY", "REASON")


def _host(row: HostStatus) -> tuple[Cell, ...]:
    beat = "-" if row.heartbeat_age is None else f"{age(row.heartbeat_age)} ago"
    return (row.name, row.state, row.pid, row.epoch, row.restarts, beat, size(row.memory_bytes), row.reason)


_CACHE_HEAD = (
    "RESOURCE",
    "SELECTOR",
    "STATE",
    "OBJECTS",
    "SIZE",
    "READERS",
    "POSITION",
    "LAST EVENT",
    "REASON",
)


def _cache(row: CacheStatus) -> tuple[Cell, ...]:
    event = "-" if row.event_age is None else f"{age(row.event_age)} ago"
    counts = (row.objects, size(row.bytes), row.readers)
    return (row.resource, row.selector or "all", row.state, *counts, row.position, event, row.reason)


_DECISION_HEAD = ("TIME", "CONTROLLER", "KEY", "DID", "BECAUSE", "RESULT")


def _decisions(status: Status) -> list[tuple[Cell, ...]]:
    return [
        (format_time(each.at), each.controller, about(each), deed(each), each.because, result(each))
        for each in status.decisions[:SHOWN_DECISIONS]
    ]


def about(decision: DecisionStatus) -> str:
    """Return which key was reconciled: the one, or the last of several, and in how many reconciles."""
    key = next(iter(decision.keys), "")
    more = " …" if len(decision.keys) > 1 else ""
    return f"{key}{more} ×{decision.times}" if decision.times > 1 else key


def deed(decision: DecisionStatus) -> str:
    """Return what was done, or tried: "create 500 pods", "delete pods web-1".

    Short: without the group of the resource, and without the key's namespace.
    """
    resource, _, object = decision.object.partition(" ")
    namespace, slash, name = object.partition("/")
    if slash and all(key.startswith(f"{namespace}/") for key in decision.keys):
        object = name
    # One in each of several reconciles: that number stands with the keys.
    count = str(decision.wanted) if decision.wanted > decision.times else ""
    to = "" if decision.replicas is None else f"to {decision.replicas}"
    return " ".join(filter(None, (decision.action, count, resource.partition(".")[0], object, to)))


def result(decision: DecisionStatus) -> str:
    """Return what came of it."""
    text = f"{decision.done} of {decision.wanted}" if decision.result == "partly" else decision.result
    return f"{text}: {decision.error}" if decision.error else text


_PLAN_HEAD = ("TIME", "CONTROLLER", "KEY", "WOULD")


def _plans(plans: Sequence[PlanStatus]) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    for plan in plans:
        more = plan.total - len(plan.actions)
        lines = (*plan.actions, *((f"and {more} more",) if more > 0 else ()))
        for number, line in enumerate(lines):
            head = ("", "", "") if number else (format_time(plan.at), plan.controller, plan.key)
            rows.append((*head, line))
    return rows


def _part(title: str, head: tuple[str, ...], rows: Sequence[Sequence[Cell]]) -> str:
    if not rows:
        return f"{title}\n  none\n"
    # A column that nobody filled only pushes the others off the screen.
    kept = [i for i in range(len(head)) if i == 0 or any(_cell(row[i]) != "-" for row in rows)]
    body = table([head[i] for i in kept], [[row[i] for i in kept] for row in rows])
    return f"{title}\n" + "".join(f"  {line}\n" for line in body.splitlines())


def _cell(value: Cell) -> str:
    if value is None or value == "":
        return "-"
    return clean_text(str(value), LONGEST_CELL)


def _is_number(value: Cell) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _moment(moment: datetime | None) -> str:
    return format_time(moment) if moment else "-"
