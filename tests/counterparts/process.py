"""A script of Node's in a process of its own, for as long as a block lasts and no longer than this process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

STARTING = 60  # seconds a server may take to start: a fraction of one, unless every core is busy
STOPPING = 5  # seconds it may take to stop


class Server(Struct, frozen=True):
    """A running server."""

    url: str
    pid: int


Kind = TypeVar("Kind", bound=Server)


@contextlib.asynccontextmanager
async def running(kind: type[Kind], script: Path, settings: object = None) -> AsyncIterator[Kind]:
    """What the script serves. It needs the fixture `node_modules`, and gets the settings as JSON."""
    process = await asyncio.create_subprocess_exec(
        *(_node(), str(script), json.dumps(settings)), stdin=PIPE, stdout=PIPE, env=_environment()
    )
    try:
        yield msgspec.json.decode(await _announced(process, script.name), type=kind)
    finally:
        await _stop(process)


def _node() -> str:
    node = shutil.which("node")
    assert node is not None
    return node


def _environment() -> dict[str, str]:
    """Ours, without what makes Node or a package talkative: a version manager's `node` needs the rest."""
    ours = {name: value for name, value in os.environ.items() if name not in {"DEBUG", "NODE_DEBUG", "NODE_OPTIONS"}}
    return ours | {"NODE_NO_WARNINGS": "1"}


async def _announced(process: Process, name: str) -> bytes:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), STARTING)
    assert line, f"{name} did not start: what it wrote to standard error says why."
    return line


async def _stop(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.communicate(), STOPPING)
    except TimeoutError:
        process.kill()
        await process.communicate()
