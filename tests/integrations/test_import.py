"""An import into real tables: what comes, what was there, what is refused, and that it is the same the second time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select
from tests.integrations.support import KEY, Home

from lamplighter.core.config import Settings
from lamplighter.core.errors import ConfigError, StoreUnavailable
from lamplighter.core.secret import Secret
from lamplighter.integrations.imports import importer
from lamplighter.integrations.imports.report import MOST_TOLD, Report
from lamplighter.integrations.imports.run import choose, run
from lamplighter.integrations.integrations import Due
from lamplighter.integrations.provider import load_facts
from lamplighter.integrations.refreshing.planner import NoPlanner
from lamplighter.integrations.service import Service, open_service
from lamplighter.integrations.storage.tables import integrations, providers, tenants
from lamplighter.integrations.vault import MwapCipher

MWAP_KEY = "a-secret-of-mwap-that-is-long-enough"
CIPHER = MwapCipher(MWAP_KEY)
GDRIVE, DROPBOX, TENANT = "65f0a1b2c3d4e5f607182930", "65f0a1b2c3d4e5f607182931", "65f0a1b2c3d4e5f607182932"


class Plans:
    """What was planned, batch by batch. `breaks`: at the next batch, as a process that is killed would."""

    def __init__(self) -> None:
        self.batches: list[list[Due]] = []
        self.breaks = False

    async def __call__(self, due: Sequence[Due]) -> None:
        if self.breaks:
            raise StoreUnavailable("the store went away.")
        self.batches.append(list(due))

    @property
    def ids(self) -> set[str]:
        return {due.id for batch in self.batches for due in batch}


@pytest.fixture
def plans() -> Plans:
    return Plans()


@pytest.fixture
async def opened(home: Home) -> AsyncIterator[Service]:
    settings = Settings(store=home.url, folder=home.folder, encryption_keys=Secret(KEY))
    async with open_service(settings, NoPlanner()) as service:
        for slug in ("gdrive", "dropbox"):
            await service.registrations.register(load_facts()[slug].with_client("client", Secret("client-secret")))
        yield service


class Import:
    """Files of a folder, and imports of them."""

    def __init__(self, folder: Path, service: Service, plans: Plans) -> None:
        self.folder = folder
        self.service = service
        self.plans = plans
        self.told: list[int] = []  # how much was read

    def write(self, name: str, *lines: object) -> Path:
        path = self.folder / name
        path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
        return path

    async def __call__(self, *files: Path, dry_run: bool = False) -> Report:
        main, providers, tenants, *_ = (*files, None, None)
        assert main is not None
        chosen, key = choose(main, None, providers, tenants), Secret(MWAP_KEY)
        return await run(chosen, self.service, self.plans, mwap_key=key, dry_run=dry_run, told=self.told.append)

    async def rows(self) -> list[Any]:
        """Everything that an import may write."""

        def read(connection: Connection) -> list[Any]:
            return [sorted(map(str, connection.execute(select(table)))) for table in (tenants, providers, integrations)]

        return await self.service.database.read(read)

    async def token(self, integration_id: str, column: str = "refresh_token") -> str | None:
        statement = select(integrations.c[column]).where(integrations.c.id == integration_id)
        stored = await self.service.database.read(lambda connection: connection.execute(statement).scalar_one())
        return stored and self.service.vault.decrypt(stored, f"integration/{integration_id}/{column}")


@pytest.fixture
def bring(tmp_path: Path, opened: Service, plans: Plans) -> Import:
    return Import(tmp_path, opened, plans)


def reasons(report: Report) -> dict[str, str]:
    return {one.where: one.reason for one in report.refusals}


def row(number: int, **more: object) -> dict[str, object]:
    """A plain record that brings its tenant along."""
    return {
        "tenant_id": f"t{number}", "provider": "gdrive", "access_token": f"access-{number}", "id": f"i{number}",
        "refresh_token": f"refresh-{number}", "expires_at": "2030-01-31T18:00:00Z",
        "tenant_name": "Bakery", "tenant_owner": "auth|1",
    } | more  # fmt: skip


async def test_records_come_with_their_tenants_and_are_planned_at_once(bring: Import) -> None:
    file = bring.write("a.json", row(1), row(2, scopes=["a", "b"]), row(3, refresh_token=None), {
        "tenant_id": "t1", "provider": "dropbox",  # its tenant came with another record
    })  # fmt: skip
    report = await bring(file)
    assert (report.added, report.known, report.refused, report.tenants) == (4, 0, 0, 3)
    assert bring.plans.ids == {"i1", "i2"}
    [[first, _]] = bring.plans.batches
    assert first.refresh_at is not None
    assert datetime(2030, 1, 31, 17, 50, tzinfo=UTC) < first.refresh_at < datetime(2030, 1, 31, 18, tzinfo=UTC)
    assert await bring.token("i2") == "refresh-2"
    assert await bring.service.integrations.counts() == {"active": 3, "pending": 1}
    tenant = await bring.service.tenants.get("t3")
    assert tenant is not None
    assert (tenant.name, tenant.owner_id) == ("Bakery", "auth|1")


async def test_csv_and_json_bring_the_same(bring: Import) -> None:
    names = list(row(1))
    await bring(bring.write("a.csv", ",".join(names), *(",".join(map(str, row(n).values())) for n in range(5))))
    there = await bring.rows()
    again = await bring(bring.write("b.json", [row(n) for n in range(5)]))
    assert (again.added, again.known, again.refused) == (0, 5, 0)
    assert await bring.rows() == there


async def test_a_second_run_changes_nothing_and_plans_nothing(bring: Import) -> None:
    file = bring.write(
        "a.json", *map(row, range(10)), row(3, id="other"), row(11, id="i4"), row(12, provider="nowhere")
    )
    first = await bring(file)
    there, planned = await bring.rows(), bring.plans.ids
    second = await bring(file)
    assert (first.added, second.added, second.known, second.tenants) == (10, 0, 10, 0)
    assert (second.refused, second.refusals) == (first.refused, first.refusals)
    assert await bring.rows() == there
    assert bring.plans.ids == planned


async def test_an_interrupted_run_is_completed_by_another(bring: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importer, "BATCH", 3)
    file = bring.write("a.json", *map(row, range(10)))
    bring.plans.breaks = True
    with pytest.raises(StoreUnavailable):
        await bring(file)
    bring.plans.breaks = False
    report = await bring(file)
    assert (report.added, report.known) == (7, 3)
    assert await bring.service.integrations.counts() == {"active": 10}


async def test_each_bad_record_is_named_and_the_others_come(bring: Import) -> None:
    await bring(bring.write("before.json", row(50)))
    file = bring.write(
        "a.json",
        row(1),
        row(1, id="again"),  # line 2
        row(2, id="i1"),  # line 3
        row(3, id="i50"),  # line 4
        row(4, provider="nowhere"),  # line 5
        {"tenant_id": "stranger", "provider": "gdrive"},  # line 6
        "{",  # line 7
        "[]",  # line 8
        row(9, expires_at="soon"),  # line 9
        row(10, access_token="x" * 40_000),  # line 10
        row(11, colour="red"),  # line 11
        '{"a": "' + "x" * 300_000 + '"}',  # line 12
        row(13),
    )
    report = await bring(file)
    assert (report.added, report.refused) == (2, 11)
    assert [one.where for one in report.refusals] == [f"line {n}" for n in range(2, 13)]
    for line, words in (
        (2, "the tenant and the provider of line 1"),
        (3, "the id of line 1"),
        (4, "belongs to another integration"),
        (5, "not registered (dropbox, gdrive)"),
        (6, "its tenant is not known"),
        (7, "no JSON"),
        (8, "no object"),
        (9, "expires_at is no moment"),
        (10, "access_token is longer"),
        (11, "field 9 is none of ours"),
        (12, "longer than 256 KiB"),
    ):
        assert words in reasons(report)[f"line {line}"]


async def test_a_refused_record_does_not_stand_in_the_way_of_a_good_one(bring: Import) -> None:
    report = await bring(bring.write("a.json", row(1, expires_at="soon"), row(1, provider="nowhere"), row(1)))
    assert (report.added, list(reasons(report))) == (1, ["line 1", "line 2"])


async def test_a_dry_run_says_the_same_and_writes_nothing(bring: Import) -> None:
    await bring(bring.write("before.json", row(7)))
    file = bring.write("a.json", *map(row, range(10)), row(3), {"tenant_id": "t5", "provider": "dropbox"}, "nonsense")
    there, planned = await bring.rows(), bring.plans.ids
    dry = await bring(file, dry_run=True)
    assert await bring.rows() == there
    assert bring.plans.ids == planned
    real = await bring(file)
    assert (dry.added, dry.known, dry.refusals, dry.tenants) == (10, 1, real.refusals, 9)
    assert (real.added, real.known, real.tenants) == (10, 1, 9)


async def test_very_many_refusals_are_counted_and_the_first_are_told(bring: Import) -> None:
    report = await bring(bring.write("a.json", *(["nonsense"] * (MOST_TOLD + 5))))
    assert (report.refused, len(report.refusals)) == (MOST_TOLD + 5, MOST_TOLD)


async def test_twenty_thousand_come_without_more_than_a_batch_in_memory(bring: Import) -> None:
    file = bring.write("a.json", *map(row, range(20_000)))
    ahead = list[int]()

    async def plan(due: Sequence[Due]) -> None:
        ahead.append(len(bring.told) - 20_000 - len(bring.plans.ids))  # after a first reading for tenants
        await bring.plans(due)

    report = await run(
        choose(file, None, None, None), bring.service, plan, mwap_key=None, dry_run=False, told=bring.told.append
    )
    assert (report.added, report.tenants, report.refused) == (20_000, 20_000, 0)
    assert {len(batch) for batch in bring.plans.batches} == {importer.BATCH}
    assert max(ahead) <= importer.BATCH
    assert sum(bring.told) == 2 * file.stat().st_size


# MWAP


def provider(_id: str = GDRIVE, slug: str = "gdrive", **more: object) -> dict[str, object]:
    facts = load_facts().get(slug)
    return {
        "_id": {"$oid": _id}, "name": slug, "slug": slug, "scopes": ["x"], "clientId": "mwap-client",
        "authUrl": facts.auth_url if facts else "https://attic.example/authorize",
        "tokenUrl": facts.token_url if facts else "https://attic.example/token",
        "clientSecret": CIPHER.encrypt("mwap-client-secret"), "grantType": "authorization_code", "tokenMethod": "POST",
    } | more  # fmt: skip


def tenant(_id: str = TENANT, **more: object) -> dict[str, object]:
    return {"_id": {"$oid": _id}, "name": "Bakery", "ownerId": "auth0|1", "archived": False} | more


def integration(number: int = 1, **more: object) -> dict[str, object]:
    return {
        "_id": f"{number:024x}", "tenantId": TENANT, "providerId": GDRIVE, "status": "active",
        "accessToken": CIPHER.encrypt("access"), "refreshToken": CIPHER.encrypt("refresh"),
        "tokenExpiresAt": {"$date": "2030-01-31T18:00:00.000Z"}, "connectedAt": {"$date": "2030-01-31T17:00:00.000Z"},
        "scopesGranted": ["x"], "createdBy": "auth0|1",
    } | more  # fmt: skip


async def test_an_export_of_mwap_comes_with_its_providers_and_tenants(bring: Import) -> None:
    files = (
        bring.write("i.json", integration(1), integration(2, providerId={"$oid": DROPBOX})),
        bring.write("p.json", [provider(), provider(DROPBOX, "attic")]),
        bring.write("t.json", tenant(archived=True)),
    )
    report = await bring(*files)
    assert (report.added, report.refused, report.tenants, report.providers) == (2, 0, 1, ["attic"])
    assert await bring.token(f"{1:024x}") == "refresh"
    assert (await bring.service.registrations.get("gdrive")).client_id == "client"  # as it was registered here
    attic = await bring.service.registrations.get("attic")
    assert (attic.client_id, attic.client_secret) == ("mwap-client", Secret("mwap-client-secret"))
    brought = await bring.service.tenants.get(TENANT)
    assert brought is not None
    assert brought.archived
    there = await bring.rows()
    again = await bring(*files)
    assert (again.added, again.known, again.tenants, again.providers) == (0, 2, 0, [])
    assert await bring.rows() == there


NO_TOKENS: dict[str, Any] = {"accessToken": None, "refreshToken": None}


@pytest.mark.parametrize(("said", "ours", "is_due"), [
    ({"status": "active"}, "active", False),
    ({}, "active", False),
    ({"status": "expired"}, "expired", True),
    ({"status": "error"}, "error", True),
    ({"status": "revoked"}, "revoked", None),
    ({"status": "revoked", **NO_TOKENS}, "revoked", None),
    ({"status": "active", **NO_TOKENS}, "pending", None),
    ({"status": "error", **NO_TOKENS}, "pending", None),
])  # fmt: skip
async def test_what_mwap_knows_of_an_integration_stays_known(
    bring: Import, said: dict[str, Any], ours: str, is_due: bool | None
) -> None:
    files = (
        bring.write("i.json", integration(**{"status": None, **said})),
        bring.write("p.json", provider()),
        bring.write("t.json", tenant()),
    )
    assert (await bring(*files)).added == 1
    [found] = await bring.service.integrations.page()
    is_planned = is_due is not None
    assert (found.status, found.refresh_at is not None) == (ours, is_planned)
    assert bring.plans.ids == ({found.id} if is_planned else set())
    if found.refresh_at is not None:
        assert (found.refresh_at <= found.created_at) is is_due
    if ours == "revoked":
        assert found.status_reason == "it was revoked before it came here"
        assert [batch async for batch in bring.service.integrations.refreshable()] == []  # nor does a reconciler


async def test_what_mwap_s_files_lack_is_refused_by_file_and_place(bring: Import) -> None:
    report = await bring(
        bring.write("i.json", [integration(1, providerId=DROPBOX), integration(2, tenantId=GDRIVE), integration(3)]),
        bring.write("p.json", [provider(), provider(DROPBOX, "attic", clientSecret="plain")]),
        bring.write("t.json", tenant(), tenant(GDRIVE, ownerId=None)),
    )
    assert report.added == 1
    assert [(one.file, one.where, one.reason.split(":")[0]) for one in report.refusals] == [
        ("p.json", "record 2", "clientSecret was altered, or is under another key"),
        ("t.json", "line 2", "ownerId is missing"),
        ("i.json", "record 1", "its provider is not in the export of the providers"),
        ("i.json", "record 2", "its tenant is not known"),
    ]


async def test_files_that_do_not_go_together_are_refused_at_once(bring: Import) -> None:
    mwap, ours, other = (bring.write(name, {name: 1}) for name in ("providerId", "tenant_id", "other"))
    with pytest.raises(ConfigError, match="with --providers"):
        choose(mwap, None, None, None)
    with pytest.raises(ConfigError, match="give no others"):
        choose(ours, None, None, other)
    with pytest.raises(ConfigError, match="cannot read"):
        choose(mwap, None, other, bring.folder / "nowhere")
    with pytest.raises(ConfigError, match="set mwap_encryption_key"):
        await run(
            choose(mwap, None, other, None), bring.service, bring.plans,
            mwap_key=None, dry_run=True, told=bring.told.append,
        )  # fmt: skip
