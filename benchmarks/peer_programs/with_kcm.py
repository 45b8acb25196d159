"""Every Widget owns a ConfigMap of its name with its text: with kcm."""

from __future__ import annotations

from dataclasses import dataclass

from kcm import Cache, Context, Controller, Done, Key, Plan, Result, owns, primary, writes
from kcm.objects import ConfigMap, ObjectMeta, Pod, Resource, Spec, owned_by


class WidgetSpec(Spec, frozen=True):
    """What people write."""

    text: str = ""


class Widget(Resource[WidgetSpec], frozen=True, kw_only=True):
    """The owner."""

    api, kind, plural = "bench.kcm.dev/v1", "Widget", "widgets"
    metadata: ObjectMeta = ObjectMeta()
    spec: WidgetSpec = WidgetSpec()


@dataclass(frozen=True, slots=True)
class Seen:
    """A widget and what it owns."""

    widget: Widget
    owned: ConfigMap | None


class WidgetController(Controller[Widget, Seen]):
    """Keeps the ConfigMaps."""

    name = "widgets"
    watches = primary(Widget), owns(ConfigMap)
    writes = (writes(ConfigMap, "create", "patch"),)

    def observe(self, cache: Cache, key: Key) -> Seen | None:
        widget = cache.get(Widget, key)
        return Seen(widget, cache.get(ConfigMap, key)) if widget else None

    async def reconcile(self, ctx: Context, seen: Seen) -> Result:
        data = {"text": seen.widget.spec.text}
        if seen.owned is None:
            plan = Plan.create(ConfigMap(metadata=owned_by(seen.widget), data=data), because="none")
        elif seen.owned.data != data:
            plan = Plan.patch(seen.owned, {"data": data}, because="differs")
        else:
            return Done()
        (await ctx.apply(plan)).raise_failure()
        return Done()


class PodWatcher(Controller[Pod, Pod]):
    """Caches all pods, and does nothing."""

    name = "pods"
    watches = (primary(Pod),)
    writes = ()

    def observe(self, cache: Cache, key: Key) -> Pod | None:
        return cache.get(Pod, key)

    async def reconcile(self, ctx: Context, seen: Pod) -> Result:
        return Done()
