"""A demo world in a process of its own, for as long as a `with` block lasts."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence

import msgspec

from lamplighter.core.errors import LamplighterError
from lamplighter.demo.catalog import GRANTS, PROVIDERS, DemoGrant, DemoProvider
from lamplighter.demo.faults import FAULTS, Cue

__all__ = ["GRANTS", "PROVIDERS", "DemoGrant", "DemoProvider", "World", "running_world"]

STARTING = 30  # seconds a world may take to start
STOPPING = 5  # seconds it may take to stop


class World(msgspec.Struct, frozen=True):
    """Where a running world is."""

    url: str
    pid: int


@contextlib.asynccontextmanager
async def running_world(
    faults: bool | Sequence[Cue] = True,  # noqa: FBT001, FBT002 - reads as a sentence: running_world(faults=False)
    *,
    token_lifetime: int | None = None,
) -> AsyncIterator[World]:
    """A world that lasts as long as the block, and no longer than this process.

    `faults`: whether the usual script is played, or another to play. `token_lifetime` (seconds): instead of the
    providers' own.

    Raises:
        LamplighterError: it did not start.
    """
    process = await asyncio.create_subprocess_exec(
        *_command(faults, token_lifetime), stdin=PIPE, stdout=PIPE, start_new_session=True
    )  # a session of its own, or Ctrl-C would end it while a worker still needs it to drain
    try:
        yield await _announced(process)
    finally:
        await _stop(process)


def _command(faults: bool | Sequence[Cue], token_lifetime: int | None) -> list[str]:  # noqa: FBT001
    script = {True: FAULTS, False: ()}[faults] if isinstance(faults, bool) else faults
    command = [sys.executable, "-m", "lamplighter.demo.server", "--with-parent"]
    command += ["--faults", msgspec.json.encode(script).decode()]
    return command + ([] if token_lifetime is None else ["--token-lifetime", str(token_lifetime)])


async def _announced(process: Process) -> World:
    """What the world says of itself once it accepts connections."""
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), STARTING)
        return msgspec.json.decode(line, type=World)
    except (TimeoutError, msgspec.DecodeError) as error:
        raise LamplighterError(
            "the demo world did not start: run `python -m lamplighter.demo.server` to see why."
        ) from error


async def _stop(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.communicate(), STOPPING)
    except TimeoutError:
        process.kill()
        await process.communicate()
