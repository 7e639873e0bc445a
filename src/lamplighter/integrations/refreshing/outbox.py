"""An outbox: jobs written in your transaction, where the jobs themselves are kept in another database.

    outbox = Outbox(engine, app)
    app.lifespan(outbox.relaying)
    ...
    with Session(engine) as session, session.begin():
        session.add(order)
        outbox.enqueue_within(session, [send_receipt.draft(order.id)])

A job exists if and only if the transaction commits, under the id that its handle has had from the beginning. A relay
reads the table and adds each job to the store; adding an id again changes nothing, so a relay that was killed before
it could delete a row does no harm. Only a job that had ended and was forgotten by then runs again: keep done jobs
(`keep_done`) for longer than a process takes to come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from lamplighter.app import App
from lamplighter.app.handle import Handle
from lamplighter.core.clock import to_us
from lamplighter.core.draft import Draft
from lamplighter.integrations.host import HostDatabase
from lamplighter.integrations.refreshing.relay import Held, Relay
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.tables import outbox as table

R = TypeVar("R")

POLL = 1.0  # seconds between looks for what other processes write
LEASE = 5.0  # seconds after which another relay may take what one has taken
LEAVING = 2.0  # seconds that a relay may go on when its app closes


class Waiting(NamedTuple):
    """How many jobs wait in the outbox, and how many cannot be added: `lamp_outbox.refused` says why."""

    jobs: int
    refused: int


class Outbox:
    """The outbox in one database, for the jobs of one app.

    Args:
        database: where the table `lamp_outbox` is: your SQLAlchemy engine, synchronous or not, on SQLite or PostgreSQL.
        app: whose jobs these are.
        poll: seconds between looks for what other processes wrote; what this one writes is seen at once.
        lease: seconds after which the rows of a relay that died are another's.
        on_held: called with the jobs that were not added because another holds their unique key, unless they replaced
            that one; may be called twice.
    """

    def __init__(
        self,
        database: Database | Engine | AsyncEngine,
        app: App[Any],
        *,
        poll: float = POLL,
        lease: float = LEASE,
        on_held: Callable[[Sequence[Held]], Awaitable[None]] | None = None,
    ) -> None:
        self._database = database if isinstance(database, Database) else HostDatabase(database)
        self._app = app
        self._poll = poll
        self._lease = lease
        self._on_held = on_held
        self._relays: set[Relay] = set()

    async def create_table(self) -> None:
        """Make the table, if it is not there. (With Alembic, give it the columns of `tables.outbox` in a step.)"""
        await self._database.write(lambda connection: table.create(connection, checkfirst=True))

    def enqueue_within(
        self, tx: Connection | Session, drafts: Iterable[Draft[R]], *, parent: str | None = None
    ) -> list[Handle[R]]:
        """Write jobs in an open transaction of yours; they exist once that commits.

        Whether a unique key is held is found out later, so every handle says `created`; a job whose key is held by
        then is not added. `parent`: the running job whose key theirs is, where that is not the one around this call.
        """
        jobs, handles = self._app.prepare(drafts, parent=parent)
        now = to_us(self._app.clock())
        rows = [{"id": job.id, "job": msgspec.json.encode(job).decode(), "created_at": now} for job in jobs]
        if rows:
            tx.execute(insert(table), rows)
        for relay in tuple(self._relays):
            relay.hint()
        return handles

    async def enqueue(self, drafts: Iterable[Draft[R]], *, tx: AsyncConnection | AsyncSession) -> list[Handle[R]]:
        """`enqueue_within` an asynchronous transaction."""
        return await tx.run_sync(lambda inner: self.enqueue_within(inner, drafts))

    async def waiting(self) -> Waiting:
        """How much there is in the outbox."""
        statement = select(func.count(), func.count(table.c.refused))
        total, refused = await self._database.read(lambda connection: connection.execute(statement).one())
        return Waiting(total - refused, refused)

    @asynccontextmanager
    async def relaying(self) -> AsyncIterator[None]:
        """Relay as long as the block lasts, as one of any number of processes; what is there at its end, too."""
        relay = Relay(
            self._database,
            self._app.store,
            clock=self._app.clock,
            poll=self._poll,
            lease=self._lease,
            on_held=self._on_held,
        )
        task = asyncio.create_task(relay.run(), name="lamplighter-relay")
        self._relays.add(relay)
        try:
            yield
        finally:
            self._relays.discard(relay)
            relay.stop()
            await asyncio.wait([task], timeout=LEAVING)
            task.cancel()
            await asyncio.wait([task])
