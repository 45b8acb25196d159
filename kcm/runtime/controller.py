"""The base of every controller.

A controller is observe (sync, from the replica only), decide (pure, its author's own
function) and apply (through the context). The runtime guarantees: one reconcile per key at a
time; `observe` sees every write this controller made; what fails is tried again as its
exception's type says. What a controller holds between reconciles dies with its host: it must
be able to do without.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

from kcm.objects.metadata import Spec
from kcm.objects.resource import Key, Resource
from kcm.runtime.grants import Allowance, Declared
from kcm.runtime.inbox import Emissions
from kcm.runtime.result import Result
from kcm.runtime.watches import Watch

if TYPE_CHECKING:
    from kcm.cache.replica import Cache
    from kcm.runtime.context import Context


class Rate(NamedTuple):
    """Requests: `qps` a second on average, `burst` at once."""

    qps: float
    burst: int


Primary = TypeVar("Primary", bound=Resource[Any])
Seen = TypeVar("Seen")


class Controller(ABC, Generic[Primary, Seen]):
    """Subclass it, name it, say what it watches, and implement the two methods.

    `settings_type` is the Struct that the controller's own section of the config file must
    fit; an instance of it is `self.settings` while the controller runs. `workers` (keys at the
    same time), `rate` (requests; None: `client.qps`) and `reconcile_timeout` (seconds; a reconcile
    that takes longer is cut off and counts as failed) hold where the file does not say otherwise.
    `writes` (see `kcm.writes`, `kcm.anything`) says what the controller writes: a plan with anything else
    is refused. Left out, it may write what its watches imply: what it owns, and the status and
    finalizers of its primary.
    `hears` (see `kcm.emitted`) has it told what other controllers emit. `component` is how its own
    events name it; left out, its name.
    """

    name: ClassVar[str]
    watches: ClassVar[tuple[Watch, ...]] = ()
    hears: ClassVar[Emissions | None] = None
    component: ClassVar[str] = ""
    settings_type: ClassVar[type[Spec] | None] = None
    workers: ClassVar[int] = 5
    rate: ClassVar[Rate | None] = None
    reconcile_timeout: ClassVar[float] = 300.0
    writes: ClassVar[Declared] = None

    def __init__(self, settings: Spec | None = None) -> None:
        self.settings = settings

    @abstractmethod
    def observe(self, cache: Cache, key: Key) -> Seen | None:
        """Return what there is to know about `key`, or None when there is nothing to do for it."""

    @abstractmethod
    async def reconcile(self, ctx: Context, seen: Seen) -> Result:
        """Bring the world nearer to what `seen` asks for."""


def allowance_of(controller: Controller[Any, Any]) -> Allowance:
    """Return what a controller may write, as its context holds it to that."""
    kind = type(controller)
    return Allowance(f"{kind.__module__}.{kind.__qualname__}", controller.writes, controller.watches)
