"""Deliver one message: send it, and write down that it was sent, or why it never will be."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Literal, NoReturn

from lamplighter.core.clock import Clock
from lamplighter.integrations.notices.address import Channel
from lamplighter.integrations.notices.channel import Refused, Sender, Unanswered, Undelivered, as_undelivered
from lamplighter.integrations.notices.message import Envelope, Message, end, not_answered, read
from lamplighter.integrations.notices.own_words import Failed, note_failure
from lamplighter.integrations.notices.wording import Telling, in_own_words, tell
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.vault import Vault
from lamplighter.observe.meter import Meter

MOST_UNANSWERED = 3  # times that one message is sent without an answer, and so doubles perhaps
GIVE_UP_AFTER = timedelta(days=1)  # by then whoever it was for has found out, or nobody mends it

_log = logging.getLogger("lamplighter.notices")

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
            await self._undelivered(envelope, error)
            raise
        except Refused as error:
            await self._give_up(envelope.message, "refused", str(error))
        self._meter.notified(envelope.message.channel, "sent")
        await self._end(envelope.message, None)
        return "sent"

    async def _undelivered(self, envelope: Envelope, error: Undelivered) -> None:
        """Returns if it is to be tried again. What may have arrived is sent again only so often."""
        message = envelope.message
        if isinstance(error, Unanswered):
            self._meter.notified(message.channel, "unanswered")
            await self._database.write(partial(not_answered, message_id=message.id))
            if envelope.unanswered + 1 >= MOST_UNANSWERED:
                failure = f"sent {MOST_UNANSWERED} times without an answer, so it may have arrived: {error}"
                await self._give_up(message, "given_up", failure)
        if self._clock() - message.created_at >= GIVE_UP_AFTER:
            await self._give_up(message, "given_up", f"given up after {GIVE_UP_AFTER.days} day: {error}")
        self._meter.notified(message.channel, "retried")

    async def _give_up(self, message: Message, outcome: str, failure: str) -> NoReturn:
        self._meter.notified(message.channel, outcome)
        await self._end(message, failure)
        raise Refused(failure) from None

    async def _send(self, envelope: Envelope) -> None:
        with as_undelivered():
            target = envelope.open(self._vault)
            telling = await self._told(envelope)
            await self._senders[envelope.message.channel].send(envelope.message, telling, target)

    async def _told(self, envelope: Envelope) -> Telling:
        """In the words of whose recipient it is, if it has any that can be used."""
        telling = tell(envelope.message, self._public_url)
        if envelope.own_words is None:
            return telling
        try:
            return in_own_words(envelope.message, telling, envelope.own_words)
        except Failed as error:
            note = partial(note_failure, words=envelope.own_words, failure=str(error), now=self._clock())
            await self._database.write(note)
            _log.warning("A message about %s is sent in shipped words: %s", envelope.message.event, error)
            return telling

    async def _end(self, message: Message, failure: str | None) -> None:
        now = self._clock()
        await self._database.write(partial(end, message_id=message.id, now=now, failure=failure))
