"""The table of integrations: a tenant's connections to providers, with tokens that only the vault can read."""

from __future__ import annotations

import random as dice
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, Select, func, select, tuple_, update

from lamplighter.core.clock import Clock, from_us, maybe_from_us, maybe_to_us, to_us, utcnow
from lamplighter.core.ids import new_id
from lamplighter.core.secret import Secret
from lamplighter.integrations import audit
from lamplighter.integrations.integration import (
    SHOWN,
    Access,
    Integration,
    NewIntegration,
    Status,
    Token,
    from_row,
    place,
)
from lamplighter.integrations.refreshing.planner import NoPlanner, Planner, plan_after, planned_within
from lamplighter.integrations.refreshing.row import REFRESHABLE
from lamplighter.integrations.refreshing.schedule import Dice, refresh_at
from lamplighter.integrations.storage.database import Database, insert_into, insert_new
from lamplighter.integrations.storage.tables import health, integrations, providers
from lamplighter.integrations.transition import Transition, record
from lamplighter.integrations.vault import Vault

BATCH = 1000  # rows in one transaction or page: no more are in memory at once
LOOKED_AT = 1000  # integrations, in the order in which they are refreshed, for the first expiry
FIXED = ("id", "tenant_id", "provider_slug", "created_at")  # what connecting anew leaves as it was

_row = integrations.c
_access = select(
    _row.access_token,
    _row.issued_at,
    _row.expires_at,
    _row.token_version,
    _row.tenant_id,
    _row.provider_slug,
    providers.c.version,
).join(providers, providers.c.slug == _row.provider_slug)


class Due(NamedTuple):
    """An integration to refresh."""

    id: str
    tenant_id: str
    provider_slug: str
    refresh_at: datetime | None


