"""The one configuration file: what may stand in it, and its strict reading."""
