"""Apprise: a hundred services behind URLs of their own, such as slack:// or tgram://. Optional, and imported late."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from lamplighter.integrations.notices.address import check_apprise
from lamplighter.integrations.notices.alarm import AlarmMessage
from lamplighter.integrations.notices.channel import Undelivered
from lamplighter.integrations.notices.message import Message, Target
from lamplighter.integrations.notices.wording import Telling

TIMEOUT = 60  # seconds: its services have shorter ones of their own


class AppriseSender:
    """Sends through Apprise, which blocks, in a thread."""

    async def send(self, message: Message | AlarmMessage, telling: Telling, target: Target) -> None:  # noqa: ARG002 - words suffice
        check_apprise()
        async with asyncio.timeout(TIMEOUT):
            is_sent = await asyncio.to_thread(_notify, target.address.reveal(), telling.subject, telling.text)
        if not is_sent:
            raise Undelivered("the service behind Apprise did not take it: see that its URL is right.")


def is_known(url: str) -> bool:
    """Whether Apprise can make something of the URL."""
    return bool(_apprise().Apprise().add(url))


def _notify(url: str, title: str, body: str) -> bool:
    apprise = _apprise()
    service = apprise.Apprise()
    service.add(url)
    return bool(service.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT))


def _apprise() -> Any:
    import apprise  # noqa: PLC0415 - optional, and slow to import

    logging.getLogger("apprise").disabled = True  # it writes URLs into its lines, passwords and all
    return apprise
