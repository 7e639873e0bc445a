"""Waiting for what a store comes to say, for the tests of the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lamplighter import App, Handle
from lamplighter.core.model import JobView, Record


async def until(handle: Handle[Any], so: Callable[[JobView], bool]) -> JobView:
    """The job, once it is so."""
    while not so(view := await handle.view()):
        await _breathe()
    return view


async def until_true(so: Callable[[], bool]) -> None:
    """Until it is so: for what threads do, and what has no event to wait for."""
    while not so():
        await _breathe()


async def until_counts(app: App[Any], **counts: int) -> None:
    """Until so many jobs, over all queues, are in these states."""
    while True:
        stats = await app.store.stats()
        if all(sum(getattr(one, state) for one in stats) == n for state, n in counts.items()):
            return
        await _breathe()


async def until_record(app: App[Any], kind: str, text: str) -> Record:
    """The first record of a kind with this text in it, once there is one."""
    while True:
        for record in await app.store.records(kind, now=app._clock()):
            if text in record.value:
                return record
        await _breathe()


async def until_a_line(app: App[Any], job: str) -> None:
    """Until something that a job logged is kept."""
    while not await app.store.logs(job, limit=1):
        await _breathe()


def alive(pid: int) -> bool:
    """Whether it runs; what was killed and is not waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def _breathe() -> None:
    await asyncio.sleep(0.005)
