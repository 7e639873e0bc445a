"""The audit log: who changed what, in the transaction that changed it. No record holds a secret.

    with acting(Actor(user_id="auth|1", method="POST", endpoint="/connect", ip_address="203.0.113.7")):
        await connections.begin(...)

Who acts is a context variable, so that what writes a record need not be told by everything in between.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import partial
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row, insert, select

from lamplighter.core.clock import Clock, from_us, to_us, utcnow
from lamplighter.core.errors import LamplighterError
from lamplighter.core.ids import new_id
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.tables import audit

MOST_CHARS = 500  # of what a caller says of itself
SYSTEM = "system"

Result = Literal["success", "failure"]


class Actor(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who acts, and by which request. `user_id` is the subject at the identity provider, or `system`."""

    user_id: str = SYSTEM
    method: str | None = None
    endpoint: str | None = None
    user_agent: str | None = None
    ip_address: str | None = None


_ACTOR: ContextVar[Actor] = ContextVar("lamplighter_actor", default=Actor())  # noqa: B039 - frozen


def actor() -> Actor:
    """Who acts now."""
    return _ACTOR.get()


@contextmanager
def acting(who: Actor) -> Iterator[None]:
    """What is written down inside was done by this actor."""
    token = _ACTOR.set(who)
    try:
        yield
    finally:
        _ACTOR.reset(token)


class Resource(NamedTuple):
    """What a record is about; no `tenant_id`: all tenants."""

    type: str
    id: str
    tenant_id: str | None


class Record(Struct, frozen=True, kw_only=True):
    """One line of the log. `details` has method, endpoint, user_agent, ip_address, changes and metadata, if known."""

    id: str
    tenant_id: str | None
    user_id: str
    action: str
    resource_type: str
    resource_id: str
    details: Mapping[str, Any]
    result: Result
    error_message: str | None
    at: datetime


def record(
    connection: Connection,
    action: str,
    about: Sequence[Resource],
    now: datetime,
    *,
    changes: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    error_message: str | None = None,
) -> None:
    """Write down what the actor of this context did to each of these, in the transaction of `connection`."""
    who = actor()
    details = {
        key: value[:MOST_CHARS] for key, value in msgspec.structs.asdict(who).items() if value and key != "user_id"
    }
    shared = {
        "user_id": who.user_id[:MOST_CHARS],
        "action": action,
        "details": details
        | {name: dict(more) for name, more in (("changes", changes), ("metadata", metadata)) if more},
        "result": "success" if error_message is None else "failure",
        "error_message": error_message and error_message[:MOST_CHARS],
        "at": to_us(now),
    }
    rows = [
        shared
        | {
            "id": new_id(to_us(now)),
            "tenant_id": resource.tenant_id,
            "resource_type": resource.type,
            "resource_id": resource.id,
        }
        for resource in about
    ]
    connection.execute(insert(audit), rows)


_COLUMNS = [audit.c[name] for name in Record.__struct_fields__]


class AuditLog:
    """The records, for who may see them."""

    def __init__(self, database: Database, *, clock: Clock = utcnow) -> None:
        self._database = database
        self._clock = clock

    async def add(
        self,
        action: str,
        resource: Resource,
        *,
        metadata: Mapping[str, Any] | None = None,
        error_message: str | None = None,
    ) -> None:
        """Write down what was asked for; `error_message`: in vain. What changes a row has written that down itself."""
        more = partial(record, now=self._clock(), metadata=metadata, error_message=error_message)
        await self._database.write(lambda connection: more(connection, action, [resource]))

    @asynccontextmanager
    async def noting(self, action: str, resource: Resource) -> AsyncIterator[dict[str, Any]]:
        """One record of what is done inside, once it is known how that ended; what the dict gets is its metadata.

        What cannot be written down fails: no token is given out that nobody would know of.
        """
        metadata: dict[str, Any] = {}
        try:
            yield metadata
        except Exception as error:
            await self.add(action, resource, error_message=_told(error))
            raise
        await self.add(action, resource, metadata=metadata)

    async def page(
        self, *, tenant_ids: Collection[str] | None = None, limit: int = 100, before: str | None = None
    ) -> list[Record]:
        """The latest records of the live table, of these tenants if they are given.

        Go on with `before` = the last id of the page.
        """
        statement = select(*_COLUMNS).order_by(audit.c.id.desc()).limit(limit)
        if tenant_ids is not None:
            statement = statement.where(audit.c.tenant_id.in_(tenant_ids))
        if before is not None:
            statement = statement.where(audit.c.id < before)
        return [
            _record(row) for row in await self._database.read(lambda connection: connection.execute(statement).all())
        ]


def _told(error: Exception) -> str:
    """The sentence of an error of ours; of another only its name, for nobody knows what it holds."""
    return str(error) if isinstance(error, LamplighterError) else type(error).__name__


def _record(row: Row[Any]) -> Record:
    return Record(**{**row._mapping, "at": from_us(row.at)})
