"""The tables and functions in a PostgreSQL schema: made where there are none, brought forward when told to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Self

from lamplighter.core.errors import StoreDamaged
from lamplighter.store.migrate import Choose, Step, all_if_new, read_steps, refuse_unfit
from lamplighter.store.postgres.connections import Connection, connect
from lamplighter.store.postgres.errors import explained
from lamplighter.store.postgres.url import Place, parse

SCRIPTS = read_steps(__package__)
STEPS = tuple(SCRIPTS)
OLDEST = 13

NOTES = """
CREATE TABLE IF NOT EXISTS steps (
    number integer PRIMARY KEY, phase text NOT NULL, title text NOT NULL, taken_at timestamptz NOT NULL DEFAULT now()
)
"""

# Not by to_regclass: in a session that a pooler lends again, it may remember that there was nothing.
NOTED = """
SELECT EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
               WHERE n.nspname = $1 AND c.relname = 'steps')
"""
OCCUPIED = """
SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = $1::text::regnamespace)
    OR EXISTS (SELECT FROM pg_proc WHERE pronamespace = $1::text::regnamespace)
"""
SAFETY = """
SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') ORDER BY name
"""


class PostgresSchema:
    """The schema of one store (see `migrate.Schema`)."""

    steps = STEPS

    def __init__(self, place: Place) -> None:
        self._place = place

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The schema of the store of that URL."""
        return cls(parse(url))

    @property
    def what(self) -> str:
        return f"the schema {self._place.schema} of the database {self._place.shown}"

    async def taken(self) -> list[Step]:
        async with self._connected() as connection, connection.transaction():  # or a pooler would hand us around
            return await self._taken(connection)

    async def take(self, choose: Choose) -> list[Step]:
        async with self._connected() as connection, connection.transaction():
            await self._hold_off_others(connection)
            before = await self._taken(connection)
            steps = choose(before)
            if steps and not before:
                await self._make_room(connection)
            if steps:
                await self._take(connection, steps)
            return steps

    async def doubts(self) -> list[str]:
        async with self._connected() as connection:
            off = [row["name"] for row in await connection.fetch(SAFETY) if row["setting"] == "off"]
        return [
            f"the server of {self._place.shown} has {name} off, so a crash of its machine may lose or damage jobs: "
            "set it to on."
            for name in off
        ]

    async def prepare(self) -> None:
        """Make the tables in a new schema; refuse one that does not fit.

        Raises:
            StoreDamaged: it is older (migrate it) or newer (upgrade this package), or the server is too old.
        """
        found = await self.taken()
        if not found:
            await self.take(partial(all_if_new, STEPS))
            found = await self.taken()
        refuse_unfit(self.what, STEPS, found)

    async def _taken(self, connection: Connection) -> list[Step]:
        if not await connection.fetchval(NOTED, self._place.schema):
            return []
        rows = await connection.fetch(f"SELECT number, phase, title FROM {self._place.schema}.steps ORDER BY number")  # noqa: S608 - the name was checked
        return [Step(*row) for row in rows]

    async def _make_room(self, connection: Connection) -> None:
        """Make the schema where it is not there, for who may use one that was made for him need not be allowed to make
        one. Nothing of others may be in it: our names are plain, and the steps go by all that is in it."""
        schema = self._place.schema
        if not await connection.fetchval("SELECT to_regnamespace($1)::text", schema):
            await connection.execute(f"CREATE SCHEMA {schema}")
        elif await connection.fetchval(OCCUPIED, schema):
            raise StoreDamaged(f"{self.what} holds what is not Lamplighter's: name another schema in the store URL.")

    async def _take(self, connection: Connection, steps: Sequence[Step]) -> None:
        await connection.execute(f"SET LOCAL search_path TO {self._place.schema}")
        await connection.execute(NOTES)
        for step in steps:
            await connection.execute(SCRIPTS[step])
            await connection.execute("INSERT INTO steps (number, phase, title) VALUES ($1, $2, $3)", *step)

    async def _hold_off_others(self, connection: Connection) -> None:
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", _lock(self._place.schema))

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        with explained(self._place.shown):
            connection = await connect(self._place)
            try:
                self._refuse_old(connection)
                yield connection
            finally:
                await connection.close()

    def _refuse_old(self, connection: Connection) -> None:
        found = connection.get_server_version()
        if found.major < OLDEST:
            raise StoreDamaged(
                f"the database {self._place.shown} is of PostgreSQL {found.major}: upgrade it to {OLDEST} or newer."
            )


def _lock(schema: str) -> str:
    """Names a schema among the locks of a database."""
    return f"lamplighter migrates {schema}"
