"""A message that says that it is a test, sent at once, and what became of it: by mail once through each server."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import NamedTuple

import msgspec

from lamplighter.core.clock import Clock, to_us
from lamplighter.core.config import Settings
from lamplighter.core.ids import new_id
from lamplighter.core.secret import Secret
from lamplighter.integrations.notices.address import (
    BadRecipient,
    Channel,
    check_address,
    check_channel,
    check_mail,
    masked,
)
from lamplighter.integrations.notices.channel import Refused, Undelivered, as_undelivered
from lamplighter.integrations.notices.channel_mail import mail_of, send_by, servers_of
from lamplighter.integrations.notices.message import Message, Target, unseal
from lamplighter.integrations.notices.own_templates import sample
from lamplighter.integrations.notices.recipients import Recipients
from lamplighter.integrations.notices.senders import open_senders
from lamplighter.integrations.notices.wording import Telling, tell
from lamplighter.integrations.vault import Vault

EVENT = "integration.connected"  # of which it is a sample


class Tried(NamedTuple):
    """By which way, to whom (in part), and why it did not get through, or None."""

    way: str
    to: str
    failure: str | None


async def to_address(channel: Channel, address: str, settings: Settings, clock: Clock) -> list[Tried]:
    """Raises ConfigError if nobody can be told there. A webhook's calls are signed: test those by their recipient."""
    check_channel(channel, settings)
    check_address(channel, address)
    if channel == "webhook":
        raise BadRecipient("a webhook is tested by its recipient, which has the secret: give the recipient's id.")
    return await _try(channel, Target(Secret(address), None), settings, clock)


async def to_recipient(
    recipient_id: str, recipients: Recipients, vault: Vault, settings: Settings, clock: Clock
) -> list[Tried]:
    """Raises BadRecipient if there is none of that id, VaultError if no key opens its address."""
    row = await recipients.sealed(recipient_id)
    if row is None:
        raise BadRecipient("there is no such recipient: `lamplighter integrations recipients` lists those there are.")
    target = unseal(vault, row.id, row.address, row.secret)
    return await _try(row.channel, target, settings, clock)


async def _try(channel: Channel, target: Target, settings: Settings, clock: Clock) -> list[Tried]:
    now, to = clock(), masked(channel, target.address.reveal())
    message = msgspec.structs.replace(sample(EVENT, now, is_test=True), id=new_id(to_us(now)), channel=channel)
    telling = tell(message, settings.public_url)
    if channel == "email":
        return await _mail(message, telling, target, to, settings)
    async with open_senders(settings, clock) as senders:
        return [Tried(channel, to, await _failure(senders[channel].send(message, telling, target)))]


async def _mail(message: Message, telling: Telling, target: Target, to: str, settings: Settings) -> list[Tried]:
    check_mail(settings)
    assert settings.smtp_url is not None
    assert settings.mail_from is not None
    mail = mail_of(message, telling, settings.mail_from, target.address.reveal())
    return [Tried(server.name, to, await _failure(send_by(server, mail))) for server in servers_of(settings.smtp_url)]


async def _failure(sending: Awaitable[None]) -> str | None:
    try:
        with as_undelivered():
            await sending
    except (Undelivered, Refused) as error:
        return str(error)
    return None
