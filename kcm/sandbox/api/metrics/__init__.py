"""The three metrics APIs of the sandbox, which are computed when asked and never stored."""
