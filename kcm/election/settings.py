"""The timings of an election and the inequality that makes its fence hold.

A leader stops at `renew_deadline` after the last successful renewal was sent; another may lead at
`lease_duration` after it. What lies between is all the time there is for requests that were sent
just before the deadline to end and for workers to stop. Values only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from kcm.base.errors import ConfigurationError

LONGEST_LEASE = 3600


@dataclass(frozen=True, slots=True)
class ElectionSettings:
    """Seconds, all of them. `request_timeout` is that of a worker's write, `stop_time` what it
    takes to end the workers. Defaults: reference, runtime 5."""

    lease_duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0
    request_timeout: float = 3.0
    stop_time: float = 1.0

    @property
    def renew_timeout(self) -> float:
        """Return the time-out of one request on the Lease: a slow one must leave time for another."""
        return min(max(1.0, self.renew_deadline / 2), self.renew_deadline)

    def check(self, where: str, key: str = "leaderElection") -> None:
        """Raise ConfigurationError, naming the field in camelCase, when the timings cannot be safe."""
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigurationError(where, _path(key, field.name), f"is {value}: must be above 0")
        if self.lease_duration != int(self.lease_duration) or self.lease_duration > LONGEST_LEASE:
            reason = f"is {self.lease_duration:g} s: must be whole seconds, at most {LONGEST_LEASE}"
            raise ConfigurationError(where, _path(key, "lease_duration"), reason)
        if self.renew_deadline <= 1.2 * self.retry_period:
            reason = (
                f"is {self.renew_deadline:g} s: must be above 1.2 x retryPeriod ({self.retry_period:g} s)"
            )
            raise ConfigurationError(where, _path(key, "renew_deadline"), reason)
        needed = self.renew_deadline + self.request_timeout + self.stop_time
        if needed >= self.lease_duration:
            reason = (
                f"is {self.lease_duration:g} s: must be above renewDeadline + request time-out + stop time "
                f"({self.renew_deadline:g} + {self.request_timeout:g} + {self.stop_time:g} = {needed:g} s)"
            )
            raise ConfigurationError(where, _path(key, "lease_duration"), reason)


def _path(key: str, field: str) -> str:
    head, *rest = field.split("_")
    camel = head + "".join(part.capitalize() for part in rest)
    return f"{key}.{camel}" if key else camel
