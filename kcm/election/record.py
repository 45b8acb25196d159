"""What a Lease says, bounded: the holder's record, and what a leader hands over to the next.

Everything here comes from outside and may be missing, null, huge or forged; what leaves this module
is bounded and never raises. A `Handover` travels as JSON in an annotation of the Lease, so that it
is written in the same request, under the same resourceVersion, as the renewal that it belongs to.
Values and pure functions; owns nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from kcm.election.settings import LONGEST_LEASE
from kcm.objects.leases import Lease, LeaseSpec
from kcm.objects.metadata import Spec
from kcm.objects.versions import newer, well_formed

_LONGEST_NAME = 253
_MOST_RESOURCES = 64
_LONGEST_HANDOVER = 32 * 1024
_MOST_TRANSITIONS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Record:
    """The part of a Lease's spec that a change of means: its holder is alive.

    `duration` is seconds, 0 when missing or senseless; the times are the text that was written.
    """

    holder: str = ""
    duration: int = 0
    acquired: str = ""
    renewed: str = ""
    transitions: int = 0

    def next_transitions(self) -> int:
        """Return the count after a take-over."""
        return min(self.transitions + 1, _MOST_TRANSITIONS)


class Handover(Spec, frozen=True):
    """The newest resourceVersion that leaders have written, per resource.

    `complete`: the last of them had ended all its work when it wrote this, so nothing is missing.
    """

    complete: bool = False
    versions: Mapping[str, str] = {}

    def merged(self, versions: Mapping[str, str]) -> Handover:
        """Return it with newer versions in place of older ones, still bounded, not complete."""
        merged = dict(self.versions)
        for resource, version in versions.items():
            if newer(version, merged.get(resource, "")):
                merged[resource] = version
        return Handover(versions=merged)

    def finished(self) -> Handover:
        """Return it as complete, unless there is more than a Lease should carry."""
        return Handover(complete=_bounded(self.versions), versions=self.versions)


@dataclass(frozen=True, slots=True)
class Found:
    """A Lease as a request or a watch showed it."""

    record: Record
    version: str
    uid: str = ""
    handover: str = ""


def found(lease: Lease) -> Found:
    """Return what the election reads of a decoded Lease."""
    notes = lease.metadata.annotations
    handover = notes.last_writes if notes else ""
    return Found(
        record=_record(lease.spec or LeaseSpec()),
        version=lease.metadata.resource_version[:_LONGEST_NAME],
        uid=lease.metadata.uid[:_LONGEST_NAME],
        handover=handover if len(handover) <= _LONGEST_HANDOVER else "",
    )


def spec_of(record: Record) -> dict[str, object]:
    """Return the spec to write, by wire names: every field, so that forged ones are healed."""
    return {
        "holderIdentity": record.holder,
        "leaseDurationSeconds": record.duration,
        "acquireTime": record.acquired,
        "renewTime": record.renewed,
        "leaseTransitions": record.transitions,
    }


def handover_text(handover: Handover) -> str:
    """Return the annotation's text. Past the bound resources are left out and it is not complete."""
    if _bounded(handover.versions):
        return msgspec.json.encode(handover).decode()
    kept = {name: version for name, version in handover.versions.items() if _sound(name, version)}
    return msgspec.json.encode(Handover(versions=dict(sorted(kept.items())[:_MOST_RESOURCES]))).decode()


def parse_handover(text: str) -> Handover:
    """Return what a predecessor left; an empty, incomplete one when the text is not ours."""
    if not text or len(text) > _LONGEST_HANDOVER:
        return Handover()
    try:
        handover = msgspec.json.decode(text, type=Handover)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Handover()
    return handover if _bounded(handover.versions) else Handover()


def _record(spec: LeaseSpec) -> Record:
    return Record(
        holder=(spec.holder_identity or "")[: 4 * _LONGEST_NAME],
        duration=min(max(spec.lease_duration_seconds or 0, 0), LONGEST_LEASE),
        acquired=(spec.acquire_time or "")[:_LONGEST_NAME],
        renewed=(spec.renew_time or "")[:_LONGEST_NAME],
        transitions=min(max(spec.lease_transitions or 0, 0), _MOST_TRANSITIONS),
    )


def _bounded(versions: Mapping[str, str]) -> bool:
    return len(versions) <= _MOST_RESOURCES and all(_sound(*item) for item in versions.items())


def _sound(resource: str, version: str) -> bool:
    return 0 < len(resource) <= _LONGEST_NAME and well_formed(version)
