"""A way to reach people: e-mail, a webhook, Apprise. Each is a file of its own beside this one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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


class Unanswered(Undelivered):
    """All of it was sent, and no answer came: it may have arrived. To send it again may double it."""


class Refused(LamplighterError):
    """It will never get through."""


@contextmanager
def as_undelivered() -> Iterator[None]:
    """Sending, whatever it fails of: what is raised is Undelivered or Refused, and its text holds no address."""
    try:
        yield
    except (Undelivered, Refused):
        raise
    except LamplighterError as error:  # a key or a setting is missing
        raise Undelivered(str(error)) from None
    except Exception as error:  # noqa: BLE001 - whose text and traceback may have the address
        raise Undelivered(f"sending it failed ({type(error).__name__}).") from None


class Sender(Protocol):
    """Sends messages on one channel."""

    async def send(self, message: Message | AlarmMessage, telling: Telling, target: Target) -> None:
        """Return once the other side has taken it.

        Raises:
            Undelivered, Refused: it has not. The text holds neither an address nor the other side's words.
        """
