"""Who is told: recipients of one tenant, and the operator's, who hear of all tenants."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update

from lamplighter.core.clock import Clock, from_us, to_us, utcnow
from lamplighter.core.config import Settings
from lamplighter.core.ids import new_id
from lamplighter.core.secret import Secret
from lamplighter.integrations import audit
from lamplighter.integrations.notices.address import (
    BadRecipient,
    Channel,
    check_address,
    check_channel,
    masked,
    shown,
)
from lamplighter.integrations.notices.events import BadEvent, defaults, find_for, heard_by
from lamplighter.integrations.notices.signature import new_secret
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.tables import alert_deliveries, deliveries, messages, recipients, tenants
from lamplighter.integrations.vault import Vault, VaultError

MOST = 50  # recipients of one tenant, or of the operator
DEFAULT = "default"  # beside events: those that say so of themselves, also what is declared later
REMOVED = "its recipient was removed"

_row = recipients.c


class Recipient(Struct, frozen=True, kw_only=True):
    """Who is told of what. `address`: of a webhook or Apprise only where it leads, for the rest may be a secret."""

    id: str
    tenant_id: str | None
    channel: Channel
    address: str
    events: tuple[str, ...]
    created_at: datetime


class Added(NamedTuple):
    """A recipient, and the secret that signs what a new webhook is sent: it is shown this once."""

    recipient: Recipient
    secret: Secret | None


class Recipients:
    """The table of recipients. `tenant_id` None is the operator, who hears of all tenants."""

    def __init__(self, database: Database, vault: Vault, settings: Settings, *, clock: Clock = utcnow) -> None:
        self._database = database
        self._vault = vault
        self._settings = settings
        self._clock = clock

    async def add(
        self, tenant_id: str | None, channel: Channel, address: str, events: Iterable[str] | None = None
    ) -> Added:
        """Tell that address of what happens from now on; one that is told already hears of these events instead.

        Args:
            events: by default those that are declared to be; of integrations that one is revoked, expired, or
                recovered; for the operator also that our own set-up is at fault (`integration.error`), and alerts.

        Raises:
            ConfigError: no e-mail can be sent with these settings, or Apprise is not installed.
            BadRecipient: the address or an event cannot be, there is no such tenant, or it has too many recipients.
        """
        check_channel(channel, self._settings)
        check_address(channel, address)
        wanted = " ".join((DEFAULT, *defaults(tenant_id))) if events is None else _checked(events, tenant_id)
        now = self._clock()
        new = Recipient(
            id=new_id(to_us(now)),
            tenant_id=tenant_id,
            channel=channel,
            address=shown(channel, address),
            events=heard(wanted, tenant_id),
            created_at=now,
        )

        def write(connection: Connection) -> Added:
            _one_at_a_time(connection)
            _check_tenant(connection, tenant_id)
            known = self._find(connection, tenant_id, channel, address)
            if known is not None:
                return Added(_change(connection, self._recipient(known), known.events, wanted, now), None)
            return self._insert(connection, new, address, wanted)

        return await self._database.write(write)

    async def remove(self, tenant_id: str | None, recipient_id: str) -> bool:
        """Tell it nothing more, not even what is on its way. True if it was there."""
        now = self._clock()

        def write(connection: Connection) -> bool:
            statement = delete(recipients).where(_row.id == recipient_id, _of(tenant_id)).returning(*recipients.c)
            row = connection.execute(statement).first()
            if row is None:
                return False
            forget(connection, recipient_id, now)
            _record(connection, "recipient.removed", self._recipient(row), now)
            return True

        return await self._database.write(write)

    async def get(self, recipient_id: str) -> Recipient | None:
        """The recipient, if there is one."""
        row = await self.sealed(recipient_id)
        return None if row is None else self._recipient(row)

    async def sealed(self, recipient_id: str) -> Row[Any] | None:
        """Its row, as only whoever sends has use for it."""
        statement = select(recipients).where(_row.id == recipient_id)
        return await self._database.read(lambda connection: connection.execute(statement).first())

    async def page(self, tenant_id: str | None, *, limit: int = 100, after: str = "") -> list[Recipient]:
        """A tenant's recipients, or the operator's, by id; go on with `after` = the last id of the page."""
        return await self._page(_of(tenant_id), limit, after)

    async def all(self, *, limit: int = 100, after: str = "") -> list[Recipient]:
        """Everybody's recipients, by id."""
        return await self._page(_row.id > "", limit, after)

    async def _page(self, condition: ColumnElement[bool], limit: int, after: str) -> list[Recipient]:
        statement = select(recipients).where(condition, _row.id > after).order_by(_row.id).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return [self._recipient(row) for row in rows]

    def _find(self, connection: Connection, tenant_id: str | None, channel: str, address: str) -> Row[Any] | None:
        """Compared decrypted: a digest beside it would let whoever reads the table guess the passwords in some."""
        rows = connection.execute(select(recipients).where(_of(tenant_id)).limit(MOST)).all()
        for row in rows:
            if row.channel == channel and self._decrypted(row) == address:
                return row
        if len(rows) >= MOST:
            raise BadRecipient(f"there are {MOST} recipients already: remove one first.")
        return None

    def _insert(self, connection: Connection, new: Recipient, address: str, events: str) -> Added:
        secret = new_secret() if new.channel == "webhook" else None
        values = {
            "id": new.id,
            "tenant_id": new.tenant_id,
            "channel": new.channel,
            "address": self._vault.encrypt(address, place(new.id, "address")),
            "secret": secret and self._vault.encrypt(secret.reveal(), place(new.id, "secret")),
            "events": events,
            "created_at": to_us(new.created_at),
        }
        connection.execute(insert(recipients), values)
        _record(connection, "recipient.added", new, new.created_at)
        return Added(new, secret)

    def _recipient(self, row: Row[Any]) -> Recipient:
        address = self._decrypted(row)
        return Recipient(
            id=row.id,
            tenant_id=row.tenant_id,
            channel=row.channel,
            address="(cannot be read)" if address is None else shown(row.channel, address),
            events=heard(row.events, row.tenant_id),
            created_at=from_us(row.created_at),
        )

    def _decrypted(self, row: Row[Any]) -> str | None:
        """None if no key opens it: one that cannot be read can still be seen, and removed."""
        try:
            return self._vault.decrypt(row.address, place(row.id, "address"))
        except VaultError:
            return None


