"""A table bloated on purpose, Debian's pgbench at work on it, and upkeep that brings it back meanwhile."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import psycopg

from lamplighter.cli.progress import Step
from lamplighter.core.config import Settings
from lamplighter.families.upkeep.ledger import Run
from lamplighter.families.upkeep.turn import Turn
from lamplighter.families.upkeep.upkeep import Upkeep
from lamplighter.integrations.storage import migrate
from lamplighter.integrations.storage.database import Database
from lamplighter.testing.servers import MissingServer

SCHEMA = "accounts"
TABLE = f"{SCHEMA}.account"
TIMES = 3  # as large as fresh
BATCH = 300_000  # rows that are added in one statement
SPELL = 5  # seconds that one run of pgbench takes: they follow each other until upkeep is done

MAKE = f"""
CREATE SCHEMA {SCHEMA};
CREATE TABLE {TABLE} (
    id bigint PRIMARY KEY, branch integer NOT NULL, balance bigint NOT NULL, touched timestamptz, filler text NOT NULL
) WITH (autovacuum_enabled = off);
CREATE INDEX account_of_branch ON {TABLE} (branch, id);
CREATE TABLE {SCHEMA}.note (at timestamptz NOT NULL DEFAULT now(), account bigint NOT NULL, delta bigint NOT NULL);
"""
ADD = f"""
INSERT INTO {TABLE} SELECT n, n %% 100, 0, now(), repeat('x', 80) FROM generate_series(%s::bigint, %s::bigint) AS n
"""
FRESH = f"""
CREATE TABLE {SCHEMA}.fresh (LIKE {TABLE} INCLUDING ALL);
INSERT INTO {SCHEMA}.fresh SELECT * FROM {TABLE} ORDER BY id;
REINDEX TABLE {SCHEMA}.fresh;
"""
SIZES = """
SELECT pg_relation_size(c.oid), pg_indexes_size(c.oid) FROM pg_class AS c
WHERE c.relname = %s AND c.relnamespace = %s::regnamespace
"""
SCRIPT = f"""
\\set id {TIMES} * random(1, :rows)
\\set delta random(-5000, 5000)
BEGIN;
UPDATE {TABLE} SET balance = balance + :delta, touched = now() WHERE id = :id;
SELECT balance FROM {TABLE} WHERE id = :id;
INSERT INTO {SCHEMA}.note (account, delta) VALUES (:id, :delta);
END;
"""


class Sizes(NamedTuple):
    """Bytes."""

    table: int
    indexes: int


class Latency(NamedTuple):
    """Of pgbench's transactions, of three statements each: a transaction that is quick has no slow statement."""

    transactions: int
    slowest: float
    p999: float
    ended: float  # the slowest, in seconds since 1970


class Figures(NamedTuple):
    """What came of it."""

    fresh: Sizes
    bloated: Sizes
    after: Sizes
    before: Latency
    during: Latency
    runs: Sequence[Run]
    seconds: float
    meanwhile: str
    """What upkeep was at when the slowest transaction ended."""


