"""The API server of the sandbox: store, rules, lists, watches, and what a request goes through.

`ApiServer` is the door: `await handle(Request) -> Response`, or `handle_secured` to be asked who one
is; `await run()` for its built-in controllers, `faults` to break it on purpose, `audit` to see every
write, `gate` to see every decision. For one event loop.
"""

from kcm.sandbox.api.audit import Audit, Mutation
from kcm.sandbox.api.faults import (
    Compact,
    CutWatch,
    Delay,
    DropAfter,
    DropBefore,
    Fault,
    Faults,
    Refuse,
    SilenceWatch,
)
from kcm.sandbox.api.gate import AccessSettings, Decision, Gate
from kcm.sandbox.api.server import ApiServer
from kcm.serving.http import ConnectionLost

__all__ = [
    "AccessSettings",
    "ApiServer",
    "Audit",
    "Compact",
    "ConnectionLost",
    "CutWatch",
    "Decision",
    "Delay",
    "DropAfter",
    "DropBefore",
    "Fault",
    "Faults",
    "Gate",
    "Mutation",
    "Refuse",
    "SilenceWatch",
]
