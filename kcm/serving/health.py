"""Named health checks and the probe pages made of them.

`Checks` holds the checks of one endpoint (livez, readyz or healthz); a check is a function that
returns "" when all is well and otherwise a reason. Guarantees: the answer's format is the one
that the ecosystem's probes have (reference: runtime 7), a check that raises has failed and
takes nothing else along, and reasons are withheld: they stand in /statusz, which may ask for a
token. Checks are synchronous and read state that others keep; a probe never waits for anything.
With `count`, each result is shown under the names of the ecosystem's SLIs (kubernetes_healthcheck,
kubernetes_healthchecks_total). The manager owns what the checks look at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from prometheus_client import Counter, Gauge

from kcm.serving.http import Request, Response
from kcm.telemetry.logging import logger
from kcm.telemetry.metrics import Metrics

log = logger("serving.health")

Check = Callable[[], str]

# What the names of service level indicators begin with.
SLIS = "kubernetes_healthcheck"

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,126}[a-z0-9])?")
_TEXT = "text/plain; charset=utf-8"
_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache, no-store, must-revalidate"}


class Checks:
    """The checks behind one endpoint, in the order in which they were added."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._checks: dict[str, Check] = {"ping": lambda: ""}
        self._failing: dict[str, str] = {}
        self._metrics: CheckMetrics | None = None

    def count(self, metrics: CheckMetrics) -> None:
        """Show the results of this endpoint's checks there, from now on."""
        self._metrics = metrics

    def add(self, name: str, check: Check) -> None:
        """Add a check, or replace the one of that name. ValueError for an unusable name."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name for a check: lower-case letters, digits, '-' and '.'")
        self._checks[name] = check

    def remove(self, name: str) -> None:
        """Remove a check; one that is not there is no error."""
        self._checks.pop(name, None)
        self._failing.pop(name, None)
        if self._metrics is not None:
            self._metrics.forget(self.endpoint, name)

    def names(self) -> tuple[str, ...]:
        """Return the names of the checks."""
        return tuple(self._checks)

    def failures(self) -> dict[str, str]:
        """Return the checks that fail now, with their reasons."""
        return {name: reason for name in self._checks if (reason := self._ask(name))}

    def look(self) -> None:
        """Ask every check for what the metrics show; nobody probed, so nothing is logged."""
        for name in self._checks:
            self._judge(name)

    def answer(self, request: Request, name: str = "") -> Response:
        """Return the answer to a probe of the endpoint, or of the one check `name`."""
        if name:
            return self._answer_one(name)
        excluded = {value for key, value in request.query if key == "exclude"}
        verbose = any(
            key == "verbose" and value.lower() not in ("0", "false") for key, value in request.query
        )
        lines: list[str] = []
        failed = False
        for check in tuple(self._checks):
            if check in excluded:
                lines.append(f"[+]{check} excluded: ok")
            elif self._ask(check):
                failed = True
                lines.append(f"[-]{check} failed: reason withheld")
            else:
                lines.append(f"[+]{check} ok")
        lines += _unknown(sorted(excluded - self._checks.keys()))
        if failed:
            return _text(500, [*lines, f"{self.endpoint} check failed"])
        return (
            _text(200, [*lines, f"{self.endpoint} check passed"]) if verbose else _text(200, ["ok"], end="")
        )

    def _answer_one(self, name: str) -> Response:
        if name not in self._checks:
            return _text(404, [f"no check of this name; there are: {', '.join(self._checks)}"])
        if self._ask(name):
            return _text(500, ["internal server error: reason withheld"])
        return _text(200, ["ok"], end="")

    def _judge(self, name: str) -> str:
        try:
            reason = self._checks[name]()
        except Exception as error:  # noqa: BLE001 - a broken check must not hide the others' answers
            reason = f"{type(error).__name__}: {error}"
        if self._metrics is not None:
            self._metrics.judged(self.endpoint, name, not reason)
        return reason

    def _ask(self, name: str) -> str:
        reason = self._judge(name)
        # Once per change, not once per probe.
        if reason and name not in self._failing:
            log.warning("check fails", endpoint=self.endpoint, check=name, reason=reason)
        elif not reason and name in self._failing:
            log.info("check passes again", endpoint=self.endpoint, check=name)
        if reason:
            self._failing[name] = reason
        else:
            self._failing.pop(name, None)
        return reason


class CheckMetrics:
    """The results of checks; `type` is the endpoint (reference: runtime 7)."""

    def __init__(self, metrics: Metrics) -> None:
        self._now = metrics.gauge(
            "kubernetes_healthcheck", "1: the check passes; 0: it fails.", ("name", "type")
        )
        self._all = metrics.counter(
            "kubernetes_healthchecks_total",
            "Results of checks: success or error. Each is looked at once a second, and by probes.",
            ("name", "type", "status"),
        )
        self._shown: dict[tuple[str, str], tuple[Gauge, Counter, Counter]] = {}

    def judged(self, endpoint: str, name: str, passes: bool) -> None:
        """Note a result."""
        shown = self._shown.get((endpoint, name))
        if shown is None:
            # Both are there from the start: nobody sees a counter rise that begins at one.
            error, success = (self._all.labels(name, endpoint, status) for status in ("error", "success"))
            shown = self._shown[endpoint, name] = (self._now.labels(name, endpoint), error, success)
        now, error, success = shown
        now.set(passes)
        (success if passes else error).inc()

    def forget(self, endpoint: str, name: str) -> None:
        """Show a check no more that is no more."""
        self._shown.pop((endpoint, name), None)
        self._now.remove(name, endpoint)


def _unknown(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    shown = ", ".join(repr(name[:64]) for name in names[:8])
    return [f"warn: some health checks cannot be excluded: no matches for {shown}"]


def _text(status: int, lines: Sequence[str], end: str = "\n") -> Response:
    return Response(status, ("\n".join(lines) + end).encode("utf-8", "backslashreplace"), _TEXT, _HEADERS)
