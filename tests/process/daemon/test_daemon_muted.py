"""A daemon whose log nobody reads works and keeps the Lease (fault 30)."""

import contextlib
import fcntl
import os

from daemons import QUICK, call, eventually, free_port

LOUD = {**QUICK, "logging": {"level": "debug", "format": "json"}}
PIPE_BYTES = 4096


@contextlib.contextmanager
def a_pipe_that_nobody_reads():
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writing, b"x" * PIPE_BYTES):
            pass
    os.set_blocking(writing, True)
    try:
        yield writing
    finally:
        os.close(writing)
        os.close(reading)


def test_nothing_waits_for_a_log_that_nobody_reads(server, start_daemon):
    port = free_port()
    with a_pipe_that_nobody_reads() as told:
        daemon = start_daemon(server.url, "--port", str(port), config=LOUD, output=told)
        eventually(lambda: server.holder(), what="the Lease is held")
        leader = server.holder()
        server.apply("web", 30)
        eventually(lambda: server.settled("web", 30), what="30 pods")
        renewed = len(server.requests("leader-election", method="PATCH", status=200))
        eventually(
            lambda: len(server.requests("leader-election", method="PATCH", status=200)) >= renewed + 3,
            what="renewed",
        )
        assert call(f"127.0.0.1:{port}", "GET", "/livez")[0] == 200
        assert server.holder() == leader
        assert daemon.stop() == 0
        assert server.holder() == ""
        eventually(lambda: not daemon.left(), what="no process left")
