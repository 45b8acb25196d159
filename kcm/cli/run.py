"""`kcm run`: from flags and file to a running daemon, and from signals to its end.

Flags override the file; what comes of both is checked as a whole before anything starts, so
that there is never half a start. SIGTERM and SIGINT stop in order, a second one at once; SIGHUP
reads the file again.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
from collections.abc import Iterable

import msgspec
import uvloop

from kcm.base.clock import SystemClock
from kcm.base.errors import ConfigurationError
from kcm.base.memory import calm_collector, keep_buffers
from kcm.base.rng import SeededRng
from kcm.cli.targets import RECORDER, find_controller, with_first_try
from kcm.client.credentials import CredentialSource
from kcm.client.exec_plugin import ExecPolicy
from kcm.client.http import HttpTransport
from kcm.client.reserve import Reserve
from kcm.client.sources import find_credentials
from kcm.config.loader import check_rules, parse, read_text
from kcm.config.schema import Configuration
from kcm.config.selection import Installed, Selection, parse_items, select
from kcm.manager.daemon import Manager
from kcm.manager.installed import installed_controllers, misnamed_controllers, optional_controllers
from kcm.manager.launcher import ProcessLauncher
from kcm.manager.reload import Desired
from kcm.telemetry import logging

FAILED = 1


def installed() -> tuple[Installed, ...]:
    """Return what is installed, as the selection wants to know it."""
    optional = optional_controllers()
    return tuple(Installed(name, on_by_default=name not in optional) for name in installed_controllers())


def run(options: argparse.Namespace) -> int:
    """Run the daemon until it is told to stop; return the exit code."""
    text = read_text(options.config) if options.config else b""
    selection = selected(options, text)
    configuration = selection.configuration
    logging.configure(configuration.logging.level, configuration.logging.format, "manager")
    log = logging.logger("manager")
    # Whoever runs one file wants to hear of that.
    tell = log.info if options.controller is None else log.debug
    for name, reason in selection.disabled.items():
        tell("controller not started", controller=name, reason=reason)
    for name, implementation in misnamed_controllers().items():
        reason = f"the entry point of {implementation} is no name: lower-case letters, digits and -"
        log.error("controller not started", controller=name, reason=reason)
    _tell_overruled(selection, log)
    desired = Desired(configuration, _implementations(configuration, selection.enabled))
    calm_collector()
    keep_buffers()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_live(desired, options, text))
    except Exception as error:  # noqa: BLE001 - a process edge, see below
        # A process edge: one line instead of a traceback of groups of groups.
        cause = _first(error)
        if isinstance(cause, ConfigurationError):
            raise _placed(cause, options) from None
        log.error("failed", error=repr(cause))
        return FAILED
    finally:
        logging.shutdown()
    return 0


def _implementations(configuration: Configuration, enabled: Iterable[str]) -> dict[str, str]:
    """Return "module:Class" by name: what the file says of a controller wins over what is installed."""
    known = installed_controllers()
    return {name: configuration.controller(name).implementation or known[name] for name in enabled}


def selected(options: argparse.Namespace, text: bytes) -> Selection:
    """Return what runs, by flags and the text of the file."""
    configuration = configured(options, text)
    items = parse_items(options.controllers) if options.controllers is not None else None
    if items is None and options.controller is not None:
        # Alone, but for who writes down its events.
        recorder = (RECORDER,) if RECORDER in installed_controllers() else ()
        items = (find_controller(options.controller).name, *recorder)
    return select(configuration, installed(), items, where=options.config or "configuration")


def configured(options: argparse.Namespace, text: bytes) -> Configuration:
    """Return the file's configuration with the flags on top."""
    configuration = parse(text, options.config) if options.config else Configuration()
    replace = msgspec.structs.replace
    client = configuration.client
    for flag in ("kubeconfig", "context", "master"):
        if (value := getattr(options, flag)) is not None:
            client = replace(client, **{flag: value})
    if options.kube_api_qps is not None:
        if not 0 <= options.kube_api_qps <= 100_000:
            raise ConfigurationError("--kube-api-qps", "", "must be between 0 and 100000")
        client = replace(client, qps=options.kube_api_qps)
    if options.kube_api_burst is not None:
        if not 1 <= options.kube_api_burst <= 100_000:
            raise ConfigurationError("--kube-api-burst", "", "must be between 1 and 100000")
        client = replace(client, burst=options.kube_api_burst)
    serving = configuration.serving
    if options.port is not None:
        if not 0 <= options.port <= 65535:
            raise ConfigurationError("--port", "", "must be between 0 and 65535")
        serving = replace(serving, port=options.port)
    if options.status_page:
        serving = replace(serving, status_page=True)
    log = replace(
        configuration.logging,
        level=options.log_level or configuration.logging.level,
        format=options.log_format or configuration.logging.format,
    )
    whole = replace(configuration, client=client, serving=serving, logging=log)
    if client.master and not client.master.startswith(("https://", "http://")) and options.master is not None:
        raise ConfigurationError("--master", "", f"{client.master[:64]!r} is no http or https URL")
    if options.controller is not None:
        first = find_controller(options.controller)
        recorded = RECORDER in installed_controllers() and options.controllers is None
        whole = with_first_try(whole, first, own_lease=not options.config, recorded=recorded)
    if options.takeover:
        whole = replace(whole, coexistence=replace(whole.coexistence, other_manager="ignore"))
    check_rules(whole, options.config or "flags")
    return whole


