"""What a container runtime does for kcm, without one: `container.py ROOT ARGUMENTS...`.

The folder of the service account is below ROOT, and the host is named as the pod is; all else is the
entry point of the image with the arguments of the pod.
"""

import os
import socket
import sys
from pathlib import Path

SERVICE_ACCOUNT = "var/run/secrets/kubernetes.io/serviceaccount"


def enter(root):
    from kcm.cli.main import main
    from kcm.client import sources
    from kcm.host.process import die_with_parent

    # Also when the test process is killed: the thread that has started this one ends with it.
    die_with_parent()
    sources.find_credentials.__kwdefaults__["service_account"] = str(root / SERVICE_ACCOUNT)
    socket.gethostname = lambda: os.environ["HOSTNAME"]
    return main()


# Hosts are made from this file too: what is above costs them nothing.
if __name__ == "__main__":
    folder = Path(sys.argv.pop(1))
    sys.argv[0] = "kcm"
    sys.exit(enter(folder))
