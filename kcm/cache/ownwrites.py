"""What a host did itself and the feed has not confirmed yet, as far as it makes objects absent.

An own write that leaves an object present needs no memory: its state is in the replica, newer
than the position. One that makes it absent does, or a late event would bring it back:
a deletion is remembered by uid until the feed has confirmed it, a write that moved an object
out of the watch's selector by key until the position has passed it. Guarantees: bounded; the
oldest deletion is forgotten first, and then costs at most one object that comes back until its
DELETED event. Owned by one replica.
"""

from __future__ import annotations

from collections.abc import Container

from kcm.objects.resource import Key
from kcm.objects.versions import at_least, newer

MOST_DELETED = 16384


class OwnWrites:
    """Deletions and departures that are ahead of the feed."""

    def __init__(self) -> None:
        self._deleted: dict[str, str] = {}
        self._undated: set[str] = set()
        self._left: dict[Key, str] = {}

    def __len__(self) -> int:
        return len(self._deleted) + len(self._left)

    @property
    def undated(self) -> int:
        """Return how many deletions of unknown resourceVersion the feed has not confirmed."""
        return len(self._undated)

    def delete(self, uid: str, known: str, dated: bool = False) -> None:
        """Remember that the server deleted `uid`, last known at resourceVersion `known` ("" if never).

        `dated`: `known` is the resourceVersion of the deletion itself.
        """
        self._deleted[uid] = known
        if not dated:
            self._undated.add(uid)
        if len(self._deleted) > MOST_DELETED:
            self.confirm(next(iter(self._deleted)))

    def leave(self, key: Key, version: str) -> None:
        """Remember that the write of `version` moved the object out of the selector."""
        if newer(version, self._left.get(key, "")):
            self._left[key] = version

    def hide(self, key: Key, uid: str, version: str) -> bool:
        """Say whether a state of an object must stay out of sight."""
        return uid in self._deleted or (bool(self._left) and at_least(self._left.get(key, ""), version))

    def confirm(self, uid: str) -> None:
        """The feed has delivered the deletion: nothing of that uid can follow."""
        self._deleted.pop(uid, None)
        self._undated.discard(uid)

    def reach(self, version: str) -> None:
        """The position is `version`: departures up to it are history."""
        if self._left:
            self._left = {key: left for key, left in self._left.items() if newer(left, version)}

    def replace(self, version: str, listed: Container[str]) -> None:
        """A list as of `version` came: forget what it proves to be past.

        A uid that existed at `known`, before the list, and is not in it, cannot come again.
        """
        self._deleted = {
            uid: known
            for uid, known in self._deleted.items()
            if uid in listed or not known or newer(known, version)
        }
        self._undated &= self._deleted.keys()
        self.reach(version)

    def clear(self) -> None:
        """The server's state went back in time: what was done may be undone."""
        self._deleted.clear()
        self._undated.clear()
        self._left.clear()
