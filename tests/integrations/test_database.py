"""The service's database: works in transactions, tables by migration."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Insert, func, insert, select, text
from sqlalchemy.exc import IntegrityError, InvalidRequestError
from tests.integrations.support import Home

from lamplighter.core.errors import ConfigError, StoreDamaged, StoreUnavailable
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.migrate import current, options, upgrade
from lamplighter.integrations.storage.tables import integrations, metadata, tenants

STARTER = """
import asyncio, sys
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.migrate import upgrade
async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    async with Database(sys.argv[1]) as database:
        print(await upgrade(database), flush=True)
asyncio.run(main())
"""


def file(folder: Path, options: str = "") -> str:
    return f"sqlite:///{folder}/lamplighter.db{options}"


@pytest.fixture
async def database(home: Home) -> AsyncIterator[Database]:
    async with Database(home.url) as opened:
        await upgrade(opened)
        yield opened


async def differences(database: Database) -> list[Any]:
    """Between the tables that there are and those that the code knows."""

    def compare(connection: Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection, opts=options()), metadata))

    return await database.migrate(compare)


def add(name: str) -> Insert:
    return insert(tenants).values(id=name, name=name, owner_id="o", archived=False, created_at=0)


async def count(database: Database) -> int | None:
    return await database.read(lambda connection: connection.scalar(select(func.count()).select_from(tenants)))


async def test_the_migrated_tables_are_those_that_the_code_knows(home: Home) -> None:
    async with Database(home.url) as database:
        assert await current(database) is None
        newest = await upgrade(database)
        assert await current(database) == newest == await upgrade(database)
        assert await differences(database) == []


async def test_tables_of_others_are_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "lamplighter.db") as theirs:
        theirs.execute("CREATE TABLE lamp_jobs (id)")
        theirs.execute("CREATE TABLE alembic_version (version_num)")
        theirs.execute("INSERT INTO alembic_version VALUES ('theirs')")
    theirs.close()
    async with Database(file(tmp_path)) as database:
        await upgrade(database)
        assert await differences(database) == []
        assert await database.read(lambda c: c.scalar(text("SELECT version_num FROM alembic_version"))) == "theirs"


async def test_processes_may_start_on_a_new_database_at_once(home: Home) -> None:
    starters = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", STARTER, home.url, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(3)
    ]
    for starter in starters:
        assert starter.stdout is not None
        assert await starter.stdout.readline() == b"ready\n"
    said = await asyncio.gather(*(starter.communicate(b"go\n") for starter in starters))
    assert len({out for out, _ in said}) == 1
    assert [starter.returncode for starter in starters] == [0, 0, 0]


async def test_a_database_of_a_newer_lamplighter_is_refused(database: Database) -> None:
    newer = text("UPDATE lamp_alembic_version SET version_num='9999'")
    await database.migrate(lambda connection: connection.execute(newer).close())
    with pytest.raises(StoreDamaged, match="upgrade"):
        await upgrade(database)


async def test_a_work_that_fails_does_not_spoil_its_neighbours(database: Database) -> None:

    def broken(connection: Connection) -> None:
        connection.execute(add("broken"))
        raise LookupError

    def twice(connection: Connection) -> None:
        connection.execute(add("twice"))
        connection.execute(add("twice"))

    def commits(connection: Connection) -> None:
        connection.execute(add("commits"))
        connection.commit()

    def rolls_back(connection: Connection) -> None:
        connection.execute(add("rolls back"))
        connection.rollback()

    works = [lambda connection, n=n: connection.execute(add(f"t{n}")).close() for n in range(20)]
    bad = [broken, twice, commits, rolls_back]
    results = await asyncio.gather(*map(database.write, [*works[:10], *bad, *works[10:]]), return_exceptions=True)
    kinds = [type(result) for result in results if result is not None]
    assert kinds == [LookupError, IntegrityError, InvalidRequestError, InvalidRequestError]
    assert await count(database) == 20


async def test_errors_show_no_values(database: Database) -> None:
    await database.write(lambda connection: connection.execute(add("secret-value")))
    with pytest.raises(IntegrityError) as caught:
        await database.write(lambda connection: connection.execute(add("secret-value")))
    assert "secret-value" not in str(caught.value)


async def test_a_reader_can_write_nothing(database: Database) -> None:
    with pytest.raises(StoreUnavailable):
        await database.read(lambda connection: connection.execute(add("t")))


async def test_references_are_enforced(database: Database) -> None:
    row = dict.fromkeys(("token_version", "outages", "status_changed_at", "created_at", "updated_at"), 0)
    statement = insert(integrations).values(
        id="i", tenant_id="none", provider_slug="none", scopes="", status="active", metadata={}, **row
    )
    with pytest.raises(IntegrityError):
        await database.write(lambda connection: connection.execute(statement))


async def test_a_locked_file_is_one_clear_error(tmp_path: Path) -> None:
    async with Database(file(tmp_path, "?patience=0")) as database:
        await upgrade(database)
        holder = sqlite3.connect(tmp_path / "lamplighter.db", isolation_level=None)
        try:
            holder.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable, match="locked"):
                await database.write(lambda connection: connection.execute(add("t")))
        finally:
            holder.close()


async def test_a_works_connection_leads_to_sqlites_own_within_its_transaction(tmp_path: Path) -> None:
    async with Database(file(tmp_path)) as database:
        await upgrade(database)

        def join(connection: Connection) -> None:
            raw: object = connection.connection.dbapi_connection
            assert isinstance(raw, sqlite3.Connection)
            assert raw.in_transaction
            raw.execute(
                "INSERT INTO lamp_tenants (id, name, owner_id, archived, created_at) VALUES ('joined', 'n', 'o', 0, 0)"
            )
            connection.execute(add("joined"))  # fails, and takes what was done on SQLite's own with it

        with pytest.raises(IntegrityError):
            await database.write(join)
        assert await count(database) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        "mysql://u:hunter2@h/db",
        "postgresql://u:hunter2@h/db?shcema=x",
        "memory://",
        "sqlite://",
        "sqlite:///x.db?paitence=1",
    ],
)
def test_a_url_that_cannot_be_used_says_what_to_write(wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Database(wrong)
    assert "hunter2" not in str(caught.value)