async def _live(desired: Desired, options: argparse.Namespace, text: bytes) -> None:
    configuration = desired.configuration
    clock, rng = SystemClock(), SeededRng()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked(number: signal.Signals) -> None:
        if stop.is_set():
            # Asked twice: whoever asks does not want to wait. Hosts die with us.
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked, number)
    client = configuration.client
    source = await find_credentials(
        clock,
        os.environ,
        kubeconfig=client.kubeconfig,
        context=client.context,
        master=client.master,
        policy=ExecPolicy(allowed=client.exec_plugins),
        allow_insecure=client.allow_insecure_tls,
    )
    identity = configuration.leader_election.identity or f"{socket.gethostname()}_{rng.uuid()}"
    parts = (identity, source, _connect, ProcessLauncher(), clock, rng)
    manager = Manager(configuration, desired.controllers, *parts, dry_run=options.dry_run)
    _follow(manager, options, text, loop)
    await manager.run(stop)


def _tell_overruled(selection: Selection, log: logging.Logger) -> None:
    """Warn whoever enables or disables a controller in the file, where the flag decides."""
    if selection.overruled:
        log.warning(
            "enabled in the file has no effect: --controllers decides", controllers=list(selection.overruled)
        )


def _follow(
    manager: Manager, options: argparse.Namespace, text: bytes, loop: asyncio.AbstractEventLoop
) -> None:
    """Let a running daemon follow its file, and SIGHUP."""
    log = logging.logger("manager")
    if not options.config:
        loop.add_signal_handler(signal.SIGHUP, log.warning, "SIGHUP: there is no configuration file to read")
        return

    def understand(text: bytes) -> Desired:
        selection = selected(options, text)
        _tell_overruled(selection, log)
        return Desired(selection.configuration, _implementations(selection.configuration, selection.enabled))

    reloader = manager.follow(options.config, text, understand)
    loop.add_signal_handler(signal.SIGHUP, reloader.ask)


def _connect(source: CredentialSource, connections: int, *, spares: int = 0) -> HttpTransport:
    return HttpTransport(source, connections=connections, reserve=Reserve(spares) if spares else None)


def _placed(error: ConfigurationError, options: argparse.Namespace) -> ConfigurationError:
    """Return the error with the name of the flag or file that the configuration came from."""
    if error.key == "serving.port" and options.port is not None:
        return ConfigurationError("--port", "", error.reason)
    if error.where == "configuration" and options.config:
        return ConfigurationError(options.config, error.key, error.reason)
    return error


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