class Integrations:
    """The table of integrations."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        planner: Planner | None = None,
        *,
        clock: Clock = utcnow,
        random: Dice = dice.random,
    ) -> None:
        self._database = database
        self._vault = vault
        self._planner = planner or NoPlanner()
        self._clock = clock
        self._random = random

    async def connect(self, new: NewIntegration) -> Integration:
        """Connect a tenant to a provider, anew if it was connected before: then its row and id stay.

        A refresh that is under way meanwhile does not overwrite the new tokens. The first refresh is planned with them.
        """
        now = self._clock()

        def write(connection: Connection) -> tuple[str, datetime | None]:
            """Its id, and when to refresh it if that could not be planned here."""
            values = self._insert(connection, new, now) or self._replace(connection, new, now)
            at = maybe_from_us(values["refresh_at"])
            is_planned = at is None or planned_within(self._planner, connection, [(values["id"], at)])
            return values["id"], None if is_planned else at

        connected, at = await self._database.write(write)
        if at is not None:
            await plan_after(self._planner, connected, at)
        await self._planner.settle()
        found = await self.get(connected)
        assert found is not None, "integrations are not deleted"
        return found

    async def add_many(self, new: Iterable[NewIntegration], *, batch: int = BATCH) -> int:
        """Import integrations, `batch` in a transaction; tenants that have one stay as they are. Returns how many came.

        Raises VaultError for a token that MWAP's key does not open; the batches before are imported.
        """
        added = 0
        for some in _batched(new, batch):
            added += len(await self.add(some))
        return added

    async def add(self, new: Sequence[NewIntegration]) -> list[Due]:
        """The same in one transaction. Returns those that came, to be planned where they have a `refresh_at`."""
        now = self._clock()
        rows = [self._values(one, now) for one in new]
        came = await self._database.write(lambda connection: _add(connection, rows, now))
        return [
            Due(row["id"], row["tenant_id"], row["provider_slug"], maybe_from_us(row["refresh_at"])) for row in came
        ]

    async def get(self, integration_id: str) -> Integration | None:
        """The integration, if there is one."""
        statement = select(*SHOWN).where(_row.id == integration_id)
        row = await self._database.read(lambda connection: connection.execute(statement).first())
        return None if row is None else from_row(row)

    async def providers_of(self, integration_ids: Collection[str]) -> dict[str, str]:
        """The slug of the provider of each of these that there are."""
        statement = select(_row.id, _row.provider_slug).where(_row.id.in_(integration_ids))
        return {row.id: row.provider_slug for row in await self._read(statement)}

    async def access(self, integration_id: str) -> Access | None:
        """What calls the provider's API, as it is stored; None if there is none. Raises VaultError."""
        statement = _access.where(_row.id == integration_id)
        row = await self._database.read(lambda connection: connection.execute(statement).first())
        if row is None or row.access_token is None:
            return None
        token = self._vault.decrypt(row.access_token, place(integration_id, "access_token"))
        return Access(
            access_token=Secret(token),
            issued_at=maybe_from_us(row.issued_at),
            expires_at=maybe_from_us(row.expires_at),
            token_version=row.token_version,
            tenant_id=row.tenant_id,
            provider_slug=row.provider_slug,
            provider_version=row.version,
        )

    async def page(
        self,
        *,
        tenant_id: str | None = None,
        provider_slug: str | None = None,
        status: Status | None = None,
        limit: int = 100,
        after: str = "",
        tenant_ids: Collection[str] | None = None,
    ) -> list[Integration]:
        """Integrations by id, of a tenant, of a provider, in a status; go on with `after` = the last id of the page.

        `tenant_ids`: of any of these; none of them, nothing.
        """
        statement = page_of(tenant_id, provider_slug, status, limit, after)
        if tenant_ids is not None:
            statement = statement.where(_row.tenant_id.in_(tenant_ids))
        return [from_row(row) for row in await self._read(statement)]

    async def overdue(self, slack: timedelta, *, batch: int = BATCH) -> AsyncIterator[list[Due]]:
        """Those late by more than `slack`, `batch` at a time; within a status, the longest overdue first."""
        before = to_us(self._clock() - slack)
        for status in REFRESHABLE:
            last = (0, "")
            while found := await self._due(overdue_after(status, before, last, batch)):
                yield found
                last = (to_us(found[-1].refresh_at) if found[-1].refresh_at else 0, found[-1].id)

    async def refreshable(self, *, batch: int = BATCH) -> AsyncIterator[list[Due]]:
        """All that can be refreshed, by id within a status, `batch` at a time."""
        for status in REFRESHABLE:
            last = ""
            while found := await self._due(refreshable_after(status, last, batch)):
                yield found
                last = found[-1].id

    async def waiting(self, provider_slug: str, *, batch: int = BATCH) -> AsyncIterator[list[Due]]:
        """Those of a provider that should have been refreshed by now, `batch` at a time, whose tokens end first."""
        now, last = to_us(self._clock()), (0, "")
        while found := await self._read(waiting_after(provider_slug, now, last, batch)):
            yield [_due(one) for one in found]
            last = (found[-1].expires_at or 0, found[-1].id)

    async def counts(self) -> dict[Status, int]:
        """How many there are in each status."""
        statement = select(_row.status, func.count()).group_by(_row.status)
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return {status: count for status, count in rows}  # noqa: C416 - rows are no pairs to mypy

    async def first_expiry(self) -> datetime | None:
        """When the first access token of an active integration expires, of the thousand that are refreshed first."""
        first = (
            select(_row.expires_at)
            .where(_row.status == "active", _row.refresh_at.is_not(None))
            .order_by(_row.refresh_at, _row.id)
            .limit(LOOKED_AT)
            .subquery()
        )
        statement = select(func.min(first.c.expires_at))
        return maybe_from_us(await self._database.read(lambda connection: connection.execute(statement).scalar()))

    async def _due(self, statement: Select[Any]) -> list[Due]:
        return [_due(row) for row in await self._read(statement)]

    async def _read(self, statement: Select[Any]) -> Sequence[Row[Any]]:
        return await self._database.read(lambda connection: connection.execute(statement).all())

    def _insert(self, connection: Connection, new: NewIntegration, now: datetime) -> dict[str, Any] | None:
        """None: the tenant has one of this provider."""
        values = self._values(new, now)
        statement = insert_into(connection, integrations).values(values)
        statement = statement.on_conflict_do_nothing(index_elements=["tenant_id", "provider_slug"])
        if connection.execute(statement.returning(_row.id)).first() is None:
            return None
        if values["status"] == "active":
            record(connection, _connected(values), "integration.connected")
        return values

    def _replace(self, connection: Connection, new: NewIntegration, now: datetime) -> dict[str, Any]:
        same = (_row.tenant_id == new.tenant_id, _row.provider_slug == new.provider_slug)
        known = connection.execute(select(_row.id, _row.transitions).where(*same).with_for_update()).one()
        values = self._values(msgspec.structs.replace(new, id=known.id), now, transitions=known.transitions + 1)
        changed = {name: value for name, value in values.items() if name not in FIXED}
        connection.execute(
            update(integrations)
            .where(_row.id == known.id)
            .values(changed | {"token_version": _row.token_version + 1, "last_outcome": None})
        )
        is_active = values["status"] == "active"
        record(connection, _connected(values), "integration.connected" if is_active else "integration.disconnected")
        return values

    def _values(self, new: NewIntegration, now: datetime, *, transitions: int = 1) -> dict[str, Any]:
        integration_id = new.id or new_id(to_us(now))
        access_token = self._sealed(new.access_token, integration_id, "access_token")
        refresh_token = self._sealed(new.refresh_token, integration_id, "refresh_token")
        has_tokens = access_token is not None or refresh_token is not None
        return {
            "id": integration_id,
            "tenant_id": new.tenant_id,
            "provider_slug": new.provider_slug,
            "access_token": access_token,
            "refresh_token": refresh_token,
            "token_version": 1,
            "issued_at": to_us(new.issued_at or now),
            "expires_at": maybe_to_us(new.expires_at),
            "refresh_at": self._first_refresh(new, now) if refresh_token and new.status != "revoked" else None,
            "scopes": " ".join(new.scopes),
            "status": new.status if has_tokens or new.status == "revoked" else "pending",
            "status_reason": None if new.status == "active" else f"it was {new.status} before it came here",
            "status_changed_at": to_us(now),
            "transitions": transitions,
            "connected_at": to_us(new.connected_at or now) if has_tokens else None,
            "last_refreshed_at": None,
            "outages": 0,
            "metadata": dict(new.metadata),
            "created_at": to_us(now),
            "updated_at": to_us(now),
        }

    def _first_refresh(self, new: NewIntegration, now: datetime) -> int:
        if new.expires_at is None or new.status != "active":
            return to_us(now)
        return to_us(refresh_at(new.issued_at or now, new.expires_at, random=self._random))

    def _sealed(self, token: Token, integration_id: str, field: str) -> str | None:
        where = place(integration_id, field)
        text = token.reveal() if isinstance(token, Secret) else token and self._vault.decrypt(token, where)
        return self._vault.encrypt(text, where) if text else None


