"""The garbage collector: what nobody owns any more is deleted."""

from controllers.garbagecollector.controller import GarbageCollectorController

__all__ = ["GarbageCollectorController"]
