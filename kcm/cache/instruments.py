"""What a reflector counts, under the names that /metrics shows.

`watch` is the watch's spec as text. Instruments are shared by all reflectors of a process.
"""

from __future__ import annotations

import math

from prometheus_client import Counter, Gauge

from kcm.cache.store import Store
from kcm.cache.watchspec import WatchSpec
from kcm.telemetry.metrics import Metrics


class ReflectorInstruments:
    """One watch's share of the process's instruments."""

    def __init__(self, metrics: Metrics, spec: WatchSpec) -> None:
        watch = str(spec)

        def counter(name: str, help: str) -> Counter:
            return metrics.counter(name, help, ("watch",)).labels(watch)

        def gauge(name: str, help: str) -> Gauge:
            return metrics.gauge(name, help, ("watch",)).labels(watch)

        self.watches = counter("kcm_cache_watches_total", "Watches opened.")
        self.lists = counter("kcm_cache_list_pages_total", "Pages of lists asked for.")
        self.fills = counter("kcm_cache_fills_total", "Times that everything was replaced.")
        self.events = counter("kcm_cache_events_total", "Events received, bookmarks included.")
        self.silent = counter("kcm_cache_silent_watches_total", "Watches given up because nothing came.")
        self.unreadable = counter(
            "kcm_cache_unreadable_total", "Objects that could not be read, by key or at all."
        )
        self.failures = counter("kcm_cache_failures_total", "Lists and watches that failed.")
        self.rollbacks = counter("kcm_cache_rollbacks_total", "Times the server's state went back in time.")
        self.probes = counter("kcm_cache_probes_total", "Short watches opened to prove freshness.")
        self._objects = gauge("kcm_cache_objects", "Objects held.")
        self._bad = gauge("kcm_cache_bad_objects", "Objects that cannot be read now.")
        self._stale = gauge("kcm_cache_stale_events", "Events dropped because they came too late.")
        self._age = gauge(
            "kcm_cache_watch_age_seconds", "Since anything was heard of the watch, bookmarks included."
        )

    def follow(self, store: Store | None) -> None:
        """Let the age of a watch be asked for, from its store; None when there is no watch any more."""

        def age() -> float:
            known = store.age if store is not None else None
            # Not a number is not shown.
            return math.nan if known is None else known

        self._age.set_function(age)

    def show(self, store: Store) -> None:
        """Take over the store's sizes."""
        counts = store.counts()
        self._objects.set(counts.objects)
        self._bad.set(counts.bad)
        self._stale.set(counts.stale_dropped)
