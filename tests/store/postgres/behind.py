"""What a database administrator sees of a store."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

_COUNTED = "SELECT queue, state, n FROM SCHEMA.totals WHERE n <> 0 ORDER BY 1, 2"
_RECOUNTED = """
SELECT queue, state, count(*)
FROM (SELECT queue, state FROM SCHEMA.jobs UNION ALL SELECT queue, state FROM SCHEMA.ended) AS j
GROUP BY queue, state ORDER BY 1, 2
"""
_WAIT_COUNTED = (
    "SELECT queue, tenant, priority, state, gate, n FROM SCHEMA.waiting_totals WHERE n <> 0 ORDER BY 1, 2, 3, 4, 5"
)
_WAIT_RECOUNTED = """
SELECT queue, coalesce(tenant, ''), priority, state, coalesce(waits_on, ''), count(*) FROM SCHEMA.jobs
WHERE state IN ('scheduled', 'queued') GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
"""
# Gates that hold more or fewer slots than jobs run. Then lines that have jobs and are not active, or the reverse.
_WRONG_GATES = """
SELECT g.key, g.running, j.n FROM SCHEMA.gates AS g FULL JOIN (
    SELECT l.key, count(*) AS n FROM SCHEMA.jobs CROSS JOIN unnest(limits) AS l (key) WHERE state = 'running' GROUP BY 1
) AS j ON j.key = g.key WHERE coalesce(g.running, 0) <> coalesce(j.n, 0)
"""
_WRONG_LINES = """
SELECT l.queue, l.tenant FROM (SELECT * FROM SCHEMA.lines WHERE active) AS l FULL JOIN (
    SELECT DISTINCT queue, priority, coalesce(tenant, '') AS tenant FROM SCHEMA.jobs
    WHERE state = 'queued' AND waits_on IS NULL
) AS j ON j.queue = l.queue AND j.priority = l.priority AND j.tenant = l.tenant WHERE j.queue IS NULL OR l.queue IS NULL
"""
# Who waits for a lock that another session has.
_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0 AND query LIKE $1"


class Behind:
    """Looks at the tables of one schema. SCHEMA in a statement stands for its name."""

    def __init__(self, connection: asyncpg.Connection, schema: str) -> None:
        self.connection = connection
        self.schema = schema

    async def rows(self, statement: str, *args: Any) -> list[tuple[Any, ...]]:
        """What a statement gives."""
        found = await self.connection.fetch(statement.replace("SCHEMA", self.schema), *args)
        return [tuple(row) for row in found]

    async def value(self, statement: str, *args: Any) -> Any:
        """The one value that a statement gives."""
        [[value]] = await self.rows(statement, *args)
        return value

    async def counts_are_right(self) -> bool:
        """Whether what was counted along the way is what there is."""
        async with self.connection.transaction(isolation="repeatable_read"):
            return await self.rows(_COUNTED) == await self.rows(_RECOUNTED) and await self.rows(
                _WAIT_COUNTED
            ) == await self.rows(_WAIT_RECOUNTED)

    async def wrong_flow(self) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """Gates and lines that are not what the jobs say, once what was appended is folded, and nobody is at it."""
        await self.connection.execute(f"SET search_path = {self.schema}")
        await self.connection.execute("SELECT fold_gates(), fold_lines()")
        await self.connection.execute("RESET search_path")
        return await self.rows(_WRONG_GATES), await self.rows(_WRONG_LINES)

    async def until_waiting(self, how_many: int = 1) -> None:
        """Until so many calls to the store of this schema wait for another session."""
        await self.until("SELECT $2 <= (" + _WAITING + ")", True, f"%{self.schema}.%", how_many)

    async def until(self, statement: str, expected: Any, *args: Any) -> None:
        """Until a statement gives that value."""
        async with asyncio.timeout(30):
            while await self.value(statement, *args) != expected:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.01)
