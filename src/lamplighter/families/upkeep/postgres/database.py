"""One PostgreSQL database as upkeep sees it: looked at, measured, and kept up step by step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from lamplighter.core.errors import LamplighterError
from lamplighter.families.upkeep.finding import Finding, GaveWay, Size, UpkeepError
from lamplighter.families.upkeep.postgres.compact import compact, vacuum
from lamplighter.families.upkeep.postgres.server import Scope, Server, connected
from lamplighter.families.upkeep.postgres.sight import look
from lamplighter.families.upkeep.postgres.tasks import Bounds, findings
from lamplighter.families.upkeep.turn import Turn
from lamplighter.store.postgres.errors import explained
from lamplighter.store.postgres.url import Place

CLEARING_UP = 5.0  # seconds that may take, past the end of the window
BUILDS = 10_000_000  # bytes of an index that are surely built in a second


class PostgresDatabase:
    """A database, and which of its tables are looked after (see `kept.Database`)."""

    tasks = ("transactions", "vacuum", "analyze", "compact", "reindex")

    def __init__(self, place: Place, scope: Scope, bounds: Bounds) -> None:
        self.url = place.shown
        self._place = place
        self._scope = scope
        self._bounds = bounds

    @asynccontextmanager
    async def opened(self, lock_timeout: timedelta) -> AsyncIterator[PostgresSession]:
        async with connected(self._place, self._scope, lock_timeout) as server:
            yield PostgresSession(server, self._bounds)


class PostgresSession:
    """A database while it is open (see `kept.Session`)."""

    def __init__(self, server: Server, bounds: Bounds) -> None:
        self._server = server
        self._bounds = bounds

    async def find(self) -> list[Finding]:
        server = self._server
        with explained(server.shown):
            old = await server.ask("transactions", self._bounds.oldest.total_seconds())
            [[hidden]] = await server.ask("hidden")
            return findings(server.shown, await look(server), old, hidden, self._bounds)

    async def sizes(self) -> list[Size]:
        with explained(self._server.shown):
            rows = await self._server.tables("sizes")
        return [Size(self._server.shown, row["name"], row["kind"], row["bytes"]) for row in rows]

    async def hold(self) -> None:
        with explained(self._server.shown):
            await self._server.alone()

    async def steps(self, finding: Finding, turn: Turn) -> AsyncIterator[str]:
        server = self._server
        with explained(server.shown):
            await self._refuse_while_old()
            oid, name = await self._relation(finding.subject)
            match finding.task:
                case "vacuum":
                    yield f"vacuuming {name}"
                    await vacuum(server, name, turn, analyze=True)
                case "analyze":
                    yield f"analyzing {name}"
                    await server.patiently(f"ANALYZE {name}", turn)
                case "compact":
                    fresh = float(finding.figures["fresh"]) / max(1, finding.size or 1)
                    async for step in compact(server, oid, fresh, turn):
                        yield step
                case "reindex":
                    yield f"building {name} anew"
                    await self._reindex(finding, name, turn)

    async def weigh(self, finding: Finding) -> int | None:
        with explained(self._server.shown):
            rows = await self._server.ask("relation", finding.subject)
        return rows[0]["bytes"] if rows else 0

    async def _reindex(self, finding: Finding, name: str, turn: Turn) -> None:
        server, table = self._server, str(finding.figures["table"])
        if finding.figures["left"]:
            await self._drop_left(table, turn)
            return
        if not turn.has_time_for((finding.size or 0) / BUILDS):
            raise GaveWay("there was not time enough to build it: it is tried again.")
        _, written = await self._relation(table)
        await server.look_for_a_lock(written, turn)
        try:
            await server.patiently(f"REINDEX INDEX CONCURRENTLY {name}", turn, waits=True)
        except BaseException:
            with suppress(LamplighterError):  # else the next run drops what would be written to, and read by nobody
                await self._drop_left(table, Turn(CLEARING_UP))
            raise

    async def _drop_left(self, table: str, turn: Turn) -> None:
        for row in await self._server.ask("left", table):
            await self._server.patiently(f"DROP INDEX CONCURRENTLY IF EXISTS {row['name']}", turn, waits=True)

    async def _refuse_while_old(self) -> None:
        old = await self._server.ask("transactions", self._bounds.oldest.total_seconds())
        if old:
            raise GaveWay(f"the {old[0]['what']} has been open for too long: it is tried again.")

    async def _relation(self, subject: str) -> tuple[int, str]:
        rows = await self._server.ask("relation", subject)
        if not rows:
            raise UpkeepError(f"{subject} is there no more: there is nothing to do.")
        return rows[0]["oid"], rows[0]["name"]
