"""/debug: what a process is doing right now. Off unless the configuration turns it on.

    GET /debug/tasks                every task and where it stands
    GET /debug/profile?seconds=5    where the CPU time goes: sampled stacks, "a;b;c 12" a line
    GET /debug/log-level            the level of the log;  PUT changes it until the next restart

Guarantees: bounded output and time; one profile at a time; sampling runs in a thread of its own and
slows nothing down noticeably. Shows the manager's process only. Owns nothing.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Literal

from kcm.serving.messages import Handler, Request, Response

MOST_TASKS = 500
DEEPEST = 24
_FRAMES = ("cr_frame", "gi_frame", "ag_frame")
_INNER = ("cr_await", "gi_yieldfrom", "ag_await")
LONGEST_SECONDS = 30.0
EVERY_SECONDS = 0.01
Level = Literal["debug", "info", "warning", "error"]
LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")


def debug_pages(level: Callable[[], Level], set_level: Callable[[Level], None]) -> Handler:
    """Return the handler of everything below /debug."""
    profiling = asyncio.Lock()

    async def handle(request: Request) -> Response:
        match request.method, request.path.rstrip("/"):
            case "GET" | "HEAD", "/debug":
                return _text(200, __doc__ or "")
            case "GET", "/debug/tasks":
                return _text(200, task_dump())
            case "GET", "/debug/profile":
                return await _profile(request, profiling)
            case "GET", "/debug/log-level":
                return _text(200, f"{level()}\n")
            case "PUT", "/debug/log-level":
                return _change_level(request, set_level)
            case "GET" | "HEAD" | "PUT", _:
                return _text(404, "there is no such page; /debug lists those that are\n")
        return _text(405, "only GET, HEAD and PUT are served here\n")

    return handle


def task_dump() -> str:
    """Return every task of the running loop and the chain of awaits in which it stands, as text."""
    tasks = sorted(asyncio.all_tasks(), key=lambda task: task.get_name())
    lines = [f"{len(tasks)} tasks"]
    for task in tasks[:MOST_TASKS]:
        lines += ["", task.get_name(), *(f"  {place}" for place in _awaits(task.get_coro()))]
    return "\n".join(lines) + "\n"


def _awaits(awaited: Any) -> Iterator[str]:
    """Return where a coroutine stands, then the one that it awaits, and so on inward."""
    for _ in range(DEEPEST):
        frame = next((found for name in _FRAMES if (found := getattr(awaited, name, None))), None)
        if frame is None:
            if awaited is not None:
                yield f"on {type(awaited).__name__}"
            return
        yield f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}:{frame.f_lineno}"
        awaited = next((found for name in _INNER if (found := getattr(awaited, name, None))), None)


def sample(seconds: float) -> str:
    """Look at the stacks of all other threads every 10 ms; return how often each was seen. Blocks."""
    mine = threading.get_ident()
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    seen: Counter[str] = Counter()
    pause = threading.Event()
    for _ in range(round(seconds / EVERY_SECONDS)):
        for ident, frame in sys._current_frames().items():
            if ident != mine:
                seen[f"{names.get(ident, ident)};{_folded(frame)}"] += 1
        pause.wait(EVERY_SECONDS)
    return "".join(f"{stack} {count}\n" for stack, count in seen.most_common(2000))


async def _profile(request: Request, profiling: asyncio.Lock) -> Response:
    try:
        seconds = float(request.parameter("seconds", "5"))
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= LONGEST_SECONDS:
        return _text(400, f"seconds must be between 0.1 and {LONGEST_SECONDS:g}\n")
    if profiling.locked():
        return _text(429, "a profile is being taken; try again when it is done\n")
    async with profiling:
        return _text(200, await asyncio.to_thread(sample, seconds))


def _change_level(request: Request, set_level: Callable[[Level], None]) -> Response:
    text = request.body[:32].decode("utf-8", "replace").strip()
    for level in LEVELS:
        if text == level:
            set_level(level)
            return _text(200, f"{level}\n")
    return _text(400, f"write one of {', '.join(LEVELS)}\n")


def _folded(frame: FrameType | None) -> str:
    parts: list[str] = []
    while frame is not None and len(parts) < 64:
        code = frame.f_code
        parts.append(f"{frame.f_globals.get('__name__', '?')}.{code.co_qualname}")
        frame = frame.f_back
    return ";".join(reversed(parts))


def _text(status: int, text: str) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(status, text.encode("utf-8", "backslashreplace"), "text/plain; charset=utf-8", headers)
