"""What the doctor makes of what it sees; that it sees what really is, tests/cli/test_cli_doctor.py shows."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.integrations.telling import mail_server
from tests.services import StartRedis

from lamplighter.app import App
from lamplighter.app.crons import overdue
from lamplighter.core.clock import to_us, utcnow
from lamplighter.core.config import Settings
from lamplighter.core.limit import Breaker
from lamplighter.core.model import QueueStats, Record
from lamplighter.core.secret import Secret
from lamplighter.engine.pause import pause
from lamplighter.engine.tick import KIND, Told
from lamplighter.families.doctor import SEVERITY, Checked, audit, diagnose, jobs, machine, tokens
from lamplighter.families.doctor.audit import AuditSeen
from lamplighter.families.doctor.finding import ALERTS
from lamplighter.families.doctor.jobs import JobsSeen
from lamplighter.families.doctor.tokens import TokensSeen
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.integration import NewIntegration
from lamplighter.integrations.provider import load_facts
from lamplighter.integrations.storage.tables import integrations
from lamplighter.integrations.tenants import Tenant
from lamplighter.observe.history.slot import ALL, Slot, Tally, write
from lamplighter.observe.history.steps import MINUTES, TENS, record_of
from lamplighter.store.memory import MemoryStore
from lamplighter.testing.proxy import FaultyProxy

NOW = datetime(2030, 1, 1, tzinfo=UTC)
A_MINUTE, TEN_MINUTES = 15, 18  # of the buckets of a histogram: up to 120 s, up to 1800 s
CALM = JobsSeen(now=NOW, stats=(), seen=(), overdue={}, gates=(), failed=(), lately={}, ten_minutes={}, hour={})


def says(name: str, **seen: Any) -> list[str]:
    """What a check of jobs finds in that."""
    return list(jobs.CHECKS[name](msgspec.structs.replace(CALM, **seen)))


def wrong(checked: list[Checked]) -> dict[str, str]:
    return {one.name: "\n".join(one.says) for one in checked if one.state == "wrong"}


def in_queue(tally: Tally) -> Slot:
    return {"money": tally, ALL: tally}


def test_every_alert_has_a_check() -> None:
    assert {*jobs.CHECKS, *tokens.CHECKS, *audit.CHECKS, "disk-nearly-full"} == set(ALERTS)


@pytest.mark.parametrize("name", list(jobs.CHECKS))
def test_nothing_is_wrong_where_nothing_is(name: str) -> None:
    assert says(name) == []


def test_lateness_is_told_by_queue() -> None:
    assert says("late", lately=in_queue(Tally(done=100, late={A_MINUTE: 95, TEN_MINUTES: 5})))
    assert says("late", lately=in_queue(Tally(done=100, late={5: 96, TEN_MINUTES: 4}))) == []


@pytest.mark.parametrize(("failed", "done", "is_told"), [(10, 39, True), (10, 40, False), (9, 0, False)])
def test_failures_are_told_where_they_are_many_and_a_large_part(failed: int, done: int, is_told: bool) -> None:
    assert bool(says("jobs-failing", ten_minutes=in_queue(Tally(done=done, failed=failed)))) is is_told


def test_a_job_that_was_forgotten_has_died_all_the_same() -> None:
    [one] = says("dead-jobs", hour=in_queue(Tally(failed=3)))
    assert one.startswith("3 in queue money failed for good within an hour: ")


def test_an_audit_log_is_told_of_that_was_changed_or_cannot_be_archived() -> None:
    hours = {f"t-{n}": timedelta(hours=n) for n in range(5)}
    seen = AuditSeen(broken={f"t-{n}": "altered at 7: ..." for n in range(7)}, failing=hours)
    *each, more = audit.CHECKS["audit-chain-broken"](seen)
    assert len(each) == 5
    assert more.startswith("2 more chains")
    [one] = audit.CHECKS["audit-archive-failing"](seen)
    assert one.startswith("the audit log of 2 tenants cannot be archived, for 4h by now")


@pytest.mark.parametrize(("minutes", "is_told"), [(3, True), (1, False)])
def test_a_slot_that_passed_is_missed(minutes: int, is_told: bool) -> None:
    found = says("cron-missed", overdue={"nightly": timedelta(minutes=minutes)})
    assert bool(found) is is_told
    assert all("no worker is alive: start a worker whose app has it" in one for one in found)


async def test_a_schedule_is_overdue_unless_it_is_paused() -> None:
    store, due = MemoryStore(), to_us(NOW - timedelta(minutes=3))
    told = Told(schedule="0 7 * * *", job="bill", queue="money", seen=due - 1, fired=None, next=due)
    async with store:
        await store.put(Record(kind=KIND, name="nightly", value=msgspec.json.encode(told).decode()))
        assert await overdue(store, now=NOW) == {"nightly": timedelta(minutes=3)}
        await pause(store, "nightly", now=NOW)
        assert await overdue(store, now=NOW) == {"nightly": timedelta()}


def test_jobs_of_a_paused_queue_miss_no_worker_but_wait_for_a_pause() -> None:
    stats = [QueueStats(queue="my money", paused=True, queued=2, oldest=NOW - timedelta(hours=3))]
    assert says("no-worker", stats=stats) == []
    [one] = says("oldest-waiting", stats=stats)
    assert one.endswith("for 3h: the queue is paused, `lamplighter queues resume 'my money'` lets it go on.")


def test_planned_jobs_miss_a_worker_where_there_is_none_at_all() -> None:
    assert says("no-worker", stats=[QueueStats(queue="money", paused=False, scheduled=2)])


def test_a_store_that_is_slow_is_in_trouble() -> None:
    assert says("store-trouble", took=1.5)


async def test_the_history_that_workers_keep_is_read() -> None:
    async with MemoryStore() as store:
        for ago, failed in ((3, 20), (8, 30), (40, 50)):
            step = MINUTES if ago > 10 else TENS
            begin = step.begin((NOW - timedelta(minutes=ago)).timestamp())
            await store.put(record_of(step, begin, write(in_queue(Tally(failed=failed)))))
        seen = await jobs.look(store, now=NOW)
    counted = [slot["money"].failed for slot in (seen.lately, seen.ten_minutes, seen.hour)]
    assert counted == [20, 50, 50]


async def test_a_breaker_that_somebody_opened_says_so() -> None:
    app = App("memory://")
    app.limit("provider", breaker=Breaker())
    async with app:
        await app.gates.open("provider:google")
        seen = await jobs.look(app.store, now=utcnow())
    [one] = jobs.breaker_open(seen)
    assert one.startswith("the breaker of provider:google was opened by an operator, and 0 jobs wait: ")


def test_a_full_disk_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [tmp_path, tmp_path / "not made yet"]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: (100 * 1024**3, 0, 4 * 1024**3))
    [one] = machine.disk_nearly_full(folders)
    assert "has 4,096 MB free, 4 % of it" in one
    monkeypatch.setattr(shutil, "disk_usage", lambda _: (100 * 1024**3, 0, 6 * 1024**3))
    assert list(machine.disk_nearly_full(folders)) == []


async def test_a_clock_that_is_not_the_stores_is_told() -> None:
    class Ahead(MemoryStore):
        async def time(self) -> datetime:
            return utcnow() + timedelta(minutes=3, seconds=30)

    [one] = await machine.clock(Ahead())
    assert one.startswith("this machine's clock is 3m behind the store's: set it right")
    assert await machine.clock(MemoryStore()) == []


async def test_a_redis_that_may_lose_jobs_is_told_of(start_redis: StartRedis, tmp_path: Path) -> None:
    server = start_redis(settings={"maxmemory-policy": "allkeys-lru"})
    async with App(server.url):
        pass
    found = wrong(await diagnose(Settings(store=server.url, folder=tmp_path)))
    assert "maxmemory-policy allkeys-lru" in found["server"]
    assert "keeps nothing on disk" in found["server"]


async def test_a_postgres_that_may_lose_jobs_is_told_of(postgres_schema_url: str, tmp_path: Path) -> None:
    settings = Settings(store=postgres_schema_url, folder=tmp_path)
    assert "there is nothing of Lamplighter in the schema" in wrong(await diagnose(settings))["schema"]
    app = App(settings=settings)
    TokenFamily(app)
    async with app:
        checked = await diagnose(settings)
    found = wrong(checked)
    if "server" in found:  # that of the tests has fsync off; one that was given may not
        assert "has fsync off, so a crash of its machine may lose or damage jobs: set it to on." in found.pop("server")
    assert list(found) == ["no-worker"], "the first look at all integrations is planned"
    assert {one.name for one in checked if one.state == "unknown"} == {"api-keys"}, "the command line brings that"


async def test_a_store_that_hangs_is_in_trouble(start_redis: StartRedis, tmp_path: Path) -> None:
    server = start_redis()
    with FaultyProxy("127.0.0.1", server.port) as proxy:
        proxy.freeze()
        store = f"redis://127.0.0.1:{proxy.port}?patience=0.5"
        checked = await diagnose(Settings(store=store, database=f"sqlite:///{tmp_path}/x.db", folder=tmp_path))
    found = wrong(checked)
    assert list(found) == ["store-trouble"]
    assert "did not answer within" in found["store-trouble"]
    assert [one.name for one in checked if one.state == "well"] == ["disk-nearly-full", "permissions", "mail"]


async def test_a_file_that_is_no_store_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_text("not a database, and not an empty file either\n" * 100)
    settings = Settings(store=f"sqlite:///{tmp_path}/jobs.db", database=f"sqlite:///{tmp_path}/other.db")
    assert list(wrong(await diagnose(settings))) == ["schema"]
    assert not (tmp_path / "other.db").exists()


async def test_a_mail_server_is_greeted(tmp_path: Path) -> None:
    def settings(url: str) -> Settings:
        return Settings(store=f"sqlite:///{tmp_path}/jobs.db", smtp_url=Secret(url))

    async with mail_server() as server:
        assert "mail" not in wrong(await diagnose(settings(server.url)))
        refused = wrong(await diagnose(settings(server.url.replace("lamps:", "lamps:not-"))))["mail"]
        assert refused.startswith("the mail server does not take it now (535")
        await server.stop()
        away = wrong(await diagnose(settings(server.url)))["mail"]
        assert away.startswith("the mail server cannot be used (")


async def test_refreshes_that_fail_are_counted_by_provider_and_reason(tmp_path: Path) -> None:
    app = App(f"sqlite:///{tmp_path}/jobs.db")
    family = TokenFamily(app)
    async with app:
        service, now = family.service, utcnow()
        await service.registrations.register(load_facts()["gdrive"].with_client("client", Secret("secret")))
        names = [f"t{n}" for n in range(11)]
        await service.tenants.add([Tenant(id=name, name=name, owner_id="auth|1") for name in names])
        new = [
            NewIntegration(tenant_id=t, provider_slug="gdrive", refresh_token=Secret("r"), issued_at=now) for t in names
        ]
        await service.integrations.add(new)
        await service.database.write(
            lambda connection: connection.execute(integrations.update().values(last_outcome="down"))
        )
        seen = await tokens.look(service.database, now=now)
    [one] = tokens.refreshes_failing(seen)
    assert one.startswith("the last refresh of 11 integrations at gdrive failed within 10 minutes (down: 11): ")
    few = TokensSeen(now=now, lapsing={}, failing={"gdrive": {"down": 10}}, down={})
    assert list(tokens.refreshes_failing(few)) == []


async def test_every_check_has_a_runbook() -> None:
    folder = Path(__file__).parents[2] / "docs/runbooks"
    setup = (folder / "set-up.md").read_text()
    for name in SEVERITY:
        assert (folder / f"{name}.md").exists() if name in ALERTS else f"## {name}\n" in setup, name
