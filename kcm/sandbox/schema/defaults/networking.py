"""Defaults of Ingresses and NetworkPolicies (reference: apiserver §5)."""

from __future__ import annotations

from kcm.sandbox.schema.defaults.parts import Json, part


def default_ingress(ingress: Json) -> None:
    """Fill in an Ingress: no balancer has taken it."""
    part(part(ingress, "status"), "loadBalancer")


def default_network_policy(policy: Json) -> None:
    """Fill in a NetworkPolicy: which directions it is about, and TCP where a port names no protocol."""
    spec = part(policy, "spec")
    part(spec, "podSelector")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    for rule in (*(spec.get("ingress") or ()), *(spec.get("egress") or ())):
        for port in rule.get("ports") or ():
            port.setdefault("protocol", "TCP")
