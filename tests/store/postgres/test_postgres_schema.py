"""The tables: made once whoever comes first, in their schema alone, and refused where they do not fit."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Callable
from importlib.resources import files

import pytest
from tests.store.postgres.behind import Behind

from lamplighter.core.errors import StoreDamaged
from lamplighter.store import postgres
from lamplighter.store.migrate import Step, migrate
from lamplighter.store.open import open_store
from lamplighter.store.postgres import PostgresStore, schema
from lamplighter.store.postgres.schema import STEPS, PostgresSchema
from lamplighter.testing.conformance._make import add, ids_of, job

StartChild = Callable[..., subprocess.Popen[str]]

OPEN = """
import asyncio, sys
from lamplighter.store.open import open_store
from lamplighter.testing.conformance._make import NOW, job

async def main():
    print("ready")
    sys.stdin.readline()
    async with open_store(sys.argv[1]) as store:
        await store.add([job()], now=NOW)

asyncio.run(main())
"""

# Everything outside of one schema that somebody could have made.
ELSEWHERE = """
SELECT 'table', n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_(toast|temp)' AND n.nspname <> 'SCHEMA'
UNION ALL SELECT 'function', n.nspname, p.oid::regprocedure::text FROM pg_proc AS p
JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname <> 'SCHEMA'
UNION ALL SELECT 'type', n.nspname, t.typname FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
WHERE n.nspname !~ '^pg_(toast|temp)' AND n.nspname <> 'SCHEMA'
UNION ALL SELECT 'schema', nspname, '' FROM pg_namespace WHERE nspname <> 'SCHEMA'
ORDER BY 1, 2, 3
"""


async def test_many_processes_may_start_on_an_empty_database_at_once(
    postgres_schema_url: str, start: StartChild, behind: Behind
) -> None:
    children = [start(OPEN, postgres_schema_url) for _ in range(8)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    await asyncio.gather(*(asyncio.to_thread(child.communicate, "go\n") for child in children))
    assert [child.returncode for child in children] == [0] * 8
    assert await behind.rows("SELECT number FROM SCHEMA.steps") == [(step.number,) for step in STEPS]
    async with open_store(postgres_schema_url) as store:
        assert len(await ids_of(store)) == 8


async def test_all_is_in_the_schema_and_nothing_elsewhere(postgres_schema_url: str, behind: Behind) -> None:
    before = await behind.rows(ELSEWHERE)
    async with open_store(postgres_schema_url) as store:
        await add(store, job())
    assert await behind.rows(ELSEWHERE) == before


async def test_two_stores_share_a_database(store: PostgresStore, behind: Behind) -> None:
    name = f"{behind.schema}_two"
    async with open_store(store.url.replace(behind.schema, name)) as other:
        await add(other, job())
        assert await ids_of(store) == []
    await behind.connection.execute(f"DROP SCHEMA {name} CASCADE")


@pytest.mark.parametrize(
    "theirs", ["TABLE SCHEMA.orders (id int)", "FUNCTION SCHEMA.f() RETURNS int LANGUAGE sql AS 'SELECT 1'"]
)
async def test_a_schema_that_others_use_is_refused_and_left_as_it_is(
    postgres_schema_url: str, behind: Behind, theirs: str
) -> None:
    """Names would meet, and a migration would change functions of the application's."""
    await behind.connection.execute(f"CREATE SCHEMA {behind.schema}")
    await behind.rows(f"CREATE {theirs}")
    with pytest.raises(StoreDamaged, match=r"holds what is not Lamplighter's: name another schema in the store URL\.$"):
        await open_store(postgres_schema_url).__aenter__()
    assert await PostgresSchema.from_url(postgres_schema_url).taken() == []
    assert await behind.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'SCHEMA'::regnamespace") == (
        1 if "TABLE" in theirs else 0
    )


async def test_an_empty_schema_that_was_made_for_it_will_do(postgres_schema_url: str, behind: Behind) -> None:
    await behind.connection.execute(f"CREATE SCHEMA {behind.schema}")
    async with open_store(postgres_schema_url) as store:
        await add(store, job())


async def test_looking_makes_nothing(postgres_schema_url: str, behind: Behind) -> None:
    assert await PostgresSchema.from_url(postgres_schema_url).taken() == []
    assert await behind.value("SELECT to_regnamespace('SCHEMA')") is None


async def test_code_goes_on_beside_a_newer_pre_step_but_not_after_a_newer_post_step(
    store: PostgresStore, behind: Behind
) -> None:
    await behind.rows("INSERT INTO SCHEMA.steps VALUES (98, 'pre', 'of the future')")
    async with open_store(store.url) as other:
        await add(other, job())
    await behind.rows("INSERT INTO SCHEMA.steps VALUES (99, 'post', 'of the future')")
    with pytest.raises(StoreDamaged, match=r"was migrated for a newer Lamplighter alone: upgrade this one\.$"):
        await open_store(store.url).__aenter__()


async def test_a_schema_that_lacks_a_pre_step_is_told_to_migrate(
    store: PostgresStore, behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = Step(len(STEPS) + 1, "pre", "wish")
    monkeypatch.setattr(schema, "STEPS", (*STEPS, newer))
    monkeypatch.setattr(PostgresSchema, "steps", (*STEPS, newer))
    monkeypatch.setitem(schema.SCRIPTS, newer, "CREATE TABLE wishes (id int)")
    with pytest.raises(StoreDamaged, match=r"lacks schema step \d+ of this version: run `lamplighter migrate`\.$"):
        await open_store(store.url).__aenter__()
    assert await migrate(PostgresSchema.from_url(store.url)) == [newer]
    assert await behind.rows("SELECT * FROM SCHEMA.wishes") == []
    async with open_store(store.url):
        pass


async def test_a_step_is_taken_whole_or_not_at_all(
    store: PostgresStore, behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = Step(len(STEPS) + 1, "pre", "wish")
    monkeypatch.setattr(PostgresSchema, "steps", (*STEPS, newer))
    monkeypatch.setitem(schema.SCRIPTS, newer, "CREATE TABLE wishes (id int); CREATE TABLE jobs (id int)")
    with pytest.raises(Exception, match="already exists"):
        await migrate(PostgresSchema.from_url(store.url))
    assert await behind.value("SELECT to_regclass('SCHEMA.wishes')") is None
    assert await PostgresSchema.from_url(store.url).taken() == list(STEPS)


async def test_every_function_goes_by_its_own_tables_and_indexes(store: PostgresStore, behind: Behind) -> None:
    """What it calls goes by the same. A trigger may be met by an administrator's statement too."""
    called = sorted(set(re.findall(r"SCHEMA\.(\w+)\(", files(postgres).joinpath("queries.sql").read_text("utf-8"))))
    found = "SELECT proname, proconfig FROM pg_proc WHERE pronamespace = 'SCHEMA'::regnamespace"
    of_outside = await behind.rows(f"{found} AND proname = ANY ($1) ORDER BY 1", called)
    assert [name for name, _ in of_outside] == called
    path = f"search_path={behind.schema}, pg_temp"
    for name, settings in of_outside:
        assert {path, "enable_seqscan=off", "plan_cache_mode=force_generic_plan"} <= set(settings), name
    for name, settings in await behind.rows(f"{found} AND prorettype = 'trigger'::regtype"):
        assert path in settings, name
