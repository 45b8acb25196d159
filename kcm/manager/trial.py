"""Tries a host's new configuration out before the running host is stopped for it.

Only a controller itself can say whether its settings make sense, and only in a host. So a host is
launched that is told everything and fed nothing: it loads its controllers and declares, or
refuses. Guarantees: it never leads and is gone when `try_out` returns. Owns nothing.
"""

from __future__ import annotations

import asyncio

import msgspec

from kcm.base.errors import ConfigurationError
from kcm.host.messages import Configure, Declare, Refuse, ToManager
from kcm.manager.launcher import HostLauncher

_decode = msgspec.json.Decoder(ToManager).decode
WHERE = "configuration"


async def try_out(configure: Configure, launcher: HostLauncher, seconds: float) -> None:
    """Return when a host has accepted `configure`; ConfigurationError when it refuses, or takes longer."""
    answer: asyncio.Future[ToManager | str] = asyncio.get_running_loop().create_future()

    def say(what: ToManager | str) -> None:
        if not answer.done():
            answer.set_result(what)

    def receive(payload: bytes) -> None:
        try:
            message = _decode(payload)
        except (ValueError, RecursionError) as error:
            say(f"its host sent what makes no sense: {error}")
            return
        if isinstance(message, Declare | Refuse):
            say(message)

    try:
        handle = await launcher.launch(f"{configure.host}-trial", receive, lambda why: say("its host ended"))
    except OSError as error:
        raise _refused(configure, f"no host can be started to try it: {error}") from error
    try:
        handle.channel.send(msgspec.json.encode(configure))
        async with asyncio.timeout(seconds):
            said = await answer
    except TimeoutError:
        raise _refused(configure, f"its host was not ready within {seconds:g} s") from None
    finally:
        handle.kill()
        await handle.ended()
    match said:
        case Refuse(controller, key, reason):
            where = f"controllers.{controller}" + (f".{key}" if key else "")
            raise ConfigurationError(WHERE, where[:256], reason[:1000])
        case str():
            raise _refused(configure, said)


def _refused(configure: Configure, reason: str) -> ConfigurationError:
    names = ",".join(task.name for task in configure.controllers)
    return ConfigurationError(WHERE, f"controllers.{names}"[:256], reason[:1000])
