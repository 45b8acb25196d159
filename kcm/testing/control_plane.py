"""A control plane of a test's own: a Kubernetes API server on a free loopback port, in milliseconds.

    with ControlPlane() as cluster:
        cluster.create({"apiVersion": "apps/v1", "kind": "Deployment", ...})
        cluster.wait_for_deployment("web")

All methods may be called from plain (synchronous) tests, and from any thread. Any client works on
`url` or `kubeconfig`. Guarantees: each control plane is alone with its objects; when the `with`
ends its thread, port and files are gone. For tests only: it lets everybody in, and pods are
simulated. The thread is `kcm.testing.engine`'s; this class owns it and the kubeconfig's directory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from kcm.sandbox import kubeconfig
from kcm.sandbox.api import faults
from kcm.sandbox.api.audit import Mutation
from kcm.sandbox.api.history import Event
from kcm.sandbox.api.store import Collection
from kcm.serving.http import Request
from kcm.testing.engine import HOST, Engine, PlaneSettings
from kcm.testing.kinds import Kind, Kinds
from kcm.testing.podscripts import PodScripts
from kcm.testing.scene import describe, newest
from kcm.testing.waiting import PATIENCE, Waiter

Json = dict[str, Any]
T = TypeVar("T")

MERGE = "application/merge-patch+json"
_SCENE = ("Deployment", "ReplicaSet", "StatefulSet", "Pod", "Event")
_MOST_EVENTS = 10


class Refused(Exception):
    """The API server said no. `code` is the HTTP status, `reason` and `message` the Status's."""

    def __init__(self, what: str, code: int, reason: str, message: str) -> None:
        self.code = code
        self.reason = reason
        self.message = message
        super().__init__(f"{what}: {code} {reason}: {message}")


