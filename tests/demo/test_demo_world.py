from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE
from urllib.parse import urlsplit

import httpx2
import pytest

from lamplighter.core.errors import ConfigError, LamplighterError
from lamplighter.demo.client import ask_drive, connect
from lamplighter.demo.faults import Cue, Outage
from lamplighter.demo.world import World, running_world

SERVER = (sys.executable, "-m", "lamplighter.demo.server")
PARENT = """
import asyncio
from lamplighter.demo.world import running_world

async def main():
    async with running_world(faults=False) as world:
        print(world.url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def listening(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((parts.hostname, parts.port)) == 0


async def test_two_worlds_side_by_side_share_nothing(http: httpx2.AsyncClient) -> None:
    async with running_world(faults=False) as one, running_world(faults=False) as other:
        grant = await connect(http, one.url, "lantern-drive", "ada")
        answers = [await ask_drive(http, world.url, "lantern-drive", grant, "about") for world in (one, other)]
        assert [answer.status_code for answer in answers] == [200, 401]


async def test_a_world_ends_with_its_block() -> None:
    async with running_world(faults=False) as world:
        assert world.pid != os.getpid()
        assert listening(world.url)
    assert not listening(world.url)
    with pytest.raises(ProcessLookupError):
        os.kill(world.pid, 0)


async def test_a_killed_parent_leaves_no_orphan() -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=PIPE, stderr=PIPE)
    assert parent.stdout is not None
    url = (await asyncio.wait_for(parent.stdout.readline(), 30)).decode().strip()
    assert listening(url)
    parent.kill()
    await asyncio.wait_for(parent.communicate(), 20)  # the world holds the same stderr: it ends when the world has
    assert not listening(url)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_server_says_one_line_and_leaves_cleanly_when_told(number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(*SERVER, "--port", "0", "--no-faults", stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    line = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
    assert line == {"url": line["url"], "pid": process.pid}
    assert listening(line["url"])
    process.send_signal(number)
    assert await asyncio.wait_for(process.communicate(), 20) == (b"", b"")
    assert process.returncode == 0


async def test_a_world_that_cannot_start_says_so() -> None:
    beyond_an_hour = Cue(7200, Outage(provider="stormy-drive", seconds=1))
    with pytest.raises(LamplighterError, match="did not start"):
        async with running_world([beyond_an_hour]):
            pass


async def test_an_unknown_provider_is_named_with_those_there_are(world: World, http: httpx2.AsyncClient) -> None:
    with pytest.raises(ConfigError, match="lantern-drive"):
        await connect(http, world.url, "lantern", "ada")
