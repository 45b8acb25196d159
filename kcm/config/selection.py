"""Which controllers run.

`select` weighs, for each installed controller, the `--controllers` flag, the file and the
controller's own default, in this order; a section with an `implementation` makes a controller
like an installed one. In the flag the first item that names a controller or one of its aliases
wins: `foo` on, `-foo` off; `*` leaves the rest to file and default; without `*` the rest is off
(reference: runtime 7, workloads 3.2). Guarantees: a name that means nothing
is a ConfigurationError, as is a controller that the file names twice under different names, and a
limit of a host that there is not. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from kcm.base.errors import ConfigurationError
from kcm.config.aliases import well_known
from kcm.config.binding import did_you_mean
from kcm.config.schema import Configuration

FLAG = "--controllers"
MOST_ITEMS = 1000


@dataclass(frozen=True, slots=True)
class Installed:
    """A controller that was found: its name, what else it is called, and whether it runs unasked."""

    name: str
    aliases: tuple[str, ...] = ()
    on_by_default: bool = True


@dataclass(frozen=True, slots=True)
class Selection:
    """What runs, in the order of installation, and why the rest does not.

    In `configuration` the sections of controllers stand under their installed names. `overruled` are the
    controllers whose `enabled` in the file the flag sets aside.
    """

    enabled: tuple[str, ...]
    disabled: Mapping[str, str]
    configuration: Configuration
    overruled: tuple[str, ...] = ()


def parse_items(text: str, where: str = FLAG) -> tuple[str, ...]:
    """Return the items of a comma-separated list; ConfigurationError for an empty one."""
    items = tuple(item.strip() for item in text.split(","))
    if len(items) > MOST_ITEMS or not all(item.lstrip("-") for item in items):
        raise ConfigurationError(where, "", "expected names separated by commas, such as *,-hpa")
    return items


def select(
    configuration: Configuration,
    installed: Sequence[Installed],
    items: Sequence[str] | None = None,
    where: str = "configuration",
) -> Selection:
    """Decide; `items` are those of the flag (None: not given), `where` names the file in errors."""
    installed = (*installed, *_named_in(configuration, installed))
    names = _names(installed)
    configured = _by_installed_name(configuration, names, where)
    _check_hosts(configured, names, where)
    wishes = None if items is None else _wishes(items, names)
    enabled: list[str] = []
    disabled: dict[str, str] = {}
    for controller in installed:
        reason = _why_not(controller, wishes, configured)
        if reason:
            disabled[controller.name] = reason
        else:
            enabled.append(controller.name)
    overruled = tuple(
        name
        for name, section in configured.controllers.items()
        if section.enabled is not None and section.enabled is not (name in enabled)
    )
    return Selection(tuple(enabled), disabled, configured, overruled)


def _named_in(configuration: Configuration, installed: Iterable[Installed]) -> Iterable[Installed]:
    """Return the controllers that are not installed, but whose sections say where they are."""
    names = _names(installed)
    return (
        Installed(name)
        for name, section in sorted(configuration.controllers.items())
        if section.implementation and name not in names
    )


def _why_not(controller: Installed, wishes: Mapping[str, bool] | None, configuration: Configuration) -> str:
    """Return why the controller does not run, "" if it does."""
    if wishes is not None:
        if controller.name in wishes:
            return "" if wishes[controller.name] else f"disabled by {FLAG}"
        if "*" not in wishes:
            return f"not named by {FLAG}"
    section = configuration.controllers.get(controller.name)
    if section is not None and section.enabled is not None:
        return "" if section.enabled else "disabled in the configuration"
    return "" if controller.on_by_default else "off by default"


def _names(installed: Iterable[Installed]) -> dict[str, str]:
    """Return every name that is understood, with the installed name it means."""
    names: dict[str, str] = {}
    for controller in installed:
        own = {controller.name, *controller.aliases}
        for name in own.union(*(well_known(known) for known in own)):
            if names.setdefault(name, controller.name) != controller.name:
                raise ConfigurationError(
                    "installed controllers", name, f"is claimed by {names[name]} and {controller.name}"
                )
    return names


def _wishes(items: Sequence[str], names: Mapping[str, str]) -> dict[str, bool]:
    """Return what the flag says of each installed controller, and "*" if it has one."""
    wishes: dict[str, bool] = {}
    for item in items:
        name = item.removeprefix("-")
        if item == "*":
            wishes["*"] = True
        elif name in names:
            # The first item wins: a later one does not change it.
            wishes.setdefault(names[name], not item.startswith("-"))
        elif not (item.startswith("-") and well_known(name)):
            # Turning off what kcm does not have is harmless, and common in flags brought along.
            raise ConfigurationError(FLAG, "", _unknown(name, names))
    return wishes


def _by_installed_name(configuration: Configuration, names: Mapping[str, str], where: str) -> Configuration:
    sections = {}
    for name, section in configuration.controllers.items():
        if name not in names:
            if section.enabled is False and well_known(name):
                continue
            raise ConfigurationError(where, f"controllers.{name}", _unknown(name, names))
        if names[name] in sections:
            raise ConfigurationError(
                where, f"controllers.{name}", f"is the same controller as {names[name]}, which is there too"
            )
        sections[names[name]] = section
    return msgspec.structs.replace(configuration, controllers=sections)


def _check_hosts(configuration: Configuration, names: Mapping[str, str], where: str) -> None:
    """Refuse limits of a host that there cannot be: a limit that limits nobody is believed in."""
    processes = {name: configuration.controller(name).process or name for name in set(names.values())}
    hosts = set(processes.values())
    for name in configuration.hosts.limits_of:
        if name in hosts:
            continue
        if name in names:
            own = names[name]
            reason = f"controller {own} runs in the host {processes[own]}: name that"
        else:
            reason = f"there is no host {name!r}" + did_you_mean(name, hosts)
        raise ConfigurationError(where, f"hosts.limitsOf.{name}", reason)


def _unknown(name: str, names: Mapping[str, str]) -> str:
    if well_known(name):
        return f"{name} is a controller of kube-controller-manager that is not installed in kcm"
    return f"there is no controller {name[:64]!r}" + did_you_mean(name, names)
