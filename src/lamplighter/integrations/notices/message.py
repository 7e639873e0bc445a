"""A message as a channel sends it: what happened to whom, read from its deliveries."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from msgspec import Struct
from sqlalchemy import Connection, Row, func, select, update

from lamplighter.core.clock import from_us, to_us
from lamplighter.core.secret import Secret
from lamplighter.integrations.notices.address import Channel
from lamplighter.integrations.notices.recipients import place
from lamplighter.integrations.storage.tables import deliveries, messages, notices, providers, recipients, tenants
from lamplighter.integrations.transition import Event
from lamplighter.integrations.vault import Vault

MOST_ITEMS = 1000  # notices told in full: of more, a message tells how many there are
LONGEST_NAME = 100  # characters
LONGEST_REASON = 500


class Item(Struct, frozen=True, kw_only=True):
    """One notice of a message."""

    id: str
    integration_id: str
    tenant_id: str
    tenant_name: str
    reason: str | None
    at: datetime


class Message(Struct, frozen=True, kw_only=True):
    """One mail or call. Of `notices` that it tells of, `items` are the first, by age; about `integrations` of them."""

    id: str
    channel: Channel
    event: Event
    provider_slug: str
    provider_name: str
    notices: int
    integrations: int
    first_at: datetime
    last_at: datetime
    items: tuple[Item, ...]
    created_at: datetime


class Target(Struct, frozen=True):
    """Where it goes."""

    address: Secret
    secret: Secret | None  # signs what a webhook is sent


class Envelope(Struct, frozen=True):
    """A message that is still to be delivered, its recipient sealed."""

    message: Message
    recipient_id: str
    address: str
    secret: str | None

    def __repr__(self) -> str:
        return f"Envelope({self.message.id})"

    def open(self, vault: Vault) -> Target:
        """Where it goes. Raises VaultError."""
        address = vault.decrypt(self.address, place(self.recipient_id, "address"))
        secret = self.secret and vault.decrypt(self.secret, place(self.recipient_id, "secret"))
        return Target(Secret(address), Secret(secret) if secret else None)


def read(connection: Connection, message_id: str) -> Envelope | None:
    """The message, unless it has ended."""
    statement = (
        select(messages, recipients.c.channel, recipients.c.address, recipients.c.secret)
        .join(recipients, recipients.c.id == messages.c.recipient_id)
        .where(messages.c.id == message_id, messages.c.ended_at.is_(None))
    )
    row = connection.execute(statement).first()
    if row is None:
        return None
    return Envelope(_message(connection, row), row.recipient_id, row.address, row.secret)


def end(connection: Connection, message_id: str, now: datetime, failure: str | None = None) -> None:
    """It is sent, or given up for that reason."""
    is_open = (messages.c.id == message_id, messages.c.ended_at.is_(None))
    connection.execute(update(messages).where(*is_open).values(ended_at=to_us(now), failure=failure))


def one_line(text: str, most: int = LONGEST_NAME) -> str:
    """Somebody's text without line breaks and what else cannot be printed, cut: it may stand in a header."""
    printable = "".join(character if character.isprintable() else " " for character in text[: most * 2])
    line = " ".join(printable.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _message(connection: Connection, row: Row[Any]) -> Message:
    event, _, slug = row.topic.partition(" ")
    about = func.count(func.distinct(notices.c.integration_id))
    told = select(func.count(), about, func.min(notices.c.at), func.max(notices.c.at))
    told = told.select_from(deliveries).join(notices, notices.c.id == deliveries.c.notice_id)
    count, integrations, first, last = connection.execute(told.where(deliveries.c.message_id == row.id)).one()
    name = select(providers.c.display_name).where(providers.c.slug == slug)
    return Message(
        id=row.id,
        channel=row.channel,
        event=cast("Event", event),
        provider_slug=slug,
        provider_name=one_line(connection.execute(name).scalar() or slug),
        notices=count,
        integrations=integrations,
        first_at=from_us(first),
        last_at=from_us(last),
        items=_items(connection, row.id),
        created_at=from_us(row.created_at),
    )


def _items(connection: Connection, message_id: str) -> tuple[Item, ...]:
    statement = (
        select(notices, tenants.c.name.label("tenant_name"))
        .join(deliveries, deliveries.c.notice_id == notices.c.id)
        .join(tenants, tenants.c.id == notices.c.tenant_id)
        .where(deliveries.c.message_id == message_id)
        .order_by(deliveries.c.notice_id)
        .limit(MOST_ITEMS)
    )
    return tuple(_item(row) for row in connection.execute(statement))


def _item(row: Row[Any]) -> Item:
    return Item(
        id=row.id,
        integration_id=row.integration_id,
        tenant_id=row.tenant_id,
        tenant_name=one_line(row.tenant_name),
        reason=row.reason and one_line(row.reason, LONGEST_REASON),
        at=from_us(row.at),
    )
