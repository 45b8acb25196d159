"""Defaults of Ingresses (reference: apiserver §5)."""

from __future__ import annotations

from kcm.sandbox.schema.defaults.parts import Json, part


def default_ingress(ingress: Json) -> None:
    """Fill in an Ingress: no balancer has taken it."""
    part(part(ingress, "status"), "loadBalancer")
