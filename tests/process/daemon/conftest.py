"""Daemons and observed sandboxes that end with their test."""

import contextlib
import sys
from pathlib import Path

import pytest

# The tests share `daemons.py`; there is no package here to import it from.
sys.path.insert(0, str(Path(__file__).parent))

from daemons import QUICK, DaemonProcess, Server

LAST_LINES = 80


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show what the daemons of a test that failed have logged: it may not fail again."""
    report = yield
    if report.failed:
        for daemon in getattr(item, "daemons", ()):
            report.sections.append(
                (f"log of {daemon.mark}", "\n".join(daemon.text().splitlines()[-LAST_LINES:]))
            )
    return report


@pytest.fixture
def start_server(tmp_path):
    """Start observed sandboxes that end with the test."""
    with contextlib.ExitStack() as stack:

        def start(port=0):
            server = Server(tmp_path, port)
            stack.callback(server.kill)
            return server

        yield start


@pytest.fixture
def server(start_server):
    """One observed sandbox."""
    return start_server()


@pytest.fixture
def start_daemon(tmp_path, request):
    """Start daemons that end with the test: start(url, *flags, config=mapping)."""
    request.node.daemons = []
    with contextlib.ExitStack() as stack:

        def start(url, *flags, config=None, output=None):
            config = QUICK if config is None else config
            daemon = DaemonProcess(tmp_path, url, *flags, config=config, output=output)
            stack.callback(daemon.end)
            request.node.daemons.append(daemon)
            return daemon

        yield start
