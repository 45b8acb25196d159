"""Objects for tests of `decide`, as the API server would have them, and plans as text.

`existing` gives an object what the server gives every object; `being_deleted` what it gives one that
is to go. `steps` returns a plan as lines that a table of tests can name. Pure; the same arguments
give the same object.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import msgspec

from kcm.objects.resource import Resource
from kcm.runtime.plan import Plan
from kcm.runtime.rehearsal import step_of
from kcm.testing.virtual import EPOCH

R = TypeVar("R", bound=Resource[Any])


def existing(
    obj: R, *, uid: str = "", version: str = "1", generation: int = 1, created: datetime = EPOCH
) -> R:
    """Return `obj` with uid (its name's, unless given), resourceVersion, generation and creation time."""
    metadata = obj.metadata
    filled = msgspec.structs.replace(
        metadata,
        namespace=metadata.namespace or ("default" if obj.namespaced else ""),
        uid=uid or metadata.uid or f"uid-of-{metadata.name}",
        resource_version=metadata.resource_version or version,
        generation=metadata.generation or generation,
        creation_timestamp=metadata.creation_timestamp or created,
    )
    return msgspec.structs.replace(obj, metadata=filled)


def being_deleted(obj: R, *finalizers: str, at: datetime = EPOCH) -> R:
    """Return `obj` as it is between its DELETE and its end: what `finalizers` hold back.

    Finalizers need a type whose metadata is `ObjectMeta`.
    """
    changes: dict[str, Any] = {"deletion_timestamp": at}
    if finalizers:
        changes["finalizers"] = finalizers
    gone = existing(obj)
    return msgspec.structs.replace(gone, metadata=msgspec.structs.replace(gone.metadata, **changes))


def steps(plan: Plan) -> list[str]:
    """Return what a plan does, one line an action: `create configmaps default/web: there is none`."""
    return [str(step_of(action)) for action in plan.actions]