def forget(connection: Connection, recipient_id: str, now: datetime) -> None:
    """What a recipient that is gone was still to be told is not sent."""
    waiting = (deliveries.c.recipient_id == recipient_id, deliveries.c.message_id.is_(None))
    connection.execute(delete(deliveries).where(*waiting))
    is_open = (messages.c.recipient_id == recipient_id, messages.c.ended_at.is_(None))
    connection.execute(update(messages).where(*is_open).values(ended_at=to_us(now), failure=REMOVED))
    letters = (alert_deliveries.c.recipient_id == recipient_id, alert_deliveries.c.ended_at.is_(None))
    connection.execute(update(alert_deliveries).where(*letters).values(ended_at=to_us(now), failure=REMOVED))


def place(recipient_id: str, field: str) -> str:
    """Where the vault says that an address or a secret is."""
    return f"recipient/{recipient_id}/{field}"


def heard(events: str, tenant_id: str | None) -> tuple[str, ...]:
    """What a recipient hears of whose row has these events."""
    names = tuple(events.split())
    return defaults(tenant_id) if DEFAULT in names else names


def _checked(events: Iterable[str], tenant_id: str | None) -> str:
    wanted = tuple(dict.fromkeys(events))
    try:
        for event in wanted:
            find_for(event, tenant_id)
    except BadEvent as error:
        raise BadRecipient(str(error)) from None
    if not wanted:
        raise BadRecipient(f"a recipient hears of at least one event: there are {', '.join(heard_by(tenant_id))}.")
    return " ".join(wanted)


def _check_tenant(connection: Connection, tenant_id: str | None) -> None:
    if tenant_id is not None and not connection.execute(select(tenants.c.id).where(tenants.c.id == tenant_id)).first():
        raise BadRecipient(f"there is no tenant {tenant_id!r:.60}: add it first.")


def _one_at_a_time(connection: Connection) -> None:
    """Or two that add one address at once would not see each other's. SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext("lamplighter.recipients"))))


def _change(connection: Connection, known: Recipient, before: str, events: str, now: datetime) -> Recipient:
    if set(before.split()) == set(events.split()):
        return known
    changed = msgspec.structs.replace(known, events=heard(events, known.tenant_id))
    connection.execute(update(recipients).where(_row.id == known.id).values(events=events))
    _record(connection, "recipient.changed", changed, now)
    return changed


def _record(connection: Connection, action: str, recipient: Recipient, now: datetime) -> None:
    about = audit.Resource("recipient", recipient.id, recipient.tenant_id)
    changes = {
        "channel": recipient.channel,
        "address": masked(recipient.channel, recipient.address),
        "events": list(recipient.events),
    }
    audit.record(connection, action, [about], now, changes=changes)


def _of(tenant_id: str | None) -> ColumnElement[bool]:
    return _row.tenant_id.is_(None) if tenant_id is None else _row.tenant_id == tenant_id
