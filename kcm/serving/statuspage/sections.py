"""The parts of the status page, each from a part of `Status`.

Guarantees: every table has a caption, headers with a scope, and the header's words on each cell (narrow
screens show rows as cards); states are words, colour only repeats them; what nobody filled is left out,
and an empty table says so. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

from kcm.base.timestamps import format_time
from kcm.serving.status import (
    CacheStatus,
    ControllerStatus,
    DecisionStatus,
    ElectionStatus,
    HostStatus,
    PlanStatus,
    Status,
)
from kcm.serving.statuspage.markup import Markup, element, joined, short
from kcm.serving.tables import SHOWN_DECISIONS, about, age, deed, size

R = TypeVar("R")
Cell = Markup | str | int | None

# What goes on, what waits, and what is wrong; all else is neither.
_TONES = {
    **dict.fromkeys(("leading", "ready", "watching"), "good"),
    **dict.fromkeys(("standby", "off", "stopping", "ended", "alone", "dry run"), "calm"),
    "done": "plain",
    **dict.fromkeys(("not ready", "given up", "refused", "failed", "dead", "waiting to restart"), "bad"),
}


class Column(NamedTuple, Generic[R]):
    """`name` is the header, `cell` what a row shows below it; `kind` is the class of both.

    `optional`: left out where no row has anything to show.
    """

    name: str
    cell: Callable[[R], Cell]
    kind: str = ""
    optional: bool = False


def sections(status: Status) -> Markup:
    """Return all that changes while somebody looks."""
    latest = _plans(status.plans, status.build.now) if status.dry_run else _decisions(status)
    controllers = _table("Controllers and their queues", _CONTROLLERS, status.controllers, _why_off)
    hosts = _table("Processes that run controllers", _HOSTS, status.hosts, _last_end)
    caches = _table("Shared lists and watches", _CACHES, status.caches, lambda row: _trouble(row.reason))
    return joined(
        _summary(status),
        _failing(status.failing),
        _part("controllers", "Controllers", controllers),
        latest,
        _part("hosts", "Hosts", hosts),
        _part("caches", "Caches", caches),
    )


def standing(status: Status) -> tuple[str, str]:
    """Return what this process is to the others in a word or two, and how long for."""
    election = status.election
    if status.dry_run:
        return "Dry run", "takes no part, writes nothing"
    if not election.enabled:
        return "Alone", "no election, works at once"
    if not election.leading:
        return "Standby", "" if election.leader else "nobody leads"
    return "Leading", "" if election.fence_in is None else f"may write for {age(election.fence_in)}"


def _summary(status: Status) -> Markup:
    build, election = status.build, status.election
    word, detail = standing(status)
    up = age((build.now - build.started).total_seconds()) if build.now and build.started else "-"
    facts = [
        _fact("State", _state(word.lower(), word), detail),
        _fact("This replica", election.identity or "-", f"up {up}, pid {build.pid}"),
    ]
    if election.enabled and not status.dry_run:
        leader = "this replica" if election.leading else election.leader or "nobody"
        facts.append(_fact("Leader", leader, _term(election)))
        facts.append(_fact("Lease", election.lease or "-", _expiry(election), *election.troubles))
    if (file := status.configuration) is not None:
        troubles = (f"a newer file is refused: {file.refused}",) if file.refused else ()
        since = f"{file.file}, since {format_time(file.in_force_since).replace('T', ' ')}"
        facts.append(_fact("Configuration", file.hash[:12], since, *troubles))
    return element("dl", *facts, class_="facts")


def _term(election: ElectionStatus) -> str:
    term = "" if election.term is None else f"term {election.term}"
    # As the Lease has it: to the microsecond, which nobody reads.
    since = f"since {election.acquired.partition('.')[0].replace('T', ' ')}Z" if election.acquired else ""
    return ", ".join(filter(None, (term, since)))


def _expiry(election: ElectionStatus) -> str:
    if election.expires_in is None:
        return ""
    if election.expires_in < 0:
        return f"ran out {age(-election.expires_in)} ago"
    return f"free in {age(election.expires_in)}, unless renewed"


def _fact(name: str, value: Cell, detail: str, *troubles: str) -> Markup:
    wrong = (element("span", trouble, class_="trouble") for trouble in troubles)
    more = element("span", detail, class_="detail") if detail else None
    return element("div", element("dt", name), element("dd", element("b", value), more, *wrong))


def _failing(failing: dict[str, str]) -> Markup:
    if not failing:
        return Markup()
    rows = [joined(element("dt", check), element("dd", reason)) for check, reason in sorted(failing.items())]
    heading = element("h2", "Failing checks", id="failing-heading")
    return element(
        "section", heading, element("dl", *rows), class_="failing", aria_labelledby="failing-heading"
    )


def _state(tone: str, word: str) -> Markup:
    return element("span", word, class_=f"state {_TONES.get(tone, 'other')}")


def _count(number: int) -> Cell:
    return element("span", "0", class_="zero") if number == 0 else Markup(f"{number:,}")


def _bad_count(number: int) -> Cell:
    return element("span", Markup(f"{number:,}"), class_="trouble") if number else _count(number)


def _ago(seconds: float | None) -> str:
    return "" if seconds is None else f"{age(seconds)} ago"


def _moment(moment: datetime, now: datetime | None) -> Markup:
    written = format_time(moment)
    shown = _ago(max(0.0, (now - moment).total_seconds())) if now else written
    return element("time", shown, datetime=written, title=written)


def _controller_state(row: ControllerStatus) -> Markup:
    word = ("ready" if row.ready else "not ready") if row.enabled else "off"
    return _state(word, word)


def _why_off(row: ControllerStatus) -> Cell:
    return _trouble(row.reason) if row.enabled else row.reason


def _last_end(row: HostStatus) -> Cell:
    if not row.reason:
        return ""
    # Over, and told for whoever wonders why it was started again.
    over = row.state in ("leading", "standby", "stopping")
    return f"ended before: {row.reason}" if over else _trouble(row.reason)


def _error_of(row: DecisionStatus) -> Cell:
    # Ordinary: somebody else was quicker, and the key is looked at again.
    return "" if row.result == "conflict" else _trouble(row.error)


def _trouble(text: str) -> Cell:
    return element("span", text, class_="trouble") if text else ""


def _host_of(row: ControllerStatus) -> str:
    return "" if row.host == row.name else row.host


_CONTROLLERS: tuple[Column[ControllerStatus], ...] = (
    Column("Name", lambda row: row.name, "name"),
    Column("State", _controller_state, "word"),
    Column("Host", _host_of, "text", optional=True),
    Column("Queued", lambda row: _count(row.depth), "number"),
    Column("Active", lambda row: _count(row.active), "number"),
    Column("Delayed", lambda row: _count(row.delayed), "number"),
    Column("Failing", lambda row: _bad_count(row.failing), "number"),
    Column("Workers", lambda row: _count(row.workers), "number"),
)

_HOSTS: tuple[Column[HostStatus], ...] = (
    Column("Name", lambda row: row.name, "name"),
    Column("State", lambda row: _state(row.state, row.state), "word"),
    Column("PID", lambda row: "" if row.pid is None else str(row.pid), "number"),
    Column("Epoch", lambda row: _count(row.epoch), "number"),
    Column("Restarts", lambda row: _bad_count(row.restarts), "number"),
    Column("Heartbeat", lambda row: _ago(row.heartbeat_age), "number"),
    Column("Memory", lambda row: "" if row.memory_bytes is None else size(row.memory_bytes), "number"),
    Column("CPU time", lambda row: "" if row.cpu_seconds is None else age(row.cpu_seconds), "number"),
    Column("Files", lambda row: "" if row.open_files is None else _count(row.open_files), "number"),
)

_CACHES: tuple[Column[CacheStatus], ...] = (
    Column("Resource", lambda row: row.resource, "name"),
    Column("State", lambda row: _state(row.state, row.state), "word"),
    Column("Selector", lambda row: row.selector or element("span", "all", class_="zero"), "text"),
    Column("Objects", lambda row: _count(row.objects), "number"),
    Column("Readers", lambda row: _count(row.readers), "number"),
    Column("Last event", lambda row: _ago(row.event_age), "number"),
    Column("Version", lambda row: row.position, "number version"),
)


def _decisions(status: Status) -> Markup:
    shown = status.decisions[:SHOWN_DECISIONS]

    def keys(row: DecisionStatus) -> Markup:
        every = ", ".join(row.keys) if len(row.keys) > 1 else None
        return element("span", short(about(row)), title=every)

    def outcome(row: DecisionStatus) -> Markup:
        word = f"{row.done} of {row.wanted}" if row.result == "partly" else row.result
        return _state(row.result, word)

    columns: tuple[Column[DecisionStatus], ...] = (
        Column("When", lambda row: _moment(row.at, status.build.now), "when"),
        Column("Controller", lambda row: row.controller, "name"),
        Column("Key", keys, "key"),
        Column("Did", lambda row: short(deed(row)), "did"),
        Column("Because", lambda row: row.because, "text"),
        Column("Result", outcome, "word"),
    )
    more = len(status.decisions) - len(shown)
    note = None
    if more > 0:
        every = element("a", "/statusz?format=json", href="/statusz?format=json")
        note = _note(f"{more} more at ", every)
    if not shown and status.election.enabled and not status.election.leading:
        return _part("decisions", "Last decisions", _note("None here: this replica stands by."))
    caption = "What controllers did last, newest first"
    table = _table(caption, columns, shown, _error_of)
    return _part("decisions", "Last decisions", table, note)


def _plans(plans: Sequence[PlanStatus], now: datetime | None) -> Markup:
    def would(row: PlanStatus) -> Markup:
        more = row.total - len(row.actions)
        lines = (*row.actions, *((f"and {more} more",) if more > 0 else ()))
        return joined(*(element("span", line, class_="line") for line in lines))

    columns: tuple[Column[PlanStatus], ...] = (
        Column("When", lambda row: _moment(row.at, now), "when"),
        Column("Controller", lambda row: row.controller, "name"),
        Column("Key", lambda row: row.key, "key"),
        Column("Would", would, "text"),
    )
    table = _table("What a dry run did not send, newest first", columns, plans[:SHOWN_DECISIONS])
    return _part("decisions", "Plans not sent", table)


def _note(*content: Cell) -> Markup:
    return element("p", *content, class_="note")


def _part(name: str, title: str, *content: Markup | None) -> Markup:
    heading = element("h2", title, id=f"{name}-heading")
    return element("section", heading, *content, id=name, aria_labelledby=f"{name}-heading")


def _table(
    caption: str,
    columns: Sequence[Column[R]],
    rows: Sequence[R],
    below: Callable[[R], Cell] = lambda row: "",
) -> Markup:
    """Return a table; `below` is what else there is to say of a row, on a line of its own."""
    if not rows:
        return _note("None.")
    cells = [[column.cell(row) for column in columns] for row in rows]
    kept = [
        place
        for place, column in enumerate(columns)
        if not column.optional or any(line[place] for line in cells)
    ]
    head = (
        element("th", columns[place].name, scope="col", class_=columns[place].kind, role="columnheader")
        for place in kept
    )
    body: list[Markup] = []
    for row, line in zip(rows, cells, strict=True):
        body.append(_row(columns, kept, line))
        if more := below(row):
            body.append(_row_below(len(kept), more))
    # Narrow screens lay rows out as cards; the roles keep it a table for those who cannot see it.
    return element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *head, role="row"), role="rowgroup"),
        element("tbody", *body, role="rowgroup"),
        role="table",
    )


def _row_below(columns: int, content: Cell) -> Markup:
    first = element("td", class_="empty", role="cell")
    wide = element("td", content, class_="more", colspan=str(columns - 1), role="cell")
    return element("tr", first, wide, class_="below", role="row")


def _row(columns: Sequence[Column[R]], kept: Iterable[int], line: Sequence[Cell]) -> Markup:
    cells = []
    for place in kept:
        name, _, kind, _ = columns[place]
        first = {"scope": "row", "role": "rowheader"} if place == 0 and kind == "name" else {"role": "cell"}
        tag = "th" if "scope" in first else "td"
        empty = None if line[place] != "" else "empty"
        shown = line[place] if empty is None else None
        cells.append(
            element(tag, shown, class_=" ".join(filter(None, (kind, empty))), data_label=name, **first)
        )
    return element("tr", *cells, role="row")
