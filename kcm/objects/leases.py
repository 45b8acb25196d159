"""Leases: who leads, and until when.

Times are text (`metav1.MicroTime`): a candidate compares records and never reads the clock of the
one who wrote them (reference: runtime 5). Every field may be missing or null, whatever wrote it.
"""

from __future__ import annotations

import msgspec

from kcm.objects.metadata import Metadata, Spec
from kcm.objects.resource import Resource


class LeaseAnnotations(Spec, frozen=True):
    """The annotation by which a leader hands over to the next one; see `kcm.election.record`."""

    last_writes: str = msgspec.field(default="", name="kcm.dev/last-writes")


class LeaseMeta(Metadata, frozen=True, kw_only=True):
    """A Lease's metadata with the annotation that matters."""

    annotations: LeaseAnnotations | None = None


class LeaseSpec(Spec, frozen=True):
    """The holder's record."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None
    strategy: str | None = None
    preferred_holder: str | None = None


class Lease(Resource[LeaseSpec | None], frozen=True, kw_only=True):
    """A lease as candidates see it."""

    api, kind, plural = "coordination.k8s.io/v1", "Lease", "leases"

    metadata: LeaseMeta
    spec: LeaseSpec | None = None
