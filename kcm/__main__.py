"""`python -m kcm`."""

import sys

from kcm.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
