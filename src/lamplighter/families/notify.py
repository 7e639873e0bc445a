"""The notify family: people are told what happens to integrations, by mail, webhook or Apprise.

`notify.dispatch` makes messages of new notices every few seconds, and `notify.deliver` delivers one message. What a
kill leaves between the two is found in the tables, where each message is open until it was sent or given up.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from lamplighter.app import App
from lamplighter.core.retry import exponential
from lamplighter.core.verdict import Discard, Snooze
from lamplighter.engine.context import Ctx
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.notices.channel import Refused, Undelivered
from lamplighter.integrations.notices.delivery import Deliverer
from lamplighter.integrations.notices.dispatch import Composed, Dispatcher
from lamplighter.integrations.notices.senders import open_senders

QUEUE = "notify"
DISPATCH_EVERY = timedelta(seconds=3)
RECOVER_EVERY = timedelta(minutes=1)
ATTEMPTS = 1000  # more than there can be: a message is given up by its age
MAX_CRASHES = 10  # a mail kills no worker, but may be sent beside jobs that do


class NotifyFamily:
    """The family's jobs on one app, which has the token family too: that has the tables, open while the app is."""

    def __init__(self, app: App[Any], tokens: TokenFamily) -> None:
        self._app = app
        self._tokens = tokens
        self._dispatcher: Dispatcher
        self._deliverer: Deliverer
        self.deliver = app.job(
            "notify.deliver",
            queue=QUEUE,
            unique="notify.deliver:{message_id}",
            retry=exponential(first=10, factor=2, cap=1800, attempts=ATTEMPTS),
            timeout=120,
            keep_done=timedelta(hours=1),
            max_crashes=MAX_CRASHES,
        )(self._deliver)
        self.dispatch = app.job("notify.dispatch", queue=QUEUE, unique=True, keep_done=timedelta(minutes=1))(
            self._dispatch
        )
        app.every(DISPATCH_EVERY, self.dispatch.draft(), name="notify.dispatch", misfire="skip")
        app.every(RECOVER_EVERY, self.dispatch.draft(everything=True), name="notify.recover", misfire="skip")
        app.lifespan(self._open)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        service, settings, clock = self._tokens.service, self._app.settings, self._app.clock
        async with open_senders(settings, clock) as senders:
            self._dispatcher = Dispatcher(service.database, clock=clock)
            self._deliverer = Deliverer(
                service.database,
                service.vault,
                senders,
                public_url=settings.public_url,
                clock=clock,
                meter=self._app.meter,
            )
            await self.dispatch.enqueue(everything=True)
            yield

    async def _dispatch(self, _ctx: Ctx[Any], *, everything: bool = False) -> int:
        """Make messages of what is new, and have them delivered; with `everything` also those whose job was lost."""
        await self._dispatcher.address()
        found = 0
        async for composed in self._dispatcher.compose():
            found += await self._enqueue(composed)
        if everything:
            async for composed in self._dispatcher.unfinished():
                found += await self._enqueue(composed)
        return found

    async def _enqueue(self, composed: Iterable[Composed]) -> int:
        drafts = [self.deliver.using(tenant=one.tenant_id).draft(one.message_id) for one in composed]
        return sum(handle.created for handle in await self._app.enqueue(drafts))

    async def _deliver(self, _ctx: Ctx[Any], message_id: str) -> str:
        """Deliver one message."""
        try:
            return await self._deliverer.deliver(message_id)
        except Undelivered as error:
            if error.retry_after is not None:
                raise Snooze(error.retry_after, str(error)) from None
            raise
        except Refused as error:
            raise Discard(str(error)) from None
