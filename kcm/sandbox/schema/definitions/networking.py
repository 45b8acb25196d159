"""Fields of the group networking.k8s.io.

Data in the language of `kcm.sandbox.schema.fields`: OpenAPI package, type, fields. Facts of the
Kubernetes API (names, field numbers, types, list keys), no prose.
"""

from __future__ import annotations

from collections.abc import Mapping

PACKAGES: Mapping[str, Mapping[str, str]] = {
    "io.k8s.api.networking.v1": {
        "Ingress": "object; spec 2 IngressSpec; status 3 IngressStatus",
        "IngressSpec": """
            defaultBackend 1 IngressBackend; ingressClassName? 4 string; rules 3 [IngressRule];
            tls 2 [IngressTLS]
        """,
        "IngressBackend": "resource 3 TypedLocalObjectReference; service 4 IngressServiceBackend",
        "IngressServiceBackend": "name! 1 string; port 2 ServiceBackendPort",
        "ServiceBackendPort": "name 1 string; number 2 int",
        "IngressRule": "host 1 string; http 2.1 HTTPIngressRuleValue",
        "HTTPIngressRuleValue": "paths! 1 [HTTPIngressPath]",
        "HTTPIngressPath": "backend! 2 IngressBackend; path 1 string; pathType? 3 string",
        "IngressTLS": "hosts 1 [string]; secretName 2 string",
        "IngressStatus": "loadBalancer 1 IngressLoadBalancerStatus",
        "IngressLoadBalancerStatus": "ingress 1 [IngressLoadBalancerIngress]",
        "IngressLoadBalancerIngress": "hostname 2 string; ip 1 string; ports 4 [IngressPortStatus]",
        "IngressPortStatus": "error? 3 string; port! 1 int; protocol! 2 string",
        "NetworkPolicy": "object; spec 2 NetworkPolicySpec",
        "NetworkPolicySpec": """
            egress 3 [NetworkPolicyEgressRule]; ingress 2 [NetworkPolicyIngressRule];
            podSelector 1 LabelSelector; policyTypes 4 [string]
        """,
        "NetworkPolicyIngressRule": "from 2 [NetworkPolicyPeer]; ports 1 [NetworkPolicyPort]",
        "NetworkPolicyEgressRule": "ports 1 [NetworkPolicyPort]; to 2 [NetworkPolicyPeer]",
        "NetworkPolicyPort": "endPort? 3 int; port? 2 intOrString; protocol? 1 string",
        "NetworkPolicyPeer": """
            ipBlock 3 IPBlock; namespaceSelector 2 LabelSelector; podSelector 1 LabelSelector
        """,
        "IPBlock": "cidr! 1 string; except 2 [string]",
    },
}
