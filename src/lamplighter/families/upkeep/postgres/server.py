"""A server as upkeep uses it: a connection that waits for no lock for long, and one that sees whether anybody waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, NamedTuple

import asyncpg

from lamplighter.families.upkeep.finding import GaveWay, UpkeepError
from lamplighter.families.upkeep.turn import Turn
from lamplighter.store.named_sql import load
from lamplighter.store.postgres.errors import explained
from lamplighter.store.postgres.url import Place

SQL = load(__package__)
LOOKS = 4  # at whether somebody waits, in the time that somebody may wait
SOONEST = 0.02  # seconds between two of them
OLDEST = 14  # finds rows by ranges of pages, and knows since when somebody waits
YIELDS = 3  # deadlock timeouts: after one, a VACUUM of the server's own accord is ended for whoever waits for it
SETTLES = 5.0  # seconds within which most transactions end
LOOKING = 30_000  # milliseconds that a query about the tables may take
OUT_OF_TIME, LOCKED = "57014", "55P03"

Connection = asyncpg.Connection


class Scope(NamedTuple):
    """Which tables are looked after: all of some schemas, and single ones, as schema.table."""

    schemas: Sequence[str]
    tables: Sequence[str]


class Server:
    """One database, while it is looked at or kept up. `lock_timeout`: how long anybody waits for anybody."""

    def __init__(self, place: Place, scope: Scope, connection: Connection, lock_timeout: timedelta) -> None:
        self.shown = place.shown
        self.scope = scope
        self.connection = connection
        self.patience = lock_timeout.total_seconds()
        self._place = place
        self._watcher: Connection | None = None
        self._yields = 0  # milliseconds

    @property
    def version(self) -> int:
        """The major one."""
        return self.connection.get_server_version().major

    async def ask(self, name: str, *args: Any) -> list[asyncpg.Record]:
        """The rows of one of our queries.

        Raises:
            GaveWay: it needs a table that somebody has for himself.
        """
        try:
            return await self.connection.fetch(SQL[name], *args)
        except asyncpg.LockNotAvailableError as error:
            raise GaveWay("somebody else held a table for himself: it is tried again.") from error

    async def tables(self, name: str) -> list[asyncpg.Record]:
        """Of one that is about the tables that are looked after."""
        return await self.ask(name, list(self.scope.schemas), list(self.scope.tables))

    async def alone(self) -> None:
        """Raises UpkeepError if another process keeps this database up; it is held off until this connection ends."""
        [[ours]] = await self.ask("alone")
        if not ours:
            raise UpkeepError(
                f"another process is keeping {self.shown} up: wait until it is done, or end it, then run this again."
            )

    async def patiently(self, statement: str, turn: Turn, *, waits: bool = False) -> None:
        """Run what takes long and takes no lock that a query would wait for. Whoever waits for it all the same, say to
        alter the table, makes it end.

        Args:
            waits: it waits for transactions that are open, and nobody waits with it; else it waits for no lock longer
                than until a VACUUM of the server's own accord has let it in.

        Raises:
            GaveWay: somebody waited for it, it waited for somebody, or there was no time left.
        """
        left = max(1, int(turn.left * 1000))
        await self._limit(lock=left if waits else max(self.milliseconds, self._yields), statement=left)
        running = asyncio.ensure_future(self.connection.execute(statement))
        try:
            gave_way = await self._watch(running)
            await running
        except asyncpg.PostgresError as error:
            raise self._gave_way(error, gave_way=gave_way) from error
        except BaseException:
            running.cancel()  # asyncpg has the server end it
            await asyncio.wait([running])
            raise
        finally:
            await self._limit_again()

    async def until_seen_by_all(self, turn: Turn) -> None:
        """Wait a little for transactions that began before now: what was changed since, a VACUUM could not free."""
        [[newest]] = await self.ask("newest")
        for _ in range(int(SETTLES / SOONEST)):
            [[is_so]] = await self.ask("ended", newest)
            if is_so or turn.is_over:
                return
            await asyncio.sleep(SOONEST)

    async def look_for_a_lock(self, table: str, turn: Turn) -> None:
        """See that nobody alters or vacuums the table, or somebody would wait behind what is begun now.

        Raises:
            GaveWay: somebody does.
        """
        await self.patiently(f"DO $$BEGIN LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE; END$$", turn)

    async def _watch(self, running: asyncio.Future[Any]) -> bool:
        """Until it is done; whether it had to be ended, for somebody had waited for it for half of the lock timeout."""
        watcher, process = await self._watching(), self.connection.get_server_pid()
        while not running.done():
            await asyncio.wait([running], timeout=max(SOONEST, self.patience / LOOKS))
            if not running.done() and await watcher.fetchval(SQL["waiting"], process, self.patience / 2):
                await watcher.fetchval(SQL["cancel"], process)
                return True
        return False

    async def _watching(self) -> Connection:
        if self._watcher is None or self._watcher.is_closed():
            self._watcher = await _connect(self._place)
        return self._watcher

    async def _limit(self, *, lock: int, statement: int) -> None:
        await self.connection.execute(f"SET lock_timeout = {lock}; SET statement_timeout = {statement}")

    async def _limit_again(self) -> None:
        with suppress(asyncpg.InterfaceError, OSError):  # it was lost, and whoever uses it next hears of that
            await self._limit(lock=self.milliseconds, statement=LOOKING)

    @property
    def milliseconds(self) -> int:
        """How long anybody waits for anybody."""
        return max(1, int(self.patience * 1000))

    def _gave_way(self, error: asyncpg.PostgresError, *, gave_way: bool) -> Exception:
        if gave_way:
            return GaveWay("it gave way: somebody waited for it. It is tried again.")
        if error.sqlstate == LOCKED:
            return GaveWay("somebody else held the table: it is tried again.")
        return GaveWay("there was not time enough: it is tried again.") if error.sqlstate == OUT_OF_TIME else error

    async def begin(self) -> None:
        """Set how long it waits, and that it holds nothing if this process stops in the middle."""
        await self._limit_again()
        await self.connection.execute(
            f"SET idle_in_transaction_session_timeout = {max(1000, self.milliseconds)}; SET jit = off"
        )
        self._yields = YIELDS * await self.connection.fetchval(SQL["deadlock_timeout"])

    async def end(self) -> None:
        """Let go of the server."""
        for connection in (self.connection, self._watcher):
            if connection is not None:
                with suppress(Exception):
                    await connection.close(timeout=1)


@asynccontextmanager
async def connected(place: Place, scope: Scope, lock_timeout: timedelta) -> AsyncIterator[Server]:
    """A server to look at, or to keep up.

    Raises:
        UpkeepError: there is a pooler in between, or the server is too old.
        StoreError: it cannot be reached, or does not let us in.
    """
    if place.pooler != "none":
        raise UpkeepError(
            f"{place.shown} is behind a pooler, which lends its connections to others with what is set on them: name "
            "the server itself, with `lamplighter upkeep --store URL`."
        )
    with explained(place.shown):
        server = Server(place, scope, await _connect(place), lock_timeout)
        try:
            if server.version < OLDEST:
                raise UpkeepError(f"{place.shown} is of PostgreSQL {server.version}: upkeep needs {OLDEST} or newer.")
            await server.begin()
            yield server
        finally:
            await server.end()


async def _connect(place: Place) -> Connection:
    return await asyncpg.connect(
        place.dsn,
        timeout=place.patience,
        statement_cache_size=0,
        server_settings={"application_name": "lamplighter upkeep"},
    )
