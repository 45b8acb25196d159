"""Addresses and node ports of Services: given out at creation, kept, taken back with the type.

Nothing routes to them; clients only expect them to be there, unique, and to stay (reference: apiserver
§5, Immutable). Guarantees: a client may name an address that is free; an update that leaves out what
was allocated keeps it. Owns only where to look next: what is in use is read from the store.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, ip_address
from typing import Any

from kcm.sandbox.api.errors import ApiFailure, Json, cause, invalid
from kcm.sandbox.api.store import Collection, Store
from kcm.sandbox.schema.resources import ResourceInfo

NETWORK = IPv4Network("10.96.0.0/12")
_FIRST_ADDRESS, _FIRST_PORT, _LAST_PORT = 10, 30_000, 32_767
_WITH_PORTS = frozenset(("NodePort", "LoadBalancer"))
_OF_ADDRESS = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy")
_OF_PORTS = ("externalTrafficPolicy", "allocateLoadBalancerNodePorts", "healthCheckNodePort")


class ServiceAddresses:
    """Gives Services what a cluster allocates for them."""

    def __init__(self, store: Store) -> None:
        self._services: Collection = store.collection("", "services")
        self._next_address = _FIRST_ADDRESS
        self._next_port = _FIRST_PORT

    def allot(self, resource: ResourceInfo, service: Json) -> None:
        """Give a new Service, or one that becomes another type, what it lacks; 422 for what is taken."""
        spec = service["spec"]
        if spec.get("type") == "ExternalName":
            return
        name = str(service["metadata"].get("name", ""))
        wanted = spec.get("clusterIP") or ""
        chosen = spec.get("clusterIPs") or ([wanted] if wanted else [])
        if chosen and chosen[0] != wanted:
            raise _refused(resource, name, "spec.clusterIPs", chosen, "first value must match `clusterIP`")
        if wanted and wanted != "None":
            self._claim(resource, name, wanted)
        spec["clusterIP"] = wanted or self._free_address()
        spec["clusterIPs"] = chosen or [spec["clusterIP"]]
        self._allot_ports(resource, name, spec)

    def keep(self, resource: ResourceInfo, new: Json, old: Json) -> None:
        """Carry over to an updated Service what was allocated and is not spoken of; allot what is new."""
        now, before = new["spec"], old.get("spec") or {}
        if now.get("type") == "ExternalName":
            for field in (*_OF_ADDRESS, *_OF_PORTS):
                now.pop(field, None)
            _drop_ports(now, before)
            return
        if before.get("type") == "ExternalName":
            self.allot(resource, new)
            return
        if not now.get("clusterIP"):
            for field in ("clusterIP", "clusterIPs"):
                if field in before:
                    now[field] = before[field]
        elif now["clusterIP"] != before.get("clusterIP") and now.get("clusterIPs") == before.get(
            "clusterIPs"
        ):
            now["clusterIPs"] = [now["clusterIP"]]
        elif (chosen := now.get("clusterIPs") or [now["clusterIP"]])[0] != now["clusterIP"]:
            name = str(new["metadata"].get("name", ""))
            raise _refused(resource, name, "spec.clusterIPs", chosen, "first value must match `clusterIP`")
        if now.get("type") in _WITH_PORTS:
            known = {_port_key(port): port.get("nodePort") for port in before.get("ports") or ()}
            for port in now.get("ports") or ():
                if not port.get("nodePort") and known.get(_port_key(port)):
                    port["nodePort"] = known[_port_key(port)]
            self._allot_ports(resource, str(new["metadata"].get("name", "")), now, before)
        elif before.get("type") in _WITH_PORTS:
            for field in _OF_PORTS:
                now.pop(field, None)
            _drop_ports(now, before)

    def _claim(self, resource: ResourceInfo, name: str, address: str) -> None:
        try:
            parsed = ip_address(address)
        except ValueError:
            why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
            raise _refused(resource, name, "spec.clusterIPs[0]", address, why) from None
        why = ""
        if parsed not in NETWORK:
            why = "the provided network does not match the current range"
        elif address in self._addresses():
            why = "provided IP is already allocated"
        if why:
            why = f"failed to allocate IP {address}: {why}"
            raise _refused(resource, name, "spec.clusterIPs", [address], why)

    def _addresses(self) -> set[str]:
        index = self._services.field_names.index("spec.clusterIP")
        return {record.fields[index] for record in self._services.records.values()}

    def _free_address(self) -> str:
        used = self._addresses()
        while (address := str(NETWORK[self._next_address])) in used:
            self._next_address = self._next_address % (NETWORK.num_addresses - 2) + 1
        self._next_address = self._next_address % (NETWORK.num_addresses - 2) + 1
        return address

    def _allot_ports(self, resource: ResourceInfo, name: str, spec: Json, before: Json | None = None) -> None:
        if spec.get("type") not in _WITH_PORTS or spec.get("allocateLoadBalancerNodePorts") is False:
            return
        own = set(_node_ports((before or {}).get("ports") or ()))
        used = self._ports() - own
        for index, port in enumerate(spec.get("ports") or ()):
            wanted = port.get("nodePort")
            if wanted in used:
                why = "provided port is already allocated"
                raise _refused(resource, name, f"spec.ports[{index}].nodePort", wanted, why)
        used |= own | set(_node_ports(spec.get("ports") or ()))
        for port in spec.get("ports") or ():
            if not port.get("nodePort"):
                port["nodePort"] = self._free_port(resource, name, used)
                used.add(port["nodePort"])

    def _ports(self) -> set[int]:
        index = self._services.field_names.index("spec.type")
        found = [record for record in self._services.records.values() if record.fields[index] in _WITH_PORTS]
        return {
            number for record in found for number in _node_ports(record.copy()["spec"].get("ports") or ())
        }

    def _free_port(self, resource: ResourceInfo, name: str, used: set[int]) -> int:
        for _ in range(_FIRST_PORT, _LAST_PORT + 1):
            number = self._next_port
            self._next_port = _FIRST_PORT if number == _LAST_PORT else number + 1
            if number not in used:
                return number
        raise _refused(
            resource, name, "spec.ports[0].nodePort", 0, "failed to allocate a nodePort: range is full"
        )


def _node_ports(ports: Iterable[Json]) -> list[int]:
    return [port["nodePort"] for port in ports if port.get("nodePort")]


def _port_key(port: Json) -> tuple[Any, Any]:
    return port.get("port"), port.get("protocol") or "TCP"


def _drop_ports(now: Json, before: Json) -> None:
    """Take back the node ports that a Service had; one that the client names anew is its own business."""
    had = set(_node_ports(before.get("ports") or ()))
    for port in now.get("ports") or ():
        if port.get("nodePort") in had:
            del port["nodePort"]


def _refused(resource: ResourceInfo, name: str, field: str, value: Any, why: str) -> ApiFailure:
    shown = (
        value
        if isinstance(value, int)
        else str(value).replace("'", '"')
        if isinstance(value, list)
        else f'"{value}"'
    )
    return invalid(resource, name, (cause(field, f"Invalid value: {shown}: {why}", "FieldValueInvalid"),))
