"""Leader election on a Lease, with a deadline that fences the leader's writes."""

from kcm.election.access import ApiLease, LeaseAccess, Outdated
from kcm.election.elector import Elector, Follower, Standing
from kcm.election.metrics import ElectionMetrics
from kcm.election.record import Handover
from kcm.election.settings import ElectionSettings
from kcm.election.states import Term

__all__ = [
    "ApiLease",
    "ElectionMetrics",
    "ElectionSettings",
    "Elector",
    "Follower",
    "Handover",
    "LeaseAccess",
    "Outdated",
    "Standing",
    "Term",
]
