"""A message as a channel sends it: what happened to whom, read from its deliveries."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Row, func, select, update

from lamplighter.core.clock import from_us, to_us
from lamplighter.core.secret import Secret
from lamplighter.integrations.measuring.measure import put
from lamplighter.integrations.measuring.told import of_message
from lamplighter.integrations.notices.address import Channel
from lamplighter.integrations.notices.outbox import Fact
from lamplighter.integrations.notices.own_words import OwnWords, read_own_words
from lamplighter.integrations.notices.recipients import place
from lamplighter.integrations.notices.words import one_line, says
from lamplighter.integrations.storage.tables import deliveries, messages, notices, providers, recipients, tenants
from lamplighter.integrations.vault import Vault

MOST_ITEMS = 1000  # notices told in full: of more, a message tells how many there are
LONGEST_REASON = 500


class Item(Struct, frozen=True, kw_only=True):
    """One notice of a message. `says`: what happened, if it is not of an integration."""

    id: str
    integration_id: str | None
    tenant_id: str | None
    tenant_name: str
    reason: str | None
    at: datetime
    says: str = ""
    facts: dict[str, Fact] = {}


class Message(Struct, frozen=True, kw_only=True):
    """One mail or call. Of `notices` that it tells of, `items` are the first, by age; about `integrations` of them. One
    that is of no integration has no provider either ("")."""

    id: str
    channel: Channel
    event: str
    provider_slug: str
    provider_name: str
    notices: int
    integrations: int
    first_at: datetime
    last_at: datetime
    items: tuple[Item, ...]
    created_at: datetime
    is_test: bool = False

    @property
    def type(self) -> str:
        """What a webhook is told it is."""
        return "notice.test" if self.is_test else self.event


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
    own_words: OwnWords | None = None  # for this event, of whose recipient it is
    unanswered: int = 0

    def __repr__(self) -> str:
        return f"Envelope({self.message.id})"

    def open(self, vault: Vault) -> Target:
        """Where it goes. Raises VaultError."""
        return unseal(vault, self.recipient_id, self.address, self.secret)


def unseal(vault: Vault, recipient_id: str, address: str, secret: str | None) -> Target:
    """Where a recipient is told, out of its row. Raises VaultError."""
    opened = secret and vault.decrypt(secret, place(recipient_id, "secret"))
    return Target(Secret(vault.decrypt(address, place(recipient_id, "address"))), Secret(opened) if opened else None)


def read(connection: Connection, message_id: str) -> Envelope | None:
    """The message, unless it has ended."""
    statement = (
        select(messages, recipients.c.channel, recipients.c.address, recipients.c.secret, recipients.c.tenant_id)
        .join(recipients, recipients.c.id == messages.c.recipient_id)
        .where(messages.c.id == message_id, messages.c.ended_at.is_(None))
    )
    row = connection.execute(statement).first()
    if row is None:
        return None
    message = _message(connection, row)
    own_words = read_own_words(connection, row.tenant_id, message.event)
    return Envelope(message, row.recipient_id, row.address, row.secret, own_words, row.unanswered)


def end(connection: Connection, message_id: str, now: datetime, failure: str | None = None) -> None:
    """It is sent, or given up for that reason."""
    is_open = (messages.c.id == message_id, messages.c.ended_at.is_(None))
    ended = update(messages).where(*is_open).values(ended_at=to_us(now), failure=failure)
    for recipient_id in connection.execute(ended.returning(messages.c.recipient_id)).scalars().all():
        whose = select(recipients.c.tenant_id).where(recipients.c.id == recipient_id)
        put(connection, [of_message(message_id, connection.execute(whose).scalar(), to_us(now), failure)], now)


def not_answered(connection: Connection, message_id: str) -> None:
    """It was sent, and nobody knows whether it arrived."""
    is_open = (messages.c.id == message_id, messages.c.ended_at.is_(None))
    connection.execute(update(messages).where(*is_open).values(unanswered=messages.c.unanswered + 1))


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
        event=event,
        provider_slug=slug,
        provider_name=one_line(connection.execute(name).scalar() or slug) if slug else "",
        notices=count,
        integrations=integrations,
        first_at=from_us(first),
        last_at=from_us(last),
        items=_items(connection, row.id, is_of_integration=bool(slug)),
        created_at=from_us(row.created_at),
    )


def _items(connection: Connection, message_id: str, *, is_of_integration: bool) -> tuple[Item, ...]:
    statement = (
        select(notices, tenants.c.name.label("tenant_name"))
        .join(deliveries, deliveries.c.notice_id == notices.c.id)
        .join(tenants, tenants.c.id == notices.c.tenant_id, isouter=True)
        .where(deliveries.c.message_id == message_id)
        .order_by(deliveries.c.notice_id)
        .limit(MOST_ITEMS)
    )
    return tuple(_item(row, is_of_integration) for row in connection.execute(statement))


def _item(row: Row[Any], is_of_integration: bool) -> Item:  # noqa: FBT001 - mapped
    tenant = one_line(row.tenant_name or "")
    return Item(
        id=row.id,
        integration_id=row.integration_id,
        tenant_id=row.tenant_id,
        tenant_name=tenant,
        reason=row.reason and one_line(row.reason, LONGEST_REASON),
        at=from_us(row.at),
        says="" if is_of_integration else says(row.event, row.facts or {}, tenant=tenant),
        facts=row.facts or {},
    )
