"""What measures kcm: speed, memory, fail-over. Run by `make bench`; see `python -m benchmarks --help`."""
