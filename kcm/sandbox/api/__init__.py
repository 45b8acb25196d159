"""The API server of the sandbox: store, rules, lists, watches, and what a request goes through.

`ApiServer` is the door: `await handle(Request) -> Response`, `await run()` for its built-in
controllers, `faults` to break it on purpose, `audit` to see every write. In memory, without
authentication, for one event loop.
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
from kcm.sandbox.api.server import ApiServer
from kcm.serving.http import ConnectionLost

__all__ = [
    "ApiServer",
    "Audit",
    "Compact",
    "ConnectionLost",
    "CutWatch",
    "Delay",
    "DropAfter",
    "DropBefore",
    "Fault",
    "Faults",
    "Mutation",
    "Refuse",
    "SilenceWatch",
]
