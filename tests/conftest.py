"""The project's own tools can be imported, behind what is installed."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
