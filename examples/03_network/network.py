"""A custom resource that stands for something outside the cluster: a network in another system.

Every Network has a network of the same address range in the network service. It is made, changed and
removed with its object, and put right when somebody removes or changes it by hand: each reconcile
compares what is outside with what should be, and every object is reconciled again at each resync.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Protocol

import msgspec
from network_client import External, HttpNetworks, Refused

from kcm import (
    Cache,
    Context,
    Controller,
    DeadlineExceeded,
    Done,
    Key,
    Plan,
    Result,
    RetryAfter,
    generation_changed,
    primary,
    with_finalizer,
    writes,
)
from kcm.objects import Column, ObjectMeta, ObservedCondition, Resource, Spec, with_condition

FINALIZER = "samplecrd.k8s.io/network"
RETRY_SECONDS = 10.0


class NetworkSpec(Spec, frozen=True):
    """The network that is wanted."""

    cidr: Annotated[str, msgspec.Meta(pattern=r"^[0-9.]+/[0-9]+$")]
    """Address range, such as 192.168.0.0/16."""

    gateway: Annotated[str, msgspec.Meta(pattern=r"^[0-9.]*$")] = ""
    """Address of the gateway in that range; left out, the service takes one."""


class NetworkStatus(Spec, frozen=True):
    """What was made of it."""

    observed_generation: int = 0
    external_id: str = ""
    conditions: tuple[ObservedCondition, ...] = ()


class Network(Resource[NetworkSpec], frozen=True, kw_only=True):
    """A network of the network service."""

    api, kind, plural = "samplecrd.k8s.io/v1", "Network", "networks"
    short_names = ("net",)
    columns = (
        Column("CIDR", ".spec.cidr"),
        Column("Gateway", ".spec.gateway"),
        Column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
    )

    metadata: ObjectMeta
    spec: NetworkSpec
    status: NetworkStatus = NetworkStatus()


class Settings(Spec, frozen=True, forbid_unknown_fields=True):
    """`controllers.network.settings` in the configuration file."""

    service: str = "127.0.0.1:9696"
    """Host and port of the network service."""

    patience: Annotated[float, msgspec.Meta(gt=0, le=60)] = 5.0
    """Seconds within which it has to answer."""


class Networks(Protocol):
    """The network service, as the controller needs it. OSError when it cannot be reached."""

    async def find(self, identity: str) -> External | None: ...

    async def put(self, identity: str, network: External) -> None: ...

    async def remove(self, identity: str) -> None: ...


class NetworkController(Controller[Network, Network]):
    """Keeps the network service as the Networks of the cluster say."""

    name = "network"
    # Its own status writes count no new generation, so they do not wake it.
    watches = (primary(Network, when=generation_changed),)
    writes = (writes(Network, "patch", "status"),)
    settings_type = Settings
    connect: ClassVar[Callable[[str], Networks]] = HttpNetworks

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._networks = type(self).connect(settings.service)
        self._patience = settings.patience

    def observe(self, cache: Cache, key: Key) -> Network | None:
        return cache.get(Network, key)

    async def reconcile(self, ctx: Context, seen: Network) -> Result:
        async def ensure(network: Network) -> Result:
            return await self._ensure(ctx, network)

        async def cleanup(network: Network) -> Result:
            return await self._cleanup(ctx, network)

        return await with_finalizer(ctx, seen, FINALIZER, ensure=ensure, cleanup=cleanup)

    async def _ensure(self, ctx: Context, network: Network) -> Result:
        # The uid names it outside: it is known before anything is made, so that making it twice is harmless.
        identity = network.metadata.uid
        wanted = External(cidr=network.spec.cidr, gateway=network.spec.gateway, owner=str(network.key))
        try:
            async with ctx.within(self._patience, "the network service"):
                present = await self._networks.find(identity)
                if present is None or not present.suits(wanted):
                    await self._networks.put(identity, wanted)
                    ctx.emit(network, "Normal", "Changed" if present else "Made", f"network {wanted.cidr}")
        except Refused as error:
            # Asking again would not help; another spec would, and that wakes us.
            ctx.emit(network, "Warning", "Refused", str(error))
            return await self._tell(ctx, network, holds=False, reason="Refused", message=str(error))
        except (OSError, DeadlineExceeded) as error:
            await self._tell(ctx, network, holds=None, reason="Unreachable", message=str(error))
            raise RetryAfter(RETRY_SECONDS, f"the network service cannot be asked: {error}") from error
        return await self._tell(ctx, network, holds=True, reason="Made", message="")

    async def _cleanup(self, ctx: Context, network: Network) -> Result:
        try:
            async with ctx.within(self._patience, "the network service"):
                await self._networks.remove(network.metadata.uid)
        except (OSError, DeadlineExceeded) as error:
            raise RetryAfter(RETRY_SECONDS, f"the network service cannot be asked: {error}") from error
        return Done()

    async def _tell(
        self, ctx: Context, network: Network, *, holds: bool | None, reason: str, message: str
    ) -> Result:
        generation = network.metadata.generation
        conditions = with_condition(
            network.status.conditions,
            "Ready",
            holds,
            reason=reason,
            message=message,
            now=ctx.now(),
            generation=generation,
        )
        wanted = NetworkStatus(generation, network.metadata.uid, conditions)
        if wanted != network.status:
            changes: dict[str, Any] = msgspec.to_builtins(wanted)
            (await ctx.apply(Plan.patch_status(network, changes, because=reason))).raise_failure()
        return Done()
