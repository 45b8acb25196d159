"""The `kcm` command."""
