"""Defaults of PersistentVolumeClaims and PersistentVolumes, which nobody binds (reference: apiserver §5)."""

from __future__ import annotations

from kcm.sandbox.schema.defaults.parts import Json, part, present


def default_claim(claim: Json) -> None:
    """Fill in a PersistentVolumeClaim: it waits."""
    part(claim, "spec").setdefault("volumeMode", "Filesystem")
    part(claim, "status").setdefault("phase", "Pending")


def default_volume(volume: Json) -> None:
    """Fill in a PersistentVolume: made by hand, it is kept when it is released."""
    spec = part(volume, "spec")
    spec["persistentVolumeReclaimPolicy"] = spec.get("persistentVolumeReclaimPolicy") or "Retain"
    spec.setdefault("volumeMode", "Filesystem")
    host_path = present(spec, "hostPath")
    if host_path is not None:
        host_path.setdefault("type", "")
    part(volume, "status").setdefault("phase", "Pending")
