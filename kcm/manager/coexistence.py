"""Is somebody else doing our work? kcm beside kube-controller-manager.

Two managers of the same controllers fight over every object. So kcm looks for kube-controller-manager
before it starts, and again before it leads: at its Lease, and at who wrote the status of what the
enabled controllers manage. Guarantees: what is found is said with the evidence and with the flags
that turn exactly these controllers off over there; nothing is written. Does not see a manager that
neither holds that Lease nor has written a status in the last two minutes, and cannot tell from outside
which controllers a manager that holds the Lease runs: whoever turned them off says so with
--takeover. Where the Lease may not be read, a warning says so and the statuses alone decide. Owns
what it saw last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from kcm.base.clock import Clock
from kcm.base.errors import ConfigurationError, KcmError
from kcm.base.timestamps import parse_time
from kcm.client.api import ApiClient
from kcm.client.errors import Forbidden, NotFound
from kcm.config.aliases import WELL_KNOWN
from kcm.config.schema import Configuration
from kcm.objects.autoscalers import HorizontalPodAutoscaler
from kcm.objects.deployments import Deployment
from kcm.objects.leases import Lease, LeaseSpec
from kcm.objects.metadata import Spec
from kcm.objects.replicasets import ReplicaSet
from kcm.objects.resource import Key, Resource, ResourceType
from kcm.telemetry.logging import logger

OTHER = "kube-controller-manager"
LEASE = Key("kube-system", OTHER)
# A status that was written by the other within so many seconds means that it works.
RECENT_SECONDS = 120.0
# A Lease that looks old by our clock is looked at twice: a live holder renews it every other second.
SECOND_LOOK_SECONDS = 4.0
LOOK_AGAIN_SECONDS = 10.0
LONGEST_LOOK_SECONDS = 12.0
LOOKED_AT = 50
TRIES = 3

_TYPES: Mapping[str, type[Resource[Any]]] = {
    "replicaset-controller": ReplicaSet,
    "deployment-controller": Deployment,
    "horizontal-pod-autoscaler-controller": HorizontalPodAutoscaler,
}

log = logger("manager.coexistence")


class _Writer(Spec, frozen=True):
    manager: str | None = None
    subresource: str | None = None
    time: str | None = None


class _Meta(Spec, frozen=True):
    name: str = ""
    namespace: str = ""
    managed_fields: tuple[_Writer, ...] | None = None


class _Item(Spec, frozen=True):
    metadata: _Meta = _Meta()


class _List(Spec, frozen=True):
    items: tuple[_Item, ...] | None = None


_lease_decoder = msgspec.json.Decoder(Lease)
_list_decoder = msgspec.json.Decoder(_List)


def counterparts(controllers: Iterable[str]) -> tuple[str, ...]:
    """Return the names by which kube-controller-manager knows those of these controllers that it has."""
    wanted = set(controllers)
    return tuple(full for full, short in WELL_KNOWN.items() if not wanted.isdisjoint((full, *short)))


def concerns(configuration: Configuration, controllers: Iterable[str]) -> bool:
    """Say whether there is anything to look for.

    Not when kcm takes part in kube-controller-manager's own election: there one leads at a time.
    """
    election = configuration.leader_election
    same = election.enabled and Key(election.resource_namespace, election.resource_name) == LEASE
    ignored = configuration.coexistence.other_manager == "ignore"
    return not same and not ignored and bool(counterparts(controllers))


class Lookout:
    """Looks for the other manager. `reason` is why we wait for it now, "" when we do not."""

    def __init__(self, client: ApiClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._seen: LeaseSpec | None = None
        self._said: set[str] = set()
        self.reason = ""

    async def refuse(self, controllers: Iterable[str], tries: int = TRIES) -> None:
        """Return when nobody else runs these; ConfigurationError, with what to do, when somebody does.

        A server that cannot be asked is no obstacle after so many `tries`: without it nobody leads.
        """
        names = counterparts(controllers)
        if reason := await self._look(names, tries):
            raise ConfigurationError(OTHER, "", f"{reason}. {_advice(names)}")

    async def wait(self, controllers: Iterable[str]) -> None:
        """Return when nobody else runs these; until then look again and again."""
        names = counterparts(controllers)
        while reason := await self._look(names, TRIES):
            if not self.reason:
                log.warning("waiting for the other manager to let go", reason=reason, do=_advice(names))
            self.reason = reason
            await self._clock.sleep(LOOK_AGAIN_SECONDS)
        self.reason = ""

    async def _look(self, names: Iterable[str], tries: int) -> str:
        """Return the evidence that the other manager works, "" for none; bounded: somebody has to lead."""
        try:
            async with asyncio.timeout(LONGEST_LOOK_SECONDS):
                return await self._tried(names, tries)
        except TimeoutError:
            log.warning("looking for another manager took too long, going on", seconds=LONGEST_LOOK_SECONDS)
            return ""

    async def _tried(self, names: Iterable[str], tries: int) -> str:
        for left in reversed(range(tries)):
            try:
                evidence = [each for each in (await self._lease(), await self._statuses(names)) if each]
            except KcmError as error:
                log.info("cannot look for another manager", error=str(error), tries_left=left)
                if left:
                    await self._clock.sleep(1.0)
            else:
                return "it manages the same controllers: " + "; ".join(evidence) if evidence else ""
        return ""

    async def _lease(self) -> str:
        spec = await self._read_lease()
        if spec is None or not spec.holder_identity:
            return ""
        duration = float(spec.lease_duration_seconds or 15)
        renewed = _moment(spec.renew_time)
        age = (self._clock.wall() - renewed).total_seconds() if renewed else None
        # The clocks may differ by as much either way.
        if (age is None or abs(age) > 2 * duration) and not await self._is_renewed(spec):
            return ""
        return f"its Lease {LEASE} is held by {spec.holder_identity[:128]}, renewed {_ago(age)}"

    async def _is_renewed(self, spec: LeaseSpec) -> bool:
        """Say whether a Lease that looks old changes after all: its holder's clock may be far off ours."""
        before, self._seen = self._seen, spec
        if before is not None:
            return before != spec
        await self._clock.sleep(SECOND_LOOK_SECONDS)
        self._seen = await self._read_lease()
        return self._seen is not None and self._seen != spec

    async def _read_lease(self) -> LeaseSpec | None:
        try:
            return _lease_decoder.decode(await self._client.get(Lease.resource_type(), LEASE)).spec
        except NotFound:
            return None
        except Forbidden:
            self._say_once(
                f"leases {LEASE}",
                f"may not read the Lease {LEASE}: whether {OTHER} runs is told by the statuses alone; "
                "allow get on it, or start with --takeover",
            )
            return None
        except (ValueError, RecursionError) as error:
            raise KcmError(f"the Lease {LEASE} cannot be read: {error}") from error

    async def _statuses(self, names: Iterable[str]) -> str:
        for type_ in (_TYPES[name] for name in names if name in _TYPES):
            if evidence := await self._status_of(type_.kind, type_.resource_type()):
                return evidence
        return ""

    async def _status_of(self, kind: str, resource: ResourceType) -> str:
        try:
            page = await self._client.list_page(resource, limit=LOOKED_AT, metadata_only=True)
            items = _list_decoder.decode(page).items or ()
        except (Forbidden, NotFound):
            return ""
        except (ValueError, RecursionError) as error:
            raise KcmError(f"the list of {resource} cannot be read: {error}") from error
        now = self._clock.wall()
        for item in items:
            age = _status_age(item.metadata, now)
            if age is not None and abs(age) <= RECENT_SECONDS:
                key = Key(item.metadata.namespace, item.metadata.name)
                return f"it wrote the status of {kind} {key} {_ago(age)}"
        return ""

    def _say_once(self, what: str, text: str) -> None:
        if what not in self._said:
            self._said.add(what)
            log.warning(text)


def _advice(names: Iterable[str]) -> str:
    flag = "--controllers=" + ",".join(("*", *(f"-{name}" for name in names)))
    return (
        f"Start it with {flag} and then kcm with --takeover, which is coexistence.otherManager: ignore; "
        f"or let both take part in one election, with leaderElection.resourceName: {OTHER}"
    )


def _moment(text: str | None) -> datetime | None:
    try:
        return parse_time(text or "")
    except ValueError:
        return None


def _status_age(metadata: _Meta, now: datetime) -> float | None:
    """Return how many seconds ago the other manager wrote the status, None if it did not."""
    ages = [
        (now - moment).total_seconds()
        for writer in metadata.managed_fields or ()
        if writer.manager == OTHER and writer.subresource == "status"
        if (moment := _moment(writer.time)) is not None
    ]
    return min(ages, default=None)


def _ago(age: float | None) -> str:
    return "at an unknown time" if age is None else f"{max(age, 0.0):.0f} s ago"
