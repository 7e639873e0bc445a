"""A process that asks for access tokens when it is told to: `python asker.py FOLDER URL`.

Each line of its input is JSON: ids of integrations and the versions of their tokens that it is to take for rejected.
It asks for all of them at once, and answers with the versions that it was given.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from lamplighter.core.config import Settings
from lamplighter.integrations.refreshing.planner import NoPlanner
from lamplighter.integrations.service import open_service


async def main(folder: str, url: str) -> None:
    settings = Settings(store=url, folder=Path(folder))
    async with open_service(settings, NoPlanner()) as service:
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            rejected = msgspec.json.decode(line, type=dict[str, int])
            given = await asyncio.gather(
                *(service.access.get(id_, rejected=version) for id_, version in rejected.items())
            )
            print(msgspec.json.encode([access.token_version for access in given]).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
