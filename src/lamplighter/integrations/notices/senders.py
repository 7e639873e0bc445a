"""All channels, ready to send."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from lamplighter.core.clock import Clock
from lamplighter.core.config import Settings
from lamplighter.integrations.notices.address import Channel
from lamplighter.integrations.notices.channel import Sender
from lamplighter.integrations.notices.channel_apprise import AppriseSender
from lamplighter.integrations.notices.channel_mail import MailSender
from lamplighter.integrations.notices.channel_webhook import WebhookSender, webhook_client


@asynccontextmanager
async def open_senders(settings: Settings, clock: Clock) -> AsyncIterator[Mapping[Channel, Sender]]:
    """A sender for each channel, for as long as the block lasts. What is not set up says so when it is to send."""
    async with webhook_client() as http:
        yield {
            "email": MailSender(settings, clock=clock),
            "webhook": WebhookSender(http, clock=clock),
            "apprise": AppriseSender(),
        }
