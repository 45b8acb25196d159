"""The pages of a process: TLS, probes on a port of their own, /debug."""

import os
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request

import pytest
from daemons import QUICK, call, eventually

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make certificates")


def make_pair(folder):
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-keyout", folder / "k.pem", "-out", folder / "c.pem", "-days", "2", "-subj", "/CN=kcm"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)


def fetch(daemon, folder, path, token="", method="GET", body=None):
    context = ssl.create_default_context(cafile=str(folder / "c.pem"))
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"https://{daemon.address}{path}", body, headers, method=method)
    try:
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def test_pages_are_served_by_tls_probes_without_and_debug_to_whoever_has_the_token(
    server, start_daemon, tmp_path
):
    make_pair(tmp_path)
    (tmp_path / "token").write_text("t-1\n")
    serving = {
        "tlsCertFile": str(tmp_path / "c.pem"),
        "tlsKeyFile": str(tmp_path / "k.pem"),
        "tokenFile": str(tmp_path / "token"),
        "probePort": 0,
        "debug": True,
    }
    daemon = start_daemon(server.url, config={**QUICK, "serving": serving})
    (probes,) = eventually(lambda: daemon.records("serving probes"), what="it serves probes")
    eventually(lambda: call(f"127.0.0.1:{probes['port']}", "GET", "/readyz")[0] == 200, what="ready")
    assert call(f"127.0.0.1:{probes['port']}", "GET", "/metrics")[0] == 404
    assert fetch(daemon, tmp_path, "/livez") == (200, "ok")
    assert fetch(daemon, tmp_path, "/metrics")[0] == 401
    assert fetch(daemon, tmp_path, "/debug/tasks")[0] == 401
    assert fetch(daemon, tmp_path, "/metrics", "t-1")[0] == 200
    status, tasks = fetch(daemon, tmp_path, "/debug/tasks", "t-1")
    assert status == 200
    assert "kcm.election.elector.Elector" in tasks
    status, profile = fetch(daemon, tmp_path, "/debug/profile?seconds=0.3", "t-1")
    assert status == 200
    assert "MainThread;" in profile
    assert not [record for record in daemon.records() if record["level"] == "debug"]
    assert fetch(daemon, tmp_path, "/debug/log-level", "t-1", "PUT", b"debug")[0] == 200
    server.apply("web", 2)
    eventually(
        lambda: [r for r in daemon.records() if r["level"] == "debug" and r["process"] == "replicaset"]
    )
    assert daemon.stop() == 0
    assert os.path.exists(tmp_path / "token")
