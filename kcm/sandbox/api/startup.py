"""What is there when a cluster starts, and what each new namespace gets.

The system's priority classes; namespaces default, kube-system, kube-public and kube-node-lease;
Service default/kubernetes; in every namespace the service account `default` and the ConfigMap
`kube-root-ca.crt`, made in the same step as the namespace, because clients create pods right after it.
"""

from __future__ import annotations

from kcm.sandbox.api import roles
from kcm.sandbox.api.calls import Call
from kcm.sandbox.api.errors import Json
from kcm.sandbox.api.priorities import GROUP, SYSTEM
from kcm.sandbox.api.records import Record
from kcm.sandbox.api.writes import Writer
from kcm.sandbox.schema.resources import ResourceInfo, find

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
AGENT = "kcm-sandbox"
_NO_CA = "the sandbox has no certificate authority unless it serves TLS\n"


def resource(plural: str, group: str = "", version: str = "v1") -> ResourceInfo:
    """Return a resource that the sandbox cannot do without."""
    info = find(group, version, plural)
    if info is None:
        raise LookupError(f"the schema does not list {plural}.{group}")
    return info


def create(writer: Writer, info: ResourceInfo, namespace: str, obj: Json) -> Record:
    """Create an object in the server's own name."""
    return writer.create(Call(info, "create", namespace, agent=AGENT, validation="Ignore"), obj)


def furnish_namespace(writer: Writer, name: str, ca_pem: str = "") -> None:
    """Give a new namespace its service account and root certificate."""
    accounts, maps = resource("serviceaccounts"), resource("configmaps")
    if f"{name}/default" not in writer.collection(accounts).records:
        create(writer, accounts, name, {"metadata": {"name": "default"}})
    if f"{name}/kube-root-ca.crt" not in writer.collection(maps).records:
        data = {"ca.crt": ca_pem or _known_ca(writer)}
        create(writer, maps, name, {"metadata": {"name": "kube-root-ca.crt"}, "data": data})


def _known_ca(writer: Writer) -> str:
    """Return the certificate that other namespaces have."""
    record = writer.collection(resource("configmaps")).records.get(f"{NAMESPACES[0]}/kube-root-ca.crt")
    return str(record.copy()["data"]["ca.crt"]) if record is not None else _NO_CA


def furnish_cluster(writer: Writer, ca_pem: str = "") -> None:
    """Create what every cluster has, as far as it is not there from an earlier process."""
    roles.furnish(writer, AGENT)
    for name, value in SYSTEM.items():
        if f"/{name}" not in writer.collection(resource("priorityclasses", GROUP)).records:
            create(
                writer, resource("priorityclasses", GROUP), "", {"metadata": {"name": name}, "value": value}
            )
    for name in NAMESPACES:
        present = writer.collection(resource("namespaces")).records.get(f"/{name}")
        if present is None:
            create(writer, resource("namespaces"), "", {"metadata": {"name": name}})
        if present is None or not present.deleting:
            furnish_namespace(writer, name, ca_pem)
    if "default/kubernetes" in writer.collection(resource("services")).records:
        return
    service: Json = {
        "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {
            "clusterIP": "10.96.0.1",
            "clusterIPs": ["10.96.0.1"],
            "type": "ClusterIP",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        },
    }
    create(writer, resource("services"), "default", service)
