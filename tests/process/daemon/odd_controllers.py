"""Controllers that misbehave on demand: what a user's code may do to its host, and to nobody else's.

A file in the directory of the settings says what to do next; it is used up by doing it, so that
the host that is started after that is well.
"""

import asyncio
import gc
import os
import time
from pathlib import Path

import msgspec

from kcm import Controller, Done, primary
from kcm.cache.feed import FrameChannel
from kcm.objects import ConfigMap


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    directory: str = ""


class Quiet(Controller):
    """Looks, and does nothing."""

    name = "quiet"
    watches = (primary(ConfigMap),)

    def observe(self, cache, key):
        return cache.get(ConfigMap, key)

    async def reconcile(self, ctx, seen):
        return Done()


class Odd(Quiet):
    """Does what it is told."""

    name = "odd"
    settings_type = Settings

    async def reconcile(self, ctx, seen):
        obey(Path(self.settings.directory))
        return Done()


def obey(directory):
    """Do what the files in the directory say."""
    for order in sorted(directory.iterdir()):
        order.unlink()
        match order.name:
            case "block":
                time.sleep(3600)
            case "rubbish":
                for channel in [c for c in gc.get_objects() if isinstance(c, FrameChannel)]:
                    channel.send(b'{"type": "lead", "deadline": 1e15}')
            case "exit":
                os._exit(3)


class Dying(Quiet):
    """Dies whenever it is made."""

    name = "dying"

    def __init__(self, settings=None):
        os._exit(7)


class Slow(Quiet):
    """Takes its time, and does not let itself be hurried."""

    name = "slow"

    async def reconcile(self, ctx, seen):
        await asyncio.sleep(60)
        return Done()
