"""The objects that benchmarks make: replica sets, and pods as kubelets leave them."""

from __future__ import annotations

import json
from typing import Any


def template(app: str) -> dict[str, Any]:
    """Return a pod template that no scheduler picks up; a running pod of it has about 1.8 KB."""
    return {
        "metadata": {"labels": {"app": app, "pod-template-hash": "6d4cf56db6"}},
        "spec": {
            "schedulerName": "nobody",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "main",
                    "image": "registry.invalid/team/service:1.27.3",
                    "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
                }
            ],
        },
    }


def replica_set(name: str, replicas: int) -> dict[str, Any]:
    """Return a replica set."""
    pod = template(name)
    selector = {"matchLabels": pod["metadata"]["labels"]}
    spec = {"replicas": replicas, "selector": selector, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name}, "spec": spec}


def pod_body(owner: dict[str, Any], name: str, *, controlled: bool = True) -> bytes:
    """Return the body of the POST that the controller of `owner` would send.

    Not `controlled`, the owner is named but is no controller: nobody adopts or counts the pod.
    """
    made = owner["spec"]["template"]
    reference = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": controlled,
        "blockOwnerDeletion": True,
    }
    metadata = {
        "name": name,
        "generateName": f"{owner['metadata']['name']}-",
        "namespace": owner["metadata"]["namespace"],
        "labels": made["metadata"]["labels"],
        "ownerReferences": [reference],
    }
    whole = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": made["spec"]}
    return json.dumps(whole, separators=(",", ":")).encode()


def running_status(number: int) -> dict[str, Any]:
    """Return the status of a pod that runs and is ready."""
    since = f"2026-01-01T00:{number // 60 % 60:02}:{number % 60:02}Z"
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": since}
        for kind in ("Ready", "ContainersReady", "PodScheduled")
    ]
    container = {
        "name": "main",
        "image": "registry.invalid/team/service:1.27.3",
        "ready": True,
        "started": True,
        "restartCount": 0,
        "lastState": {},
        "state": {"running": {"startedAt": since}},
    }
    return {
        "phase": "Running",
        "hostIP": "192.168.1.7",
        "podIP": address,
        "startTime": since,
        "conditions": conditions,
        "containerStatuses": [container],
    }


def counted_status(replicas: int) -> dict[str, Any]:
    """Return the status that a controller has written for so many ready pods."""
    counts = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    return {**dict.fromkeys(counts, replicas), "terminatingReplicas": 0, "observedGeneration": 1}