def _add(connection: Connection, rows: Sequence[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """Those that came; each of them has its health checked from now on."""
    ids = insert_new(connection, integrations, rows) if rows else set[str]()
    came = [row for row in rows if row["id"] in ids]
    if came:
        insert_new(connection, health, [{"integration_id": row["id"], "due_at": 0} for row in came])
        about = [audit.Resource("integration", row["id"], row["tenant_id"]) for row in came]
        audit.record(connection, "integration.imported", about, now)
    return came


def _connected(values: dict[str, Any]) -> Transition:
    return Transition(
        values["id"],
        values["transitions"],
        values["tenant_id"],
        values["provider_slug"],
        values["status"],
        None,
        from_us(values["status_changed_at"]),
    )


def page_of(
    tenant_id: str | None, provider_slug: str | None, status: str | None, limit: int, after: str
) -> Select[Any]:
    """The statement behind `page`, for plans to be looked at."""
    statement = select(*SHOWN).where(_row.id > after).order_by(_row.id).limit(limit)
    for column, wanted in ((_row.tenant_id, tenant_id), (_row.provider_slug, provider_slug), (_row.status, status)):
        statement = statement if wanted is None else statement.where(column == wanted)
    return statement


def overdue_after(status: str, before: int, last: tuple[int, str], limit: int) -> Select[Any]:
    """The statement behind `overdue`."""
    return (
        select(_row.id, _row.tenant_id, _row.provider_slug, _row.refresh_at)
        .where(_row.status == status, _row.refresh_at < before, tuple_(_row.refresh_at, _row.id) > last)
        .order_by(_row.refresh_at, _row.id)
        .limit(limit)
    )


def refreshable_after(status: str, last: str, limit: int) -> Select[Any]:
    """The statement behind `refreshable`."""
    return (
        select(_row.id, _row.tenant_id, _row.provider_slug, _row.refresh_at)
        .where(_row.status == status, _row.id > last, _row.refresh_token.is_not(None))
        .order_by(_row.id)
        .limit(limit)
    )


def waiting_after(provider_slug: str, now: int, last: tuple[int, str], limit: int) -> Select[Any]:
    """The statement behind `waiting`. Which tokens never end is not known, so they come first."""
    end = func.coalesce(_row.expires_at, 0)
    return (
        select(_row.id, _row.tenant_id, _row.provider_slug, _row.refresh_at, _row.expires_at)
        .where(_row.status == "active", _row.refresh_at <= now, _row.provider_slug == provider_slug)
        .where(tuple_(end, _row.id) > last)
        .order_by(end, _row.id)
        .limit(limit)
    )


def _due(row: Row[Any]) -> Due:
    return Due(row.id, row.tenant_id, row.provider_slug, maybe_from_us(row.refresh_at))


def _batched(items: Iterable[NewIntegration], size: int) -> Iterator[list[NewIntegration]]:
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some
