"""`kcm run`, `kcm sandbox`, `kcm check-config`, `kcm crd`, `kcm rbac`, `kcm new`, `kcm version`.

Reads the command line and hands over; each command's code is loaded only when it is asked
for, because hosts import this module too. Guarantees the exit codes: 0 asked to stop, 1
failed, 2 bad configuration, with one line on stderr that says what, where and what to do.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn, TypeAlias

from kcm import __version__
from kcm.base.errors import ConfigurationError
from kcm.cli.init import serve_as_init

BAD_CONFIGURATION = 2


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and where to read more."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message.removeprefix('argument ')} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(BAD_CONFIGURATION)


_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    options = _parser().parse_args(arguments)
    if os.getpid() == 1:
        serve_as_init()
    try:
        code: int = options.command(options)
    except ConfigurationError as error:
        print(f"kcm: {error}", file=sys.stderr)
        return BAD_CONFIGURATION
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="kcm", description="A Kubernetes controller manager in Python.", allow_abbrev=False)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_run(commands)
    _add_sandbox(commands)
    _add_check(commands)
    _add_crd(commands)
    _add_rbac(commands)
    _add_new(commands)
    _add_version(commands)
    return parser


def _add_run(commands: _Commands) -> None:
    run = commands.add_parser("run", help="run the controllers against a cluster", allow_abbrev=False)
    run.set_defaults(command=_run)
    run.add_argument(
        "controller",
        nargs="?",
        metavar="CONTROLLER",
        help="run this one, from a file or module:Class, without installing it (a first try)",
    )
    run.add_argument("--config", metavar="F", help="configuration file (see config/kcm.yaml)")
    run.add_argument(
        "--kubeconfig", metavar="F", help="kubeconfig file; without it the pod's service account"
    )
    run.add_argument("--context", metavar="NAME", help="context of the kubeconfig")
    run.add_argument("--master", metavar="URL", help="API server; wins over the kubeconfig's")
    run.add_argument(
        "--controllers", metavar="L", help="which controllers run: *, foo, -foo, separated by commas"
    )
    run.add_argument("--port", type=int, metavar="N", help="port of probes and metrics; 0 takes a free one")
    run.add_argument(
        "--kube-api-qps", type=float, metavar="X", help="requests a second of each controller; 0: no limit"
    )
    run.add_argument(
        "--kube-api-burst", type=int, metavar="N", help="requests at once before the limit applies"
    )
    run.add_argument(
        "--takeover",
        action="store_true",
        help="work although kube-controller-manager is there: its controllers of the same names are off",
    )
    run.add_argument(
        "--dry-run", action="store_true", help="write nothing: log what would be done and show it at /statusz"
    )
    run.add_argument("--status-page", action="store_true", help="show browsers a live status page at /")
    run.add_argument("--log-level", choices=("debug", "info", "warning", "error"))
    run.add_argument("--log-format", choices=("auto", "json", "text"))


def _add_sandbox(commands: _Commands) -> None:
    sandbox = commands.add_parser(
        "sandbox",
        help="start an embedded control plane for development, with the manager on it",
        allow_abbrev=False,
    )
    sandbox.set_defaults(command=_sandbox)
    sandbox.add_argument(
        "controller",
        nargs="?",
        metavar="CONTROLLER",
        help="run this one too, from a file or module:Class (a first try)",
    )
    sandbox.add_argument(
        "--port", type=int, default=0, metavar="N", help="port of the API server (default: a free one)"
    )
    sandbox.add_argument(
        "--nodes", type=int, default=2, metavar="N", help="simulated nodes; 0: pods stay Pending"
    )
    sandbox.add_argument(
        "--speed", type=float, default=1.0, metavar="X", help="how much faster than life pods start"
    )
    sandbox.add_argument(
        "--kubeconfig-out",
        default="kubeconfig",
        metavar="F",
        help="where to write the kubeconfig (default: %(default)s)",
    )
    sandbox.add_argument("--node-cpu", default="1000", metavar="Q", help="cores of each node (default: 1000)")
    sandbox.add_argument(
        "--node-memory", default="4Ti", metavar="Q", help="memory of each node (default: 4Ti)"
    )
    sandbox.add_argument(
        "--node-pods", type=int, default=20_000, metavar="N", help="pods that fit a node (default: 20000)"
    )
    sandbox.add_argument(
        "--metrics-file",
        metavar="F",
        help="values of custom and external metrics, and loads; read again on change",
    )
    sandbox.add_argument(
        "--data-dir", metavar="D", help="keep everything in this directory, to go on from there next time"
    )
    sandbox.add_argument(
        "--secure", action="store_true", help="TLS, authentication, and RBAC by the stored roles"
    )
    sandbox.add_argument("--no-manager", action="store_true", help="the control plane only")
    sandbox.add_argument("--config", metavar="F", help="configuration file of the manager")


def _add_check(commands: _Commands) -> None:
    check = commands.add_parser("check-config", help="check a configuration file", allow_abbrev=False)
    check.set_defaults(command=_check_config)
    check.add_argument("file", metavar="F")


def _add_crd(commands: _Commands) -> None:
    crd = commands.add_parser(
        "crd", help="print the CustomResourceDefinition of a declared type", allow_abbrev=False
    )
    crd.set_defaults(command=_crd)
    crd.add_argument(
        "types", nargs="+", metavar="TYPE", help="module:Class, file.py:Class, or a whole module"
    )


def _add_rbac(commands: _Commands) -> None:
    rbac = commands.add_parser("rbac", help="print the roles that a controller needs", allow_abbrev=False)
    rbac.set_defaults(command=_rbac)
    rbac.add_argument("controllers", nargs="+", metavar="CONTROLLER", help="module:Class or file.py")
    rbac.add_argument("--name", metavar="N", help="name of the roles (default: the controller's)")
    rbac.add_argument("--account", default="kcm", metavar="N", help="service account (default: %(default)s)")
    rbac.add_argument(
        "--namespace",
        default="kcm-system",
        metavar="N",
        help="the account's namespace (default: %(default)s)",
    )


def _add_new(commands: _Commands) -> None:
    new = commands.add_parser("new", help="write a project with a controller of your own", allow_abbrev=False)
    new.set_defaults(command=_new)
    new.add_argument("name", metavar="NAME", help="such as my-operator")
    new.add_argument("--directory", metavar="D", help="where to write it (default: ./NAME)")
    new.add_argument(
        "--group", default="example.dev", metavar="G", help="API group of its type (default: %(default)s)"
    )


def _add_version(commands: _Commands) -> None:
    version = commands.add_parser("version", help="print the version", allow_abbrev=False)
    version.set_defaults(command=_version)


def _run(options: argparse.Namespace) -> int:
    from kcm.cli.run import run

    return run(options)


def _sandbox(options: argparse.Namespace) -> int:
    from kcm.cli.sandbox import sandbox

    return sandbox(options)


def _check_config(options: argparse.Namespace) -> int:
    from kcm.cli.run import installed
    from kcm.config.loader import check_config

    check_config(options.file, installed())
    print(f"{options.file}: ok")
    return 0


def _crd(options: argparse.Namespace) -> int:
    from kcm.cli.crd import crd

    return crd(options)


def _rbac(options: argparse.Namespace) -> int:
    from kcm.cli.rbac import rbac

    return rbac(options)


def _new(options: argparse.Namespace) -> int:
    from kcm.cli.new import new

    return new(options)


def _version(options: argparse.Namespace) -> int:
    print(f"kcm {__version__}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
