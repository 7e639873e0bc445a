"""The tables of tenants, providers and integrations."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Select, event, select, text
from tests.integrations.support import KEY, NOW, TENANT, Endpoint, Home, Service, Timer, service

from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret
from lamplighter.integrations.integration import NewIntegration
from lamplighter.integrations.integrations import Integrations, overdue_after, page_of, refreshable_after
from lamplighter.integrations.refreshing import row
from lamplighter.integrations.storage.many import Read, Write
from lamplighter.integrations.storage.tables import providers
from lamplighter.integrations.tenants import Tenant, Tenants
from lamplighter.integrations.vault import MwapCipher, Unreadable, Vault

MANY = 40_000
HOUR = timedelta(hours=1)


def many(count: int) -> Iterator[NewIntegration]:
    """Integrations of as many tenants; every tenth is overdue."""
    for number in range(count):
        yield NewIntegration(
            tenant_id=f"t{number:06}",
            provider_slug="lantern",
            access_token=Secret("a" * 40),
            refresh_token=Secret("r" * 40),
            issued_at=NOW - 3 * HOUR,
            expires_at=NOW - 2 * HOUR if number % 10 == 0 else NOW + HOUR,
        )


async def add_tenants(ours: Service, count: int) -> None:
    tenants = Tenants(ours.database)
    for start in range(0, count, 5000):
        numbers = range(start, min(start + 5000, count))
        await tenants.add([Tenant(id=f"t{number:06}", name="n", owner_id="o") for number in numbers])


@pytest.mark.timeout(400)  # it computes all the time: on a busy machine it takes as much longer
async def test_very_many_are_imported_and_listed_with_flat_memory(
    endpoint: Endpoint, ours: Service, home: Home
) -> None:
    count = MANY if "sqlite" in home.url else MANY // 2  # batches are alike, and a server takes its time
    await ours.registrations.register(endpoint.provider())
    await add_tenants(ours, count)
    table = Integrations(ours.database, ours.vault, clock=Timer())
    tracemalloc.start()
    try:
        assert await table.add_many(many(count)) == count
        late = [len(batch) async for batch in table.overdue(timedelta(minutes=1))]
        usable = [len(batch) async for batch in table.refreshable()]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (sum(late), max(late)) == (count // 10, 1000)
    assert (sum(usable), max(usable)) == (count, 1000)
    assert peak < 20_000_000
    assert await table.counts() == {"active": count}


async def plan(ours: Service, statement: Select[Any]) -> str:
    def explain(connection: Connection) -> str:
        sql = str(statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
        word = "EXPLAIN" if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
        return " ".join(row[-1] for row in connection.execute(text(f"{word} {sql}")))

    return await ours.database.migrate(explain)


STATEMENTS = pytest.mark.parametrize("statement", [
    overdue_after("active", 10, (5, "i"), 100),
    page_of(None, None, None, 10, "i"),
    page_of("t", None, None, 10, "i"),
    page_of(None, "lantern", None, 10, "i"),
    page_of(None, None, "error", 10, "i"),
    refreshable_after("active", "i", 100),
])  # fmt: skip


@STATEMENTS
async def test_no_listing_reads_the_whole_table_nor_sorts(tmp_path: Path, statement: Select[Any]) -> None:
    async with service(Home(tmp_path, f"sqlite:///{tmp_path}/lamplighter.db")) as ours:
        found = await plan(ours, statement)
    assert "SEARCH lamp_integrations USING INDEX" in found
    assert "SCAN" not in found
    if "tenant_id" not in found:  # a tenant has one of each provider: sorting those is nothing
        assert "TEMP B-TREE" not in found


async def test_no_listing_on_postgres_reads_the_whole_table_nor_sorts(postgres_schema_url: str, tmp_path: Path) -> None:
    async with service(Home(tmp_path, postgres_schema_url)) as ours:
        await ours.database.migrate(_fill)
        for statement in [*STATEMENTS.args[1]]:
            found = await plan(ours, statement)
            assert "Index Scan using lamp_integrations_" in found, found
            assert "Index Cond" in found
            assert "Seq Scan" not in found
            assert "tenant_id" in found or "Sort" not in found, found


def _fill(connection: Connection) -> None:
    """Enough rows for PostgreSQL to prefer an index, with few of them in error and few of one provider."""
    for statement in (
        "INSERT INTO lamp_providers SELECT 'p' || n, 'n', 'c', 's', '{}', 1, 0, 0 FROM generate_series(1, 50) n",
        "INSERT INTO lamp_tenants SELECT 't' || n, 'n', 'o', false, 0 FROM generate_series(1, 20000) n",
        """INSERT INTO lamp_integrations (id, tenant_id, provider_slug, refresh_token, token_version, refresh_at,
        scopes, status, status_changed_at, outages, metadata, created_at, updated_at)
        SELECT 'i' || n, 't' || n, 'p' || (n % 50 + 1), 'r', 1, n, '', CASE WHEN n % 100 = 0 THEN 'error' ELSE 'active'
        END, 0, 0, '{}', 0, 0 FROM generate_series(1, 20000) n""",
        "ANALYZE lamp_integrations",
    ):
        connection.execute(text(statement))


STEPS = (row._peek, row._acquire, row._held, row._awaiting, row._store_tokens)


async def test_no_step_of_a_refresh_looks_for_a_row_but_by_its_key(tmp_path: Path) -> None:
    async with service(Home(tmp_path, f"sqlite:///{tmp_path}/lamplighter.db")) as ours:
        for step in STEPS:
            found = await ours.database.write(lambda connection, step=step: steps(connection, "QUERY PLAN", step))  # type: ignore[misc]
            assert "SEARCH lamp_integrations USING INDEX sqlite_autoindex_lamp_integrations_1 (id=?)" in found, found


async def test_no_step_of_a_refresh_on_postgres_looks_for_a_row_but_by_its_key(
    postgres_schema_url: str, tmp_path: Path
) -> None:
    async with service(Home(tmp_path, postgres_schema_url)) as ours:
        await ours.database.migrate(_fill)
        for step in STEPS:
            found = await ours.database.write(lambda connection, step=step: steps(connection, "", step))  # type: ignore[misc]
            assert "Index Scan using lamp_integrations_pk on lamp_integrations" in found, found


def steps(connection: Connection, how: str, step: Read | Write) -> str:
    """How the database goes about a statement that is given rows."""

    def explain(_connection: Any, _cursor: Any, sql: str, values: Any, _context: Any, _many: bool) -> tuple[str, Any]:
        return f"EXPLAIN {how} {sql}", values

    event.listen(connection, "before_cursor_execute", explain, retval=True)
    try:
        result: Any = connection.execute(step._statements[connection.dialect.name], {"given": "[]", "number": 1})
        return " ".join(line[-1] for line in result.cursor.fetchall())
    finally:
        event.remove(connection, "before_cursor_execute", explain)


async def test_pages_follow_one_another_and_can_be_narrowed(endpoint: Endpoint, ours: Service) -> None:
    await ours.registrations.register(endpoint.provider())
    await add_tenants(ours, 25)
    assert await ours.integrations.add_many(many(25), batch=10) == 25
    assert await ours.integrations.add_many(many(25), batch=10) == 0  # those that are there stay
    seen, after = list[str](), ""
    while page := await ours.integrations.page(limit=10, after=after):
        seen += [integration.tenant_id for integration in page]
        after = page[-1].id
    assert sorted(seen) == [f"t{number:06}" for number in range(25)]
    assert len(await ours.integrations.page(tenant_id="t000003")) == 1
    assert len(await ours.integrations.page(provider_slug="lantern", status="active")) == 25
    assert await ours.integrations.page(status="revoked") == []
    assert await ours.integrations.page(provider_slug="elsewhere") == []


async def test_the_longest_overdue_come_first(endpoint: Endpoint, ours: Service) -> None:
    await ours.registrations.register(endpoint.provider())
    await add_tenants(ours, 30)
    lives = [NewIntegration(
        tenant_id=f"t{number:06}", provider_slug="lantern", refresh_token=Secret("r"), issued_at=NOW,
        expires_at=NOW + timedelta(minutes=number * 7 % 30),
    ) for number in range(30)]  # fmt: skip
    await ours.integrations.add_many(lives)
    batches = [batch async for batch in ours.integrations.overdue(timedelta(), batch=7)]
    moments = [due.refresh_at for batch in batches for due in batch]
    assert len(moments) == 30
    assert moments == sorted(moment for moment in moments if moment)


async def test_what_mwap_encrypted_is_read_and_stored_our_way(endpoint: Endpoint, ours: Service) -> None:
    mwap = MwapCipher("a-secret-of-mwap-that-is-long-enough")
    table = Integrations(ours.database, Vault(_keys(), mwap))
    await ours.registrations.register(endpoint.provider())
    await add_tenants(ours, 2)
    new = [
        NewIntegration(
            id=f"i{number}", tenant_id=f"t{number:06}", provider_slug="lantern",
            access_token=mwap.encrypt("access"), refresh_token=mwap.encrypt(refresh),
        )
        for number, refresh in enumerate(["refresh", ""])
    ]  # fmt: skip
    assert await table.add_many(new) == 2
    assert await ours.tokens("i0") == ("access", "refresh")
    access = await table.access("i1")
    assert access is not None
    assert access.access_token.reveal() == "access"
    assert "access" not in repr(access.access_token)
    assert (await ours.get("i1")).refresh_at is None
    with pytest.raises(Unreadable):  # a str is never taken for a plain token
        await ours.integrations.add_many([NewIntegration(tenant_id="t000000", provider_slug="x", access_token="plain")])


def _keys() -> Any:
    from lamplighter.integrations.vault import KeyRing

    return KeyRing.from_text(KEY)


async def test_connecting_again_keeps_the_row_and_counts_the_tokens(endpoint: Endpoint, ours: Service) -> None:
    provider = endpoint.provider()
    await ours.registrations.register(provider)
    first = await ours.connect(provider, "a", "r")
    again = await ours.connect(provider, "a2", "r2")
    assert (again.id, again.token_version, again.created_at) == (first.id, first.token_version + 1, first.created_at)
    assert await ours.tokens(first.id) == ("a2", "r2")
    assert await ours.integrations.get("nobody") is None
    assert await ours.integrations.access("nobody") is None


async def test_without_tokens_it_is_pending(endpoint: Endpoint, ours: Service) -> None:
    await ours.registrations.register(endpoint.provider())
    pending = await ours.integrations.connect(
        NewIntegration(tenant_id=TENANT, provider_slug="lantern", scopes=("a", "b"), metadata={"folder": "/x"})
    )
    assert (pending.status, pending.refresh_at, pending.connected_at) == ("pending", None, None)
    assert (pending.scopes, pending.metadata) == (("a", "b"), {"folder": "/x"})


async def test_a_provider_is_kept_whole_and_its_secret_encrypted(endpoint: Endpoint, ours: Service) -> None:
    provider = endpoint.provider()
    await ours.registrations.register(provider)
    assert await ours.registrations.get("lantern") == provider
    assert await ours.registrations.all() == [provider]
    stored = await ours.database.read(lambda c: c.execute(select(providers)).one())
    assert "client-secret" not in str(stored)
    with pytest.raises(ConfigError, match="register"):
        await ours.registrations.get("nobody")


async def test_tenants_are_added_once_paged_and_archived(ours: Service) -> None:
    tenants = Tenants(ours.database)
    await add_tenants(ours, 3)
    assert await tenants.add([Tenant(id="t000001", name="other", owner_id="o")]) == 0
    found = await tenants.get("t000001")
    assert found is not None
    assert found.name == "n"
    assert [tenant.id for tenant in await tenants.page(limit=2, after=TENANT)] == ["t000000", "t000001"]
    assert await tenants.archive("t000001")
    assert not await tenants.archive("t000001")
    assert not await tenants.archive("nobody")
    assert await tenants.get("nobody") is None
