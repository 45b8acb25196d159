"""Controllers that misbehave on demand: what a user's code may do to its host, and to nobody else's.

A file in the directory of the settings says what to do next; it is used up by doing it, so that
the host that is started after that is well.
"""

import asyncio
import ctypes
import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec

from kcm import Controller, Done, Plan, primary, writes
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
    """Do what the files in the directory say; return how many there were."""
    orders = sorted(directory.iterdir())
    for order in orders:
        order.unlink()
        match order.name:
            case "block":
                time.sleep(3600)
            case "rubbish":
                for channel in [c for c in gc.get_objects() if isinstance(c, FrameChannel)]:
                    channel.send(b'{"type": "lead", "deadline": 1e15}')
            case "exit":
                os._exit(3)
            case "sys-exit":
                sys.exit(5)
            case "leak":
                threading.Thread(target=leak, daemon=True).start()
            case "spin":
                threading.Thread(target=spin, daemon=True).start()
            case "huge":
                KEPT.append(bytearray(4 * 1024**3))
            case "files":
                KEPT.extend(os.open("/dev/null", os.O_RDONLY) for _ in range(100))
            case "bomb":
                KEPT.extend(subprocess.Popen(["sleep", "3600"]) for _ in range(20))
            case "fork":
                if os.fork() == 0:
                    return 0
            case "print":
                print("{not a record", end="")
                print("x" * 100_000, file=sys.stderr)
                print("\ntwo\nlines \x1b[31m")
                # As a library in C does, and whoever is started from here.
                os.write(1, b"{past \xff Python\n")
                os.write(2, b"x" * 200_000 + b"\n")
                subprocess.run(["sh", "-c", "echo from a child >&2"], check=True)
            case "segfault":
                ctypes.string_at(0)
    return len(orders)


KEPT = []


def leak():
    """Take a gigabyte, not at once."""
    for _ in range(128):
        KEPT.append(b"x" * (8 * 1024 * 1024))
        time.sleep(0.01)


def spin():
    """Use as much of a core as there is."""
    while True:
        pass


class Hanging(Odd):
    """Hangs in every reconcile of an order, as long as it may."""

    name = "hanging"

    async def reconcile(self, ctx, seen):
        if obey(Path(self.settings.directory)):
            await asyncio.sleep(3600)
        return Done()


class Echo(Controller):
    """Answers what is asked in the data of a ConfigMap by an annotation."""

    name = "echo"
    watches = (primary(ConfigMap, label_selector="beacon"),)
    writes = writes(ConfigMap, "patch")

    def observe(self, cache, key):
        return cache.get(ConfigMap, key)

    async def reconcile(self, ctx, seen):
        asked = seen.data["asked"]
        if seen.metadata.annotations.get("answer") != asked:
            changes = {"metadata": {"annotations": {"answer": asked}}}
            (await ctx.apply(Plan.patch(seen, changes, because="asked"))).raise_failure()
        return Done()


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
