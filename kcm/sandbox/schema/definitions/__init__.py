"""The field definitions of every type that the sandbox knows, one module per area."""

from __future__ import annotations

from kcm.sandbox.schema.definitions import (
    access,
    cluster,
    extensions,
    metadata,
    networking,
    pods,
    policies,
    volumes,
    workloads,
)

MODULES = (metadata, volumes, pods, cluster, workloads, policies, networking, access, extensions)
