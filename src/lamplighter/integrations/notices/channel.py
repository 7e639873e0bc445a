"""A way to reach people: e-mail, a webhook, Apprise. Each is a file of its own beside this one."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from lamplighter.core.errors import LamplighterError
from lamplighter.integrations.notices.alarm import AlarmMessage
from lamplighter.integrations.notices.message import Message, Target
from lamplighter.integrations.notices.wording import Telling


class Undelivered(LamplighterError):
    """It did not get through this time. `retry_after`: when the other side wants to be asked again."""

    def __init__(self, text: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Refused(LamplighterError):
    """It will never get through."""


class Sender(Protocol):
    """Sends messages on one channel."""

    async def send(self, message: Message | AlarmMessage, telling: Telling, target: Target) -> None:
        """Return once the other side has taken it.

        Raises:
            Undelivered, Refused: it has not. The text holds neither an address nor the other side's words.
        """
