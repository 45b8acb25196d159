"""Going back to an earlier revision, as the rollback annotation asks.

The template of the revision's replica set becomes the Deployment's, its annotations too, and
the request is taken away: one patch, so that a crash leaves either the request or the result
(reference: workloads 2.9). Guarantees that it applies to exactly the Deployment that was seen.
Pure.
"""

from __future__ import annotations

from typing import Any

from controllers.deployment.annotations import NOT_COPIED, REVISION, ROLLBACK_TO, copied, integer
from controllers.deployment.fleet import Fleet
from controllers.deployment.observe import Seen
from controllers.deployment.templates import meaning, without_hash
from kcm import Plan
from kcm.objects import WholeReplicaSet


def rollback_plan(seen: Seen, to: int) -> Plan:
    """Plan to take the template of revision `to`, or to say why not; the request goes in every case."""
    deployment = seen.deployment
    goal = find_revision(seen.fleet, to)
    if goal is None:
        which = "the revision to rollback to" if to else "last revision"
        return _give_up(seen, "DeploymentRollbackRevisionNotFound", f"Unable to find {which}.")
    if meaning(goal.spec.template) == meaning(deployment.spec.template):
        note = (
            "The rollback revision contains the same template as current deployment "
            f'"{deployment.metadata.name}"'
        )
        return _give_up(seen, "DeploymentRollbackTemplateUnchanged", note)
    # A merge would keep what the old template does not have.
    template = {"$patch": "replace", **without_hash(goal.spec.template)}
    changes = {"metadata": {"annotations": _annotations(seen, goal)}, "spec": {"template": template}}
    number = integer(goal.metadata.annotations, REVISION)
    patched = Plan.patch(
        deployment, changes, because=f"roll back to revision {number}", kind="strategic", exact=True
    )
    note = f'Rolled back deployment "{deployment.metadata.name}" to revision {number}'
    return patched + Plan.emit(deployment, "Normal", "DeploymentRollback", note)


def find_revision(fleet: Fleet, to: int) -> WholeReplicaSet | None:
    """Return the replica set of a revision; for 0 that of the second highest one."""
    numbered = [(integer(each.metadata.annotations, REVISION), each) for each in fleet.all]
    if to == 0:
        ranked = sorted(
            ((number, each) for number, each in numbered if number is not None),
            key=lambda pair: pair[0],
            reverse=True,
        )
        below = (pair for pair in ranked if pair[0] < ranked[0][0])
        return next((each for _, each in below), None)
    return next((each for number, each in numbered if number == to), None)


def _annotations(seen: Seen, goal: WholeReplicaSet) -> dict[str, str | None]:
    """Return the changes after which the Deployment has its own kept ones and the goal's others."""
    present = seen.deployment.metadata.annotations
    wanted = copied(goal.metadata.annotations)
    gone: dict[str, str | None] = {name: None for name in present if name not in NOT_COPIED}
    return {**gone, **wanted, ROLLBACK_TO: None}


def _give_up(seen: Seen, reason: str, note: str) -> Plan:
    changes: dict[str, Any] = {"metadata": {"annotations": {ROLLBACK_TO: None}}}
    withdrawn = Plan.patch(seen.deployment, changes, because=reason, exact=True)
    return withdrawn + Plan.emit(seen.deployment, "Warning", reason, note)
