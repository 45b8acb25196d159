"""The sandbox's disk: one SQLite file per data directory, written by a thread of its own."""
