"""What operators do at the command line is in the audit log, where the service has its tables."""

from __future__ import annotations

import getpass
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.cli.program import Program
from tests.cli.shop import Shop

from lamplighter import group
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.migrate import upgrade


@pytest.fixture
async def log(cli: Program, shop: Shop, tmp_path: Path) -> Any:
    """Reads the log of a shop that has the service's tables, the latest first: action, what, tenant."""
    async with Database(f"sqlite:///{tmp_path}/shop.db") as database:
        await upgrade(database)

    def read() -> list[tuple[str, str, str | None]]:
        records = cli("integrations", "audit", "--json").json["records"]
        assert {(one["user_id"], one["details"]["method"]) for one in records} <= {
            (f"operator:{getpass.getuser()}", "CLI")
        }
        return [(one["action"], f"{one['resource_type']} {one['resource_id']}", one["tenant_id"]) for one in records]

    return read


async def test_what_is_done_to_named_jobs_is_noted_for_each_with_its_tenant(cli: Program, shop: Shop, log: Any) -> None:
    one = await shop.charge.using(tenant="bakery").enqueue("4111")
    two = await shop.greet.enqueue("Ada")
    cli("jobs", "cancel", one.id, two.id, "nobody")
    cli("jobs", "retry", one.id)
    cli("jobs", "delete", two.id)
    found = log()
    assert found[:2] == [("job.delete", f"job {two.id}", None), ("job.retry", f"job {one.id}", "bakery")]
    assert set(found[2:]) == {("job.cancel", f"job {two.id}", None), ("job.cancel", f"job {one.id}", "bakery")}


async def test_a_tree_that_is_cancelled_is_noted_by_its_root_and_as_a_whole(cli: Program, shop: Shop, log: Any) -> None:
    flow = group([shop.greet.draft("Ada"), shop.greet.draft("Bea")], shop.greet.using(tenant="bakery").draft("both"))
    root = await shop.app.enqueue_flow(flow)
    cli("jobs", "cancel", "--tree", root.id)
    assert set(log()) == {("job.cancel", f"job {root.id}", "bakery"), ("jobs.bulk", "jobs many", None)}


async def test_what_is_done_by_filter_is_one_record(cli: Program, shop: Shop, log: Any) -> None:
    for name in ("Ada", "Bea"):
        await shop.greet.enqueue(name)
    cli("jobs", "cancel", "--name", "greet")
    assert log() == [], "it was only counted"
    cli("jobs", "cancel", "--name", "greet", "--yes")
    assert log() == [("jobs.bulk", "jobs many", None)]
    [record] = cli("integrations", "audit", "--json").json["records"]
    assert record["details"]["metadata"] == {"deed": "cancel", "where": {"names": ["greet"]}, "done": 2}


async def test_what_is_done_to_whatever_moves_jobs_is_noted_too(cli: Program, shop: Shop, log: Any) -> None:
    cli("queues", "pause", "money")
    cli("queues", "resume", "money")
    cli("tenants", "weigh", "bakery", "3")
    cli("limits", "open", "provider:a")
    cli("crons", "run", "shop:app", "leap days")
    cli("workers", "drain", "nobody")
    assert {action for action, *_ in log()} >= {"queue.pause", "queue.resume", "tenant.weigh", "limit.open", "cron.run"}
    records = cli("integrations", "audit", "--json").json["records"]
    assert [(one["result"], one["resource_id"]) for one in records if one["action"] == "worker.drain"] == [
        ("failure", "nobody")
    ]


async def test_without_the_tables_of_the_service_nothing_is_noted_or_made(
    cli: Program, shop: Shop, tmp_path: Path
) -> None:
    handle = await shop.greet.enqueue("Ada")
    assert cli("jobs", "cancel", handle.id).code == 0
    assert cli("queues", "pause", "money", "--json").json == {"queue": "money", "paused": True}
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'lamp_audit'").fetchone() == (0,)


def test_silences_are_noted_by_their_rule_and_their_ends_by_their_id(cli: Program, log: Any) -> None:
    made = cli("alerts", "silence", "late", "--for", "2h", "--reason", "known", "--json").json["silence"]["id"]
    assert cli("alerts", "unsilence", made, "nobody").code == 1
    assert log() == [("alert.unsilence", f"alert {made}", None), ("alert.silence", "alert late", None)]
