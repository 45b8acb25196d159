"""What winning, keeping and losing the Lease means for the hosts.

Implements the elector's follower. Guarantees: hosts learn of every new deadline at once; after
`deposed` returns no process of ours can write: on a request to stop the hosts ended by
themselves within their grace, on a loss they were killed and reaped. Owns nothing but the term.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec

from kcm.election.elector import Standing
from kcm.election.record import Handover
from kcm.election.states import Term
from kcm.manager.hosts import HostSupervisor
from kcm.objects.events import ObjectReference
from kcm.objects.versions import newer
from kcm.runtime.applier import EventSink
from kcm.runtime.plan import Emit

# JSON has no infinity; this is thirty million years of boot time.
FOR_EVER = 1e15
# What the hosts that hear events get to write what is left, even when others used up all grace.
LAST_WORDS_SECONDS = 2.0


class Leadership:
    """Passes the Lease's fortunes on to the hosts."""

    def __init__(
        self,
        hosts: Sequence[HostSupervisor],
        stop_grace: float,
        lease: ObjectReference,
        events: EventSink,
        flush: Callable[[], None] = lambda: None,
    ) -> None:
        self._hosts = hosts
        self._stop_grace = stop_grace
        self._lease = lease
        self._events = events
        self._flush = flush
        self.term: Term | None = None
        self.stopping = False
        self.silent = False
        self.ask_first: Callable[[], None] | None = None
        self._held: Mapping[str, str] | None = None
        self._holding = False
        self._deadline = 0.0
        self._departed: dict[str, str] = {}
        self._departed_unsure = False

    def elected(self, term: Term) -> None:
        """Promote every host as soon as it is fresh; with `ask_first`, not before `cleared`."""
        self.term = term
        self._tell(term, "became leader")
        self._deadline = term.deadline
        self._departed, self._departed_unsure = {}, False
        handover = term.last_writes.versions if term.graceful else None
        if self.ask_first is not None:
            self._holding, self._held = True, handover
            self.ask_first()
            return
        self._lead(handover)

    def renewed(self, deadline: float) -> None:
        """Move every fence."""
        self._deadline = deadline
        if self._holding:
            return
        for host in self._hosts:
            host.renew(deadline)

    def cleared(self) -> None:
        """Nobody else does the work: what was held back since the election may begin."""
        if self._holding:
            self._holding = False
            self._lead(self._held)

    def _lead(self, handover: Mapping[str, str] | None) -> None:
        for host in self._hosts:
            host.lead(self._deadline, handover)

    def joined(self, host: HostSupervisor) -> None:
        """A host was added while the daemon runs: it leads with the others, once it is fresh."""
        if self.term is not None and not self.stopping and not self._holding:
            host.lead(self._deadline, None)

    def left(self, host: HostSupervisor) -> None:
        """A host was taken away for good, and has ended: remember what it wrote in this term."""
        if self.term is None:
            return
        self._departed_unsure = self._departed_unsure or not host.vouches
        _keep_newest(self._departed, host.last_writes)

    async def deposed(self, reason: str) -> None:
        """Return when no host of ours can write any more."""
        self._holding = False
        if self.term is not None:
            self._tell(self.term, "stopped leading")
        self.term = None
        self._flush()
        if self.stopping:
            await self._stop()
            return
        for host in self._hosts:
            host.stand_down()
        await _until_silent(self._hosts)

    async def _stop(self) -> None:
        """Stop the hosts; those that hear events last, so that they can tell what the others still told.

        All have one grace together, but the last always a moment of it.
        """
        time = asyncio.get_running_loop().time
        end = time() + self._stop_grace
        emitting = [host for host in self._hosts if not host.hears]
        hearing = [host for host in self._hosts if host.hears]
        for hosts in (emitting, hearing):
            grace = max(end - time(), min(self._stop_grace, LAST_WORDS_SECONDS))
            for host in hosts:
                host.stop(grace)
            await _until_silent(hosts)

    def _tell(self, term: Term, what: str) -> None:
        """Tell it on the Lease, as every Kubernetes leader does (reference: runtime §5)."""
        if self.silent:
            return
        about = msgspec.structs.replace(self._lease, uid=term.uid, resource_version=term.version)
        self._events.emit(Emit(about, "Normal", "LeaderElection", f"{term.identity} {what}"))

    def last_writes(self) -> Mapping[str, str] | None:
        """Return the newest resourceVersion that any host wrote, by resource, for the successor.

        None while some host has not passed its barrier: then nobody can vouch for what was before.
        """
        if self._departed_unsure or not all(host.vouches for host in self._hosts):
            return None
        newest = dict(self._departed)
        for host in self._hosts:
            _keep_newest(newest, host.last_writes)
        return newest


async def _until_silent(hosts: Sequence[HostSupervisor]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for host in hosts:
            tasks.create_task(host.wait_until_not_leading())


def _keep_newest(newest: dict[str, str], versions: Mapping[str, str]) -> None:
    for resource, version in versions.items():
        if newer(version, newest.get(resource, "")):
            newest[resource] = version


class Solo:
    """Stands in for the elector where there is no election: leads at once, for as long as it runs."""

    def __init__(self, identity: str) -> None:
        self._identity = identity
        self._resigned = asyncio.Event()
        self._ended = asyncio.Event()

    async def run(self, leadership: Leadership) -> None:
        """Lead until told to resign."""
        leadership.elected(Term(self._identity, "", FOR_EVER, False, Handover(), 0, "", ""))
        await self._resigned.wait()
        await leadership.deposed("asked to stop")
        self._ended.set()

    async def resign(self) -> None:
        """End the work and return when it has ended."""
        self._resigned.set()
        await self._ended.wait()

    def standing(self) -> Standing:
        """Return that this process leads."""
        return Standing(self._identity, not self._resigned.is_set(), self._identity, 0, FOR_EVER, ())
