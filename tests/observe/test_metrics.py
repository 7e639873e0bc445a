"""What is counted of jobs, calls and tenants, and what Prometheus is told of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lamplighter import App, Ctx, never
from lamplighter.core.errors import StoreUnavailable
from lamplighter.core.flow_control import Gate, GateRule
from lamplighter.core.model import QueueStats
from lamplighter.observe.exposing import shown
from lamplighter.observe.meter import MOST_QUEUES, OTHER, Attempt, Ended, Meter
from lamplighter.observe.sight import Integrating, Sight
from lamplighter.observe.tenants import REVIEWED_EVERY

NOW = datetime(2030, 1, 1, tzinfo=UTC)
NOTHING = Sight(now=NOW, stats=(), gates=(), workers=0)


def values(meter: Meter, sight: Sight = NOTHING) -> dict[tuple[str, ...], float]:
    """Each sample, by its name and the values of its labels."""
    text, _ = shown(meter, sight)
    return {
        (sample.name.removeprefix("lamplighter_"), *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def attempt(*, queue: str = "mail", tenant: str | None = None, ended: Ended = "done") -> Attempt:
    return Attempt(queue, "send", tenant, ended, 3.0, 2.0, 0.1)


async def test_attempts_are_counted_by_queue_name_and_how_they_ended(app: App[None]) -> None:
    @app.job(queue="mail")
    async def send(ctx: Ctx[None]) -> None: ...

    @app.job(queue="money", retry=never)
    async def charge(ctx: Ctx[None]) -> None:
        raise ValueError

    await app.enqueue([send.draft(), send.draft(), charge.draft()])
    await app.work(until_idle=True)
    found = values(app.meter)
    assert found["job_attempts_total", "send", "done", "mail"] == 2
    assert found["job_attempts_total", "charge", "failed", "money"] == 1
    assert found["job_run_seconds_count", "send", "mail"] == 2
    assert found["job_lateness_seconds_count", "charge", "money"] == 1
    assert found["job_wait_seconds_count", "charge", "money"] == 1
    assert found["store_operation_seconds_count", "finish"] >= 1
    assert found["jobs_running",] == 0


async def test_names_that_the_app_does_not_know_are_one(sqlite: str) -> None:
    async with App(sqlite) as older:

        @older.job("made up")
        async def any_(ctx: Ctx[None]) -> None: ...

        await any_.enqueue()
    newer = App(sqlite)
    ended = asyncio.Event()
    newer.listen(lambda event: ended.set() if event.kind == "snoozed" else None)
    async with newer, newer.worker():
        await asyncio.wait_for(ended.wait(), 30)
    assert values(newer.meter)["job_attempts_total", "unknown", "snoozed", "default"] == 1


def test_queues_beyond_the_most_are_one() -> None:
    meter = Meter()
    for number in range(MOST_QUEUES + 5):
        meter.ended([attempt(queue=f"q-{number}")])
    assert len(meter.jobs) == MOST_QUEUES + 1
    assert values(meter)["job_attempts_total", "send", "done", OTHER] == 5


def test_tenants_are_not_told_apart_unless_asked_for() -> None:
    meter = Meter()
    meter.ended([attempt(tenant="t-1")])
    assert not any("tenant" in name for name, *_ in values(meter))


def test_the_busiest_tenants_are_told_apart_and_no_sum_falls() -> None:
    meter = Meter(tenants=2)
    meter.ended([attempt(tenant="early"), attempt(tenant="idle"), attempt()])
    meter.ended([attempt(tenant=f"small-{n}") for n in range(100)])
    busy = [attempt(tenant="big"), attempt(tenant="bigger"), attempt(tenant="bigger")]
    before = values(meter)["tenant_attempts_total", "done", OTHER]
    meter.ended(busy * REVIEWED_EVERY)
    meter.ended(busy)
    found = values(meter)
    named = {labels[1] for name, *labels in found if name == "tenant_attempts_total"}
    assert named == {"big", "bigger", OTHER}
    assert found["tenant_attempts_total", "done", OTHER] >= before
    total = sum(value for (name, *_), value in found.items() if name == "tenant_attempts_total")
    assert total <= 102 + 3 * REVIEWED_EVERY + 3


async def test_calls_that_do_not_reach_the_store_are_counted() -> None:
    meter = Meter()
    with pytest.raises(StoreUnavailable), meter.operation("claim"):
        raise StoreUnavailable("it is away: try again.")
    found = values(meter)
    assert found["store_errors_total", "claim"] == 1
    assert found["store_operation_seconds_count", "claim"] == 1


def test_what_the_store_shows_is_told_by_queue_limit_and_status() -> None:
    rule, opened = GateRule(), Gate(key="crm:t-1", held=True)
    gates = [gate.view(rule, 2, 0) for gate in (opened, Gate(key="crm:t-2"), Gate(key="mail"))]
    sight = Sight(
        now=NOW,
        stats=[
            QueueStats(queue="mail", paused=True, queued=7, oldest=NOW - timedelta(seconds=9)),
            QueueStats(queue="idle", paused=False),
        ],
        gates=gates,
        workers=3,
        serving={"mail": 2, "idle": 0},
        overdue={"nightly": 90.0},
        integrating=Integrating(by_status={"active": 4}, expiry=-2.5, down={"lantern": True}, lapsing={"lantern": 5}),
    )
    found = values(Meter(), sight)
    assert found["jobs", "mail", "queued"] == 7
    assert found["queue_paused", "mail"] == 1
    assert (found["queue_oldest_seconds", "mail"], found["queue_oldest_seconds", "idle"]) == (9, 0)
    assert found["workers",] == 3
    assert (found["queue_workers", "mail"], found["queue_workers", "idle"]) == (2, 0)
    assert found["cron_overdue_seconds", "nightly"] == 90
    assert found["integrations_lapsing", "lantern"] == 5
    assert (found["limit_waiting", "crm"], found["limit_open_breakers", "crm"]) == (4, 1)
    assert found["limit_open_breakers", "mail"] == 0
    assert found["integrations", "active"] == 4
    assert found["integration_nearest_expiry_seconds",] == -2.5
    assert found["provider_down", "lantern"] == 1
