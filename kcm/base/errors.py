"""Errors that mean the same everywhere.

An error's type says what to do about it; its text is one line that says what, where and what
to do. Only the dispatcher and process edges catch `Exception`.
"""

from __future__ import annotations


class KcmError(Exception):
    """Base of every error that kcm raises itself."""


class ConfigurationError(KcmError):
    """Something a person wrote is wrong: exit code 2.

    `where` is the file, flag or variable; `key` the path inside it ("" when it is the whole).
    """

    def __init__(self, where: str, key: str, reason: str) -> None:
        self.where = where
        self.key = key
        self.reason = reason
        super().__init__(f"{where}: {key}: {reason}" if key else f"{where}: {reason}")


class RetryAfter(KcmError):
    """It did not work out, and the one who failed knows when to try again: in `seconds` (at most a day)."""

    def __init__(self, seconds: float, reason: str) -> None:
        # Never at once: what fails and repeats itself without a pause is a busy loop.
        self.seconds = min(max(0.05, seconds), 86400.0)
        super().__init__(reason)


class DeadlineExceeded(KcmError):
    """Something outside did not answer in time; tried again with growing delay."""

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(f"{what} did not answer within {seconds:g} s")


class TerminalError(KcmError):
    """Trying again cannot help: logged, counted, not requeued until the object changes."""
