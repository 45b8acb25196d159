"""The benchmarks run, at a tiny size, and say what they found; what the numbers are is no matter here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEYS = {
    "scale": {"up_ratio", "up_cpu_ms", "down_ratio", "up_ceiling"},
    "cold_start": {"cpu_s", "ratio", "pss_mib", "idle_pss_mib", "start_to_write_s"},
    "deployments": {"burst_s", "burst_cpu_s", "large_s", "many_writes", "many_conflicts", "quiet_percent"},
    "autoscalers": {"cpu_percent", "late_s", "slow_late_s", "evaluations"},
    "react": {"p50_ms", "p99_ms"},
    "failover": {"sigterm_s", "partition_s", "late", "beside", "surplus", "renewals_s"},
    "client_post": {"transport_cpu_ms", "apiclient_cpu_ms", "aiohttp_cpu_ms"},
    "cache": {"store_cpu_us", "replica_bytes"},
    "sandbox": {"creates_per_s", "event_p99_ms", "list_s", "pss_mib", "start_s"},
    "peers": {"kcm_cold_s", "kcm_change_cpu_s", "kcm_pss_mib", "kcm_pods_mib"},
    "queue": {"add_us", "get_done_us"},
}


def run(*arguments):
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", KEYS)
def test_a_benchmark_prints_a_table_and_a_line_of_json(name):
    done = run(name, "--size", "0.002", "--repeat", "1")
    assert done.returncode == 0, done.stderr
    *table, line = done.stdout.splitlines()
    found = json.loads(line)
    assert found["benchmark"] == name
    assert KEYS[name] <= found.keys()
    assert all(isinstance(found[key], (int, float)) for key in KEYS[name])
    assert any(name in row for row in table)


def test_an_unknown_benchmark_is_refused_with_the_names_of_those_there_are():
    done = run("scal")
    assert done.returncode == 2
    assert "no benchmark scal" in done.stderr
    assert "cold_start" in done.stderr
