"""`python -m tools.reference [--check]`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tools.reference.api import api_page
from tools.reference.configuration import configuration_page
from tools.reference.logs import logs_page
from tools.reference.metrics import metrics_page
from tools.reference.source import ROOT

PAGES: Mapping[str, Callable[[], str]] = {
    "docs/metrics.md": metrics_page,
    "docs/logs.md": logs_page,
    "docs/configuration.md": configuration_page,
    "docs/api.md": api_page,
}


def stale() -> list[str]:
    """Return the pages that are not what the code says."""
    return [name for name, page in PAGES.items() if read(ROOT / name) != page()]


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        found = stale()
        for name in found:
            print(f"{name} is stale: python -m tools.reference writes it anew", file=sys.stderr)
        return 1 if found else 0
    for name, page in PAGES.items():
        (ROOT / name).write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