def bloat(url: str, rows: int, step: Step) -> tuple[Sizes, Sizes]:
    """Make a table of `rows` rows in three times as many pages as they need; returns its fresh sizes, and those now."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(MAKE)
        for first in range(1, TIMES * rows + 1, BATCH):
            last = min(first + BATCH - 1, TIMES * rows)
            connection.execute(ADD, (first, last))
            step("filling the table", last, TIMES * rows)
        connection.execute(f"DELETE FROM {TABLE} WHERE id % {TIMES} <> 0")
        connection.execute(FRESH)
        fresh = sizes(connection, "fresh")
        connection.execute(f"DROP TABLE {SCHEMA}.fresh")
        connection.execute(f"VACUUM ANALYZE {TABLE}")
        connection.execute(f"ALTER TABLE {TABLE} RESET (autovacuum_enabled)")
        return fresh, sizes(connection, "account")


def sizes(connection: psycopg.Connection, table: str) -> Sizes:
    row = connection.execute(SIZES, (table, SCHEMA)).fetchone()
    assert row is not None, "it was made"
    return Sizes(*row)


class Pgbench:
    """Runs one after the other, each with a log of its transactions."""

    def __init__(self, url: str, plan: Plan, folder: Path) -> None:
        self._program = pgbench_program()
        self._url = url
        self._plan = plan
        self._folder = folder
        self._script = folder / "script.sql"
        self._script.write_text(SCRIPT)

    async def run(self, name: str, seconds: int) -> None:
        """Once."""
        process = await asyncio.create_subprocess_exec(
            *(self._program, "--no-vacuum", "--client", str(self._plan.clients), "--jobs", "1"),
            *("--time", str(seconds), "--protocol", "prepared", "--file", str(self._script)),
            *("--define", f"rows={self._plan.rows}", "--log", "--log-prefix", str(self._folder / name), self._url),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, error = await process.communicate()
        assert process.returncode == 0, error.decode()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Again and again, for as long as the block lasts."""
        over = asyncio.Event()

        async def go_on() -> None:
            number = 0
            while not over.is_set():
                await self.run(f"during.{number}", SPELL)
                number += 1

        task = asyncio.create_task(go_on())
        try:
            yield
        finally:
            over.set()
            await task

    def latency(self, name: str) -> Latency:
        """Of the runs of that name."""
        took = sorted(self._took(name))
        return Latency(len(took), took[-1][0], took[int(len(took) * 0.999)][0], took[-1][1])

    def _took(self, name: str) -> Iterator[tuple[float, float]]:
        for path in self._folder.glob(f"{name}*"):
            for line in path.read_text().splitlines():
                _, _, took, _, seconds, micros = map(int, line.split())
                yield took / 1e6, seconds + micros / 1e6


class Plan(NamedTuple):
    """`rows` of a fresh table; `clients` of pgbench; `lock_timeout` in seconds."""

    rows: int
    clients: int
    lock_timeout: float


async def play(plan: Plan, url: str, folder: Path, step: Step) -> Figures:
    """All of it, on a server that nobody else uses. `step` hears how far it is."""
    fresh, bloated = await asyncio.to_thread(bloat, url, plan.rows, step)
    patience = timedelta(seconds=plan.lock_timeout)
    settings = Settings(store=url, upkeep_also=(SCHEMA,), upkeep_lock_timeout=patience, upkeep_least_mb=1)
    pgbench = Pgbench(url, plan, folder)
    step("pgbench alone", 0, 1)
    await pgbench.run("before.0", 2 * SPELL)
    async with Database(url) as database:
        await migrate.upgrade(database)
        upkeep = Upkeep(settings, database)
        loop, said = asyncio.get_running_loop(), list[tuple[float, str]]()

        def say(says: str) -> None:
            said.append((time.time(), says))
            step(f"upkeep: {says}", 0, 1)

        began = loop.time()
        async with pgbench.running():
            runs = await upkeep.run(Turn(3600), asked_by="bench", say=say)
        seconds = loop.time() - began
    with psycopg.connect(url) as connection:
        after = sizes(connection, "account")
    during = pgbench.latency("during.")
    meanwhile = next((says for at, says in reversed(said) if at < during.ended), "beginning")
    return Figures(fresh, bloated, after, pgbench.latency("before."), during, runs, seconds, meanwhile)


def pgbench_program() -> str:
    """Where it is; Debian's is not on PATH, but a program that chooses one is.

    Raises:
        MissingServer: it is not on this machine.
    """
    debian = sorted(str(path) for path in Path("/usr/lib/postgresql").glob("*/bin/pgbench"))
    if not debian and shutil.which("pgbench") is None:
        raise MissingServer("pgbench is not on this machine: install PostgreSQL's own programs (Debian: postgresql).")
    return debian[-1] if debian else "pgbench"
