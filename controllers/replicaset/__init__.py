"""ReplicaSet: as many pods as were asked for, and a status that says how many there are."""

from controllers.replicaset.controller import ReplicaSetController

__all__ = ["ReplicaSetController"]
