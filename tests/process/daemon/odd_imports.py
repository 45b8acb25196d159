"""A module that cannot be imported."""

import sys

sys.exit("this controller is not for you")
