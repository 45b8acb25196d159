"""The public test kit: virtual time, builders, the sandbox as a fixture, crash points."""
