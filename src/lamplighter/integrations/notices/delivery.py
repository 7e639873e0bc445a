"""Deliver one message: send it, and write down that it was sent, or why it never will be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Literal

from lamplighter.core.clock import Clock
from lamplighter.integrations.notices.address import Channel
from lamplighter.integrations.notices.channel import Refused, Sender, Undelivered, as_undelivered
from lamplighter.integrations.notices.message import Envelope, Message, end, read
from lamplighter.integrations.notices.wording import tell
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.vault import Vault
from lamplighter.observe.meter import Meter

GIVE_UP_AFTER = timedelta(days=1)  # by then whoever it was for has found out, or nobody mends it

Delivered = Literal["sent", "ended before"]


class Deliverer:
    """Delivers messages at least once. Killed between sending one and writing that down, it sends it again, under the
    same id, by which the receiver can tell."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        senders: Mapping[Channel, Sender],
        *,
        public_url: str | None,
        clock: Clock,
        meter: Meter | None = None,
    ) -> None:
        self._database = database
        self._vault = vault
        self._senders = senders
        self._public_url = public_url
        self._clock = clock
        self._meter = Meter() if meter is None else meter

    async def deliver(self, message_id: str) -> Delivered:
        """Send it, unless it was sent, or its recipient removed.

        Raises:
            Undelivered: it did not get through, and is to be tried again.
            Refused: it was given up.
        """
        envelope = await self._database.read(lambda connection: read(connection, message_id))
        if envelope is None:
            return "ended before"
        try:
            await self._send(envelope)
        except Undelivered as error:
            if self._clock() - envelope.message.created_at < GIVE_UP_AFTER:
                self._meter.notified(envelope.message.channel, "retried")
                raise
            self._meter.notified(envelope.message.channel, "given_up")
            await self._end(envelope.message, f"given up after {GIVE_UP_AFTER.days} day: {error}")
            raise Refused(f"it is given up after {GIVE_UP_AFTER.days} day: {error}") from None
        except Refused as error:
            self._meter.notified(envelope.message.channel, "refused")
            await self._end(envelope.message, str(error))
            raise
        self._meter.notified(envelope.message.channel, "sent")
        await self._end(envelope.message, None)
        return "sent"

    async def _send(self, envelope: Envelope) -> None:
        message = envelope.message
        with as_undelivered():
            target = envelope.open(self._vault)
            await self._senders[message.channel].send(message, tell(message, self._public_url), target)

    async def _end(self, message: Message, failure: str | None) -> None:
        now = self._clock()
        await self._database.write(partial(end, message_id=message.id, now=now, failure=failure))
