"""The references in docs/ that are made from the code: metrics, log records, configuration, API.

`python -m tools.reference` writes them, `--check` fails when one is stale. The code is read, not
run, so that what only a rare fault would bring about is in them too.
"""
