"""Jobs that run in processes of their own: such a process imports them from here."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lamplighter import App, Cancel, Ctx, Retry, Snooze, exponential, never
from lamplighter.core.config import Settings
from lamplighter.observe.trace_id import current_trace_id

app = App("memory://", deps={"key": "value"}, settings=Settings())
C = Ctx[dict[str, str]]
SHORT = timedelta(seconds=1.5)  # a lease: its worker beats twice a second


class Custom(Exception):
    """Its `__init__` takes what it does not keep in `args`."""

    def __init__(self, code: int, *, hint: str) -> None:
        super().__init__(f"code {code}")
        self.code = code
        self.hint = hint


class Unpicklable(Exception):
    """Holds what cannot leave its process."""

    def __init__(self) -> None:
        super().__init__("cannot travel")
        self.lock = open(os.devnull)  # noqa: SIM115


class Odd(Exception):
    """Cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError


@app.job(process=True)
def day_in_process(ctx: C, *, day: int) -> datetime:
    print("printed by a process")
    return datetime(2030, 1, day, tzinfo=UTC)


@app.job(process=True)
async def day_in_process_on_loop(ctx: C, *, day: int) -> datetime:
    await asyncio.sleep(0)
    return datetime(2030, 1, day, tzinfo=UTC)


@app.job(process=True)
def who(ctx: C) -> dict[str, Any]:
    ctx_dict = {key: getattr(ctx, key) for key in ("id", "name", "queue", "tenant", "attempt", "deps")}
    return {**ctx_dict, "elsewhere": os.getpid() != os.getppid()}


@app.job(process=True, retry=never)
def raise_in_process(ctx: C, what: str) -> None:
    def local() -> type[Exception]:
        class Local(Exception):
            pass

        return Local

    errors: dict[str, BaseException] = {
        "custom": Custom(7, hint="look"),
        "missing file": FileNotFoundError(2, "No such file", "/lamp"),
        "unpicklable": Unpicklable(),
        "odd": Odd(),
        "local": local()("of a local class"),
        "exit": SystemExit(4),
        "stop iteration": StopIteration(1),
        "snooze": Snooze(timedelta(hours=2), "later"),
        "cancel": Cancel("not wanted"),
        "retry": Retry("again", after=timedelta(hours=3)),
    }
    raise errors[what]


@app.job(process=True, retry=exponential(attempts=3))
def retried_in_process(ctx: C) -> None:
    raise Retry("again", after=timedelta(hours=3))


@app.job(process=True)
def return_no_json(ctx: C) -> Any:
    return object()


@app.job(process=True, timeout=20, retry=never)
def hold_on(ctx: C, folder_name: str) -> None:
    """Starts a child of its own, says so, and ends only by force. A child that lives on would hold the pipe open."""
    folder = Path(folder_name)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (folder / "pids.tmp").write_text(f"{os.getpid()} {child.pid}")
    (folder / "pids.tmp").rename(folder / "pids")
    ctx.progress(1, of=2, note="holding")
    time.sleep(600)


@app.job(process=True, retry=never)
def kill_itself(ctx: C) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.job(process=True, retry=never)
def exit_at_once(ctx: C) -> None:
    os._exit(7)


@app.job(process=True, memory_mb=512, retry=never)
def take_memory(ctx: C) -> int:
    return len(bytearray(2 * 1024**3))


@app.job(process=True, unique=True, retry=never)
async def enqueue_itself(ctx: Ctx[Any], url: str) -> bool:
    async with App(url, settings=Settings()) as other:
        register: Any = other.job("enqueue_itself", unique=True)
        created: bool = (await register(enqueue_itself.function).enqueue(url)).created
        return created


@app.job(process=True)
def talk(ctx: C, *, files: int) -> None:
    ctx.log.info("indexed", files=files)
    try:
        dict[str, str]()["lamp"]
    except KeyError:
        ctx.log.exception("one of %d is missing", files)


@app.job(process=True, retry=never)
def talk_and_die(ctx: C, *, when: str) -> None:
    ctx.log.info("last words")
    while not Path(when).exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


@app.job(process=True)
def trace_here(ctx: C) -> str | None:
    return current_trace_id()