class ControlPlane:
    """An API server, a scheduler, nodes and kubelets, and kcm's controllers, for one test.

    `kubeconfig` is the path of a file for anything that takes one.
    """

    def __init__(self, **settings: Any) -> None:
        """Take the fields of `PlaneSettings`: nodes, speed, controllers, …"""
        self._engine = Engine(PlaneSettings(**settings))
        self._directory = tempfile.TemporaryDirectory(prefix="kcm-control-plane-")
        self._waiter = Waiter()
        self._kinds = Kinds(self.request)
        self._scripts = PodScripts(self._engine.api.handle, self._engine.loop)
        self._writes: list[Mutation] = []
        self._engine.api.store.listeners.append(self._heard)
        self._engine.api.audit.subscribe(self._writes.append)
        self.kubeconfig = Path(self._directory.name) / "kubeconfig"

    def start(self) -> Self:
        """Start; return when the API server answers."""
        try:
            self._engine.start()
        except BaseException:
            self._directory.cleanup()
            raise
        kubeconfig.write(self.kubeconfig, self.url)
        return self

    def stop(self) -> None:
        """End everything; raise if a part of it had died."""
        try:
            self._engine.stop()
        finally:
            self._directory.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Return where the API server is."""
        return f"http://{HOST}:{self._engine.port}"

    def client_configuration(self) -> Any:
        """Return a `kubernetes.client.Configuration` for this control plane."""
        from kubernetes import client  # noqa: PLC0415 - only who asks for it waits for its import

        configuration = client.Configuration()
        configuration.host = self.url
        return configuration

    def api_client(self) -> Any:
        """Return a `kubernetes.client.ApiClient` for this control plane: `CoreV1Api(plane.api_client())`."""
        from kubernetes import client  # noqa: PLC0415 - only who asks for it waits for its import

        return client.ApiClient(self.client_configuration())

    # Objects.

    def request(
        self, method: str, path: str, body: object = None, content_type: str = "application/json"
    ) -> Any:
        """Send one request straight to the API server; return the decoded answer, or raise `Refused`."""
        return self._engine.call(self._ask(method, path, body, content_type))

    def create(self, obj: Mapping[str, Any], namespace: str = "default") -> Json:
        """Create an object; its own namespace wins."""
        kind = self._kinds.find(f"{obj['apiVersion']}/{obj['kind']}")
        where = (obj.get("metadata") or {}).get("namespace") or namespace
        return self._json("POST", kind.path(where), obj)

    def get(self, kind: str, name: str, namespace: str = "default") -> Json:
        """Return an object. A kind is named "Pod", "pods" or, to be clear, "apps/v1/Deployment"."""
        return self._json("GET", self._path(kind, name, namespace))

    def list(self, kind: str, namespace: str = "", labels: Mapping[str, str] | None = None) -> list[Json]:
        """Return the objects of a kind, of all namespaces when `namespace` is ""."""
        wanted = ",".join(f"{key}={value}" for key, value in (labels or {}).items())
        query = f"?{urlencode({'labelSelector': wanted})}" if wanted else ""
        found: list[Json] = self.request("GET", self._kinds.find(kind).path(namespace) + query)["items"]
        return found

    def patch(self, kind: str, name: str, changes: Mapping[str, Any], namespace: str = "default") -> Json:
        """Merge changes into an object. "pods/status" as kind changes the status."""
        return self._json("PATCH", self._path(kind, name, namespace), changes, MERGE)

    def delete(self, kind: str, name: str, namespace: str = "default", grace: int | None = None) -> None:
        """Delete an object; `grace` in seconds, 0 at once."""
        query = "" if grace is None else f"?gracePeriodSeconds={grace}"
        self.request("DELETE", self._path(kind, name, namespace) + query)

    def writes(self, resource: str = "") -> Sequence[Mutation]:
        """Return every committed write so far, of one resource ("pods", "deployments.apps") or all."""
        return tuple(each for each in tuple(self._writes) if resource in ("", each.resource))

    # Waiting.

    def wait_until(self, holds: Callable[[], T], within: float = PATIENCE, what: str = "") -> T:
        """Return the first true value of `holds`; `TimedOut` (an AssertionError) says what there was instead.

        A condition that raises because something is not there yet (404, KeyError, AssertionError, …)
        does not hold.
        """
        __tracebackhide__ = True
        return self._waiter.until(holds, within, what, self.describe)

    def wait_for_deployment(self, name: str, namespace: str = "default", within: float = PATIENCE) -> Json:
        """Wait until all replicas of a Deployment are of its present template and available."""
        __tracebackhide__ = True

        def rolled_out() -> Json | None:
            found = self.get("apps/v1/Deployment", name, namespace)
            wanted, status = found["spec"]["replicas"], found.get("status") or {}
            seen = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
            counts = [status.get(each, 0) for each in ("replicas", "updatedReplicas", "availableReplicas")]
            return found if seen and counts == [wanted] * 3 else None

        what = f"Deployment {namespace}/{name} has all its replicas, updated and available"
        found = self.wait_until(rolled_out, within, what)
        assert found is not None
        return found

    def wait_for_pods(
        self,
        count: int,
        labels: Mapping[str, str] | None = None,
        namespace: str = "default",
        within: float = PATIENCE,
    ) -> Sequence[Json]:
        """Wait until exactly `count` pods with these labels are there, all ready, none being deleted."""
        __tracebackhide__ = True

        def ready() -> tuple[list[Json]] | None:
            found = self.list("v1/Pod", namespace, labels)
            good = len(found) == count and all(_is_ready(each) for each in found)
            # Inside a tuple, because no pods at all are a good answer too.
            return (found,) if good else None

        found = self.wait_until(ready, within, f"{count} ready pods {dict(labels or {})} in {namespace}")
        assert found is not None
        return found[0]

    def wait_gone(self, kind: str, name: str, namespace: str = "default", within: float = PATIENCE) -> None:
        """Wait until an object is not there any more."""
        __tracebackhide__ = True

        def gone() -> bool:
            try:
                self.get(kind, name, namespace)
            except Refused as error:
                if error.code == 404:
                    return True
                raise
            return False

        self.wait_until(gone, within, f"{kind} {namespace}/{name} is gone")

    def describe(self) -> str:
        """Return what there is, in a few lines: what a wait that times out says."""
        lines: list[str] = []
        for kind in _SCENE:
            found = self.list(kind)
            shown = newest(found, _MOST_EVENTS) if kind == "Event" else found
            lines += describe(kind, shown)
        return "\n".join(["there is:", *lines] if lines else ["there are no workloads, pods or events"])

    # Scripts, faults, time.

    def script_pods(self, labels: Mapping[str, str] | None = None, **behaviour: str) -> None:
        """Let pods with these labels, present and future, behave so: fault="crash-loop", start_delay="5s", …

        The names are those of the annotations in docs/sandbox.md, with _ for -. Empty labels mean all
        pods. A later script wins; `clear_scripts` ends them for pods to come.
        """
        self._engine.call(self._scripts.add(labels or {}, behaviour))

    def clear_scripts(self) -> None:
        """End all scripts; pods that were scripted keep their annotations."""
        self._engine.call(self._scripts.clear())

    @contextmanager
    def fault(self, effect: faults.Effect, **match: Any) -> Iterator[faults.Fault]:
        """Let a fault befall requests inside the `with`: see `kcm.testing.faults` for both."""
        rule = faults.Fault(effect, **match)
        self._engine.call(_do(lambda: self._engine.api.faults.add(rule)))
        try:
            yield rule
        finally:
            self._engine.call(_do(lambda: self._engine.api.faults.remove(rule)))

    def met(self, fault: faults.Fault) -> int:
        """Return how many requests a fault that is in force has matched: was my code there at all?"""
        return self._engine.call(_do(lambda: self._engine.api.faults.met(fault)))

    def compact(self) -> None:
        """Forget all history: watches and continue tokens from before get 410."""
        self._engine.call(_do(self._engine.api.store.compact))

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass at once, for everything inside the control plane.

        Back-offs, grace periods, probes, expiry, progress deadlines: all happen in their order. What
        runs outside (your controller) does not get these seconds.
        """
        self._engine.call(self._engine.loop.leap(seconds))

    def step_clock(self, seconds: float) -> None:
        """Set the server's time of day forward or back; timers are not touched."""
        self._engine.clock.step_wall(seconds)

    def _heard(self, collection: Collection, event: Event) -> None:
        self._waiter.changed()
        self._scripts.heard(collection, event)

    def _path(self, kind: str, name: str, namespace: str) -> str:
        whole, subresource = kind, ""
        if kind.endswith(("/status", "/scale")):
            whole, _, subresource = kind.rpartition("/")
        found: Kind = self._kinds.find(whole)
        path = f"{found.path(namespace)}/{quote(name)}"
        return f"{path}/{subresource}" if subresource else path

    def _json(
        self, method: str, path: str, body: object = None, content_type: str = "application/json"
    ) -> Json:
        answer: Json = self.request(method, path, body, content_type)
        return answer

    async def _ask(self, method: str, path: str, body: object, content_type: str) -> Any:
        target, _, query = path.partition("?")
        pairs = tuple(parse_qsl(query, keep_blank_values=True))
        headers = {"accept": "application/json", "content-type": content_type, "user-agent": "kcm-testing"}
        encoded = b"" if body is None else msgspec.json.encode(body)
        request = Request(method, target, pairs, headers, encoded)
        answer = await self._engine.api.handle(request)
        content = answer.body
        if not isinstance(content, bytes):
            content = b"".join([part async for part in content])
        if answer.status >= 300:
            raise _refusal(f"{method} {path}", answer.status, content)
        return msgspec.json.decode(content)


async def _do(act: Callable[[], T]) -> T:
    """Do something on the loop: what lives there is touched by nobody else."""
    return act()


def _refusal(what: str, code: int, content: bytes) -> Refused:
    try:
        status = msgspec.json.decode(content)
        return Refused(what, code, str(status.get("reason", "")), str(status.get("message", "")))
    except (msgspec.MsgspecError, AttributeError):
        return Refused(what, code, "", content[:200].decode(errors="replace"))


def _is_ready(pod: Json) -> bool:
    if "deletionTimestamp" in pod["metadata"]:
        return False
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
