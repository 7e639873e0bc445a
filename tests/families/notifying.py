"""Both families on an app of its own, and the mail server that it sends by."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from tests.families.running import Home, Running
from tests.integrations.telling import SENDER, MailServer, Sent, sent

from lamplighter.app import App
from lamplighter.core.clock import Clock, utcnow
from lamplighter.core.config import Settings
from lamplighter.core.secret import Secret
from lamplighter.families.notify import NotifyFamily
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.service import Service

ROOT = Path(__file__).parents[2]
DELIVER, DISPATCH = "notify.deliver", "notify.dispatch"

WORKER = """
import asyncio, sys
from pathlib import Path
from lamplighter.app import App
from lamplighter.families.notify import NotifyFamily
from lamplighter.families.tokens import TokenFamily
from tests.families.notifying import settings_of
from tests.families.running import Home

async def main():
    app = App(settings=settings_of(Home(Path(sys.argv[2]), *sys.argv[3:]), sys.argv[1], lease=1))
    NotifyFamily(app, TokenFamily(app))
    async with app, app.worker() as worker:
        print("working", flush=True)
        await worker.stopped()

asyncio.run(main())
"""


class Notifying(Running):
    """An open app with both families, and what it did."""

    def __init__(self, app: App[None], tokens: TokenFamily, notify: NotifyFamily) -> None:
        super().__init__(app, tokens)
        self.notify = notify

    @property
    def service(self) -> Service:
        return self.tokens.service

    async def sent(self) -> list[Sent]:
        """All messages, by age."""
        return await sent(self.service)

    async def until_ended(self, count: int = 1) -> list[Sent]:
        """Wait until there are so many messages, and all have ended."""
        async with asyncio.timeout(60):
            while len(found := await self.sent()) < count or not all(one.ended for one in found):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return found


def settings_of(home: Home, smtp_url: str, *, lease: float = 5) -> Settings:
    """For an app at home there that sends mail by that server."""
    return msgspec.structs.replace(
        home.settings(lease), smtp_url=Secret(smtp_url), mail_from=SENDER, public_url="https://app.example.com"
    )


@asynccontextmanager
async def notifying(home: Home, post: MailServer, *, clock: Clock = utcnow) -> AsyncIterator[Notifying]:
    """An open app there. Several may be open on one: each is as good as a process."""
    app = App(settings=settings_of(home, post.url), clock=clock)
    tokens = TokenFamily(app)
    notify = NotifyFamily(app, tokens)
    async with app:
        yield Notifying(app, tokens, notify)


async def start_worker(home: Home, *posts: MailServer) -> Process:
    """A worker in a process of its own, which sends by those servers."""
    path = os.pathsep.join(["src", str(ROOT), *sys.path])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, " ".join(post.url for post in posts), *home.arguments, stdout=PIPE,
        cwd=ROOT, env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"working\n"
    return process
