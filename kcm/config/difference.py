"""What of a configuration can change while kcm runs.

`fixed_differences` is pure: two configurations in, the keys out that differ and need a restart.
Live are the level of the log, what counts as unwell, `client.qps` and `client.burst`, and everything
about controllers; all else is wired when the process starts, or is part of the fence. Owns no state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from kcm.config.schema import Configuration

LIVE = frozenset(("health", "logging.level", "client.qps", "client.burst", "controllers"))


def fixed_differences(old: Configuration, new: Configuration) -> tuple[str, ...]:
    """Return the keys that differ and cannot change in a running process, in the order of the file."""
    return tuple(_differences(old, new, ""))


def _differences(old: object, new: object, path: str) -> Iterator[str]:
    if path in LIVE or old == new:
        return
    if isinstance(old, msgspec.Struct) and type(old) is type(new):
        for field in msgspec.structs.fields(old):
            inner = f"{path}.{field.encode_name}" if path else field.encode_name
            yield from _differences(getattr(old, field.name), getattr(new, field.name), inner)
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(name), new.get(name), f"{path}.{name}")
        return
    yield path
