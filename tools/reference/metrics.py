"""docs/metrics.md: every metric, from the calls that make instruments.

`metrics()` is also what tests hold alerts, dashboard and a running daemon's /metrics to.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kcm.telemetry.exposition import PER_PROCESS
from tools.reference.source import (
    UNKNOWN,
    Module,
    Place,
    argument,
    called,
    calls,
    functions,
    modules,
    value,
)

KINDS = ("counter", "gauge", "histogram")
SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
_SETS = (
    (
        "Signs of life",
        (
            *("kubernetes_healthcheck", "kcm_process_loop_", "kcm_host_heartbeat", "kcm_feed_lag"),
            *("kcm_cache_watch_age", "kcm_lease_age"),
        ),
    ),
    ("The work of controllers", ("controller_runtime_", "workqueue_")),
    ("Requests to the API server", ("rest_client_",)),
    ("Election", ("leader_election_", "kcm_leader_election_")),
    ("Caches", ("kcm_cache_", "kcm_replica_", "kcm_feed_", "kcm_discovery_")),
    ("Events for people", ("kcm_events_",)),
    ("Autoscaling", ("horizontal_pod_autoscaler_controller_", "kcm_hpa_")),
    ("Processes and the rest", ("",)),
)
_HEAD = """\
# Metrics

Made from the code by `python -m tools.reference`; a test fails when it is stale.

`/metrics` shows all processes of a daemon together: counters and histograms are summed and never go
back when a host is restarted. `process` is a label of `kcm_process_*`, and of any gauge that two
processes would otherwise show under the same labels. Names and labels are an interface: they change only
with a note in the changelog. What to alert on: [runbooks.md](runbooks.md).
"""


@dataclass(frozen=True)
class Described:
    """One metric. `labels` are those that its instrument declares."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...]

    @property
    def samples(self) -> tuple[str, ...]:
        """Return the names under which its samples are shown."""
        return tuple(self.name + suffix for suffix in SUFFIXES[self.kind])


def metrics() -> dict[str, Described]:
    """Return all metrics of a daemon by name. ValueError for an instrument that cannot be read."""
    found: dict[str, Described] = {}
    for module in modules():
        for each in _described(module):
            found.setdefault(each.name, each)
    return dict(sorted(found.items()))


def _described(module: Module) -> Iterator[Described]:
    for call, place in calls(module):
        kind = called(call)
        if kind in KINDS and module.path != "kcm/telemetry/metrics.py" and call.args:
            each = _instrument(kind, call, place)
            if each is not None:
                yield each
        elif kind in ("CounterMetricFamily", "GaugeMetricFamily"):
            yield _family(kind, call, place)
    if module.path == "kcm/telemetry/metrics.py":
        yield Described(
            "kcm_metrics_samples_dropped", "gauge", "Samples over the bound of a snapshot.", ("process",)
        )
    if module.path == "kcm/telemetry/exposition.py":
        yield Described(
            "kcm_metrics_series_lost",
            "gauge",
            "Series of ended processes that there was no room to keep.",
            (),
        )


def _instrument(kind: str, call: ast.Call, place: Place) -> Described | None:
    name = value(call.args[0], place)
    if name is UNKNOWN and _wraps(call, place):
        return None
    labels = _labels(call, place)
    text = value(argument(call, 1, "help"), place)
    if UNKNOWN in (name, labels, text):
        raise ValueError(f"{place.module.path}:{call.lineno}: name, help or labels cannot be told: {name}")
    if kind == "counter" and not name.endswith("_total"):
        name += "_total"
    if name.startswith(PER_PROCESS):
        labels = (*labels, "process")
    return Described(name, kind, text, labels)


def _wraps(call: ast.Call, place: Place) -> bool:
    """Say whether a call only hands on the name that its own function was given."""
    first = call.args[0]
    own = {arg.arg for function in place.functions for arg in function.args.args}
    return isinstance(first, ast.Name) and first.id in own


def _labels(call: ast.Call, place: Place) -> Any:
    given = argument(call, 2, "labels")
    if given is not None:
        return value(given, place)
    if isinstance(call.func, ast.Name):
        # A function of the same name nearby makes the instrument, with labels of its own.
        for depth in range(len(place.functions), -1, -1):
            scope: ast.AST = place.functions[depth - 1] if depth else place.module.tree
            local = functions(scope).get(call.func.id)
            if local is not None:
                inner = next(each for each in ast.walk(local) if isinstance(each, ast.Call) and each.args[1:])
                return value(argument(inner, 2, "labels"), Place(place.module, (*place.functions, local)))
    return ()


def _family(kind: str, call: ast.Call, place: Place) -> Described:
    name, text = (value(argument(call, at, part), place) for at, part in ((0, "name"), (1, "documentation")))
    if UNKNOWN in (name, text):
        raise ValueError(f"{place.module.path}:{call.lineno}: a family that cannot be told")
    shown = f"{name}_total" if kind.startswith("Counter") and not name.endswith("_total") else name
    return Described(shown, "counter" if kind.startswith("Counter") else "gauge", text, ("process",))


def metrics_page() -> str:
    """Return docs/metrics.md."""
    left = metrics()
    parts = [_HEAD]
    for title, prefixes in _SETS:
        mine = [left.pop(name) for name in list(left) if name.startswith(prefixes)]
        if mine:
            parts.append(f"\n## {title}\n\n| name | type | labels | meaning |\n|---|---|---|---|\n")
            parts += [_row(each) for each in mine]
    return "".join(parts)


def _row(each: Described) -> str:
    labels = ", ".join(f"`{label}`" for label in each.labels)
    return f"| `{each.name}` | {each.kind} | {labels} | {each.help.replace('|', chr(92) + '|')} |\n"
