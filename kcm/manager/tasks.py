"""Which controllers each host is to run, and how: from the configuration to the hosts' tasks. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kcm.config.schema import Configuration
from kcm.host.messages import ControllerTask
from kcm.telemetry.tracing import TraceSettings


def tasks_of(
    configuration: Configuration, controllers: Mapping[str, str]
) -> Mapping[str, tuple[ControllerTask, ...]]:
    """Return the controllers of each host, by its name: those that name the same process share one."""
    hosts: dict[str, tuple[ControllerTask, ...]] = {}
    for name, implementation in controllers.items():
        section = configuration.controller(name)
        task = ControllerTask(
            name=name,
            implementation=implementation,
            workers=section.workers or 0,
            qps=section.qps or 0.0,
            burst=section.burst or 1,
            max_backoff=section.max_backoff,
            reconcile_timeout=section.reconcile_timeout or 0.0,
            settings=msgspec.Raw(msgspec.json.encode(section.settings)),
            paced=configuration.paces(name),
        )
        host = section.process or name
        hosts[host] = (*hosts.get(host, ()), task)
    return hosts


def traces_of(configuration: Configuration) -> TraceSettings:
    """Return what hosts are told about traces."""
    tracing = configuration.tracing
    return TraceSettings(tracing.endpoint, tracing.sampling_rate_per_million)
