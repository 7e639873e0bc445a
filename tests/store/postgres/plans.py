"""What the server read for one call, and how, nested statements of functions included."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import asyncpg

from lamplighter.store.postgres.connections import PLANS

_WATCH = """
LOAD 'auto_explain';
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_nested_statements = on;
SET auto_explain.log_analyze = on;
SET auto_explain.log_buffers = on;
SET auto_explain.log_timing = off;
SET auto_explain.log_triggers = off;
SET auto_explain.log_format = json;
SET client_min_messages = log;
"""
_HEAPS = {"jobs", "ended", "failures", "keys", "lines", "gates", "waits"}


class Read(NamedTuple):
    """`buffers`: pages of 8 kB; `rows`: the most that one step of a plan looked at; `scans`: of whole tables."""

    buffers: int
    rows: int
    scans: list[str]


class Watched:
    """A superuser's connection whose every plan is told to us."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._plans: list[dict[str, Any]] = []

    @classmethod
    async def on(cls, url: str) -> Self:
        """Begin to watch."""
        watched = cls(await asyncpg.connect(url, server_settings=PLANS))
        watched._connection.add_log_listener(watched._heard)
        await watched._connection.execute(_WATCH)
        return watched

    async def close(self) -> None:
        """End that."""
        self._connection.remove_log_listener(self._heard)
        await self._connection.close()

    async def read(self, statement: str, *args: Any) -> Read:
        """What a statement reads; what it changed is undone."""
        await self._undone(statement, *args)  # now plans are made, and catalogues read
        self._plans.clear()
        await self._undone(statement, *args)
        plans = list(self._plans)
        steps = [step for plan in plans for step in _steps(plan)]
        scans = [f"{step['Node Type']} on {step['Relation Name']}" for step in steps if _is_scan(step)]
        return Read(_buffers(plans[-1]), max(map(_rows, steps)), scans)

    async def _undone(self, statement: str, *args: Any) -> None:
        await self._connection.execute("BEGIN")
        try:
            await self._connection.fetch(statement, *args)
        finally:
            await self._connection.execute("ROLLBACK")
            await asyncio.sleep(0)  # asyncpg tells us of what was logged a moment later

    def _heard(self, _connection: object, message: Any) -> None:
        if "plan:" in message.message:
            self._plans.append(json.loads(message.message.partition("plan:")[2])["Plan"])


def _steps(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from _steps(below)


def _is_scan(step: dict[str, Any]) -> bool:
    return step["Node Type"] == "Seq Scan" and step["Relation Name"] in _HEAPS


def _rows(step: dict[str, Any]) -> int:
    seen = step["Actual Rows"] + sum(step.get(f"Rows Removed by {by}", 0) for by in ("Filter", "Index Recheck"))
    return int(seen * step["Actual Loops"])


def _buffers(plan: dict[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
