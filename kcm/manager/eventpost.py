"""Events between hosts: from those whose controllers emit to those whose controllers hear.

Every host that hears has a mailbox, which survives the host: what is emitted while a recorder is
restarted, or before it leads, waits there. Records are bytes here and nothing looks into them, so
a rubbish one harms nobody. Guarantees: `take` never waits; a mailbox is bounded in number and
bytes, and what does not fit is dropped and counted; each mailbox has the order in which records
came. Until every host has said whether it hears, records wait too; if none does, they are
dropped, counted, and that is logged once. Owns the mailboxes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from kcm.cache.feed import Outlet
from kcm.host.messages import Hear
from kcm.runtime.events import BATCH, LARGEST_RECORD, dropped_events
from kcm.telemetry.logging import logger
from kcm.telemetry.metrics import Metrics

MOST_RECORDS = 4096
MOST_BYTES = 4 * 1024 * 1024

log = logger("manager.events")


class Mailbox:
    """What waits for one host, and where to send it while that host leads."""

    def __init__(self) -> None:
        self._records: deque[bytes] = deque()
        self._bytes = 0
        self._outlet: Outlet | None = None

    def __len__(self) -> int:
        return len(self._records)

    def __bool__(self) -> bool:
        return True

    def copy(self) -> Mailbox:
        """Return a mailbox with the same records and no outlet."""
        other = Mailbox()
        other._records, other._bytes = self._records.copy(), self._bytes
        return other

    def put(self, record: bytes) -> bool:
        """Take a record; False when the mailbox is full."""
        if len(self._records) >= MOST_RECORDS or self._bytes + len(record) > MOST_BYTES:
            return False
        self._records.append(record)
        self._bytes += len(record)
        return True

    def open(self, outlet: Outlet) -> None:
        """The host leads: send what there is, and what comes."""
        self._outlet = outlet
        self.send()

    def close(self) -> None:
        """The host is gone; keep what comes."""
        self._outlet = None

    def send(self, *, all_of_it: bool = False) -> None:
        """Send while the host reads; with `all_of_it`, to a host about to stop, whether it reads or not."""
        outlet = self._outlet
        while self._records and outlet is not None:
            if outlet.congested and not all_of_it:
                outlet.when_clear(self.send)
                return
            batch = [self._records.popleft() for _ in range(min(BATCH, len(self._records)))]
            self._bytes -= sum(map(len, batch))
            outlet.send(msgspec.json.encode(Hear(tuple(map(msgspec.Raw, batch)))))


class EventPost:
    """The mailboxes. `hosts` are the names of all that may hear."""

    def __init__(self, hosts: Iterable[str], metrics: Metrics) -> None:
        self._unheard = set(hosts)
        self._mailboxes: dict[str, Mailbox] = {}
        # What came before it is known who hears; afterwards nothing is put here any more.
        self._early: Mailbox = Mailbox()
        self._told = False
        dropped = dropped_events(metrics)
        reasons = ("no-recorder", "full", "unreadable")
        self._dropped = {reason: dropped.labels("kcm", reason) for reason in reasons}
        waiting = metrics.gauge("kcm_events_undelivered", "Events that wait for a host that hears them.")
        waiting.set_function(lambda: sum(map(len, self._mailboxes.values())))

    def take(self, records: Sequence[bytes]) -> None:
        """Take records from a host, or the manager's own."""
        boxes = list(self._mailboxes.values())
        if self._unheard:
            boxes.append(self._early)
        if not boxes:
            self._give_up(len(records))
            return
        for record in records:
            if len(record) > LARGEST_RECORD:
                self._dropped["unreadable"].inc()
                continue
            for box in boxes:
                if not box.put(record):
                    self._dropped["full"].inc()
        for box in boxes:
            box.send()

    def declared(self, host: str, hears: bool) -> None:
        """A host has said whether it hears, or never will say."""
        if hears and host not in self._mailboxes:
            self._mailboxes[host] = self._early.copy()
        elif not hears:
            # It did before a reload: nobody would ever empty its mailbox.
            self._mailboxes.pop(host, None)
        if host in self._unheard:
            self._unheard.discard(host)
            if not self._unheard:
                early, self._early = self._early, Mailbox()
                if not self._mailboxes and len(early):
                    self._give_up(len(early))

    def forget(self, host: str) -> None:
        """A host was taken away for good: nothing waits for it any more."""
        self.declared(host, False)

    def open(self, host: str, outlet: Outlet) -> None:
        """A host leads: if it hears, it is sent what waits for it."""
        if box := self._mailboxes.get(host):
            box.open(outlet)

    def flush(self, host: str) -> None:
        """A host will be asked to stop: send all that waits for it."""
        if box := self._mailboxes.get(host):
            box.send(all_of_it=True)

    def close(self, host: str) -> None:
        """A host is gone."""
        if box := self._mailboxes.get(host):
            box.close()

    def hears(self, host: str) -> bool:
        """Say whether a host hears events, as far as it has said."""
        return host in self._mailboxes

    def _give_up(self, records: int) -> None:
        self._dropped["no-recorder"].inc(records)
        if not self._told:
            self._told = True
            log.warning("events are dropped: no controller hears them", missing="eventrecorder")
