"""Query plans of the SQLite store: a long past, a large future or many queues must slow no operation."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from lamplighter.store.sqlite.connection import connect
from lamplighter.store.sqlite.queries import SQL, view
from lamplighter.store.sqlite.schema import SqliteSchema

IDS = json.dumps(["a", "b"])
ROWS = json.dumps([["a", 1], ["b", 2]])
NOW = {"now": 1, "limit": 10}


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    SqliteSchema(tmp_path / "jobs.db").prepare()
    opened = connect(tmp_path / "jobs.db")
    yield opened
    opened.close()


def plan(connection: sqlite3.Connection, statement: str, binds: object) -> list[str]:
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", binds)]  # type: ignore[arg-type]


def scans(steps: list[str]) -> list[str]:
    """Steps that walk a whole table of jobs. To walk an index in its order up to a LIMIT is no such step."""
    return [step for step in steps if step.startswith(("SCAN lamp_jobs", "SCAN lamp_ended")) and " USING " not in step]


CLASS = {"queue": "mail", "priority": 0}
BEFORE = {"gate": "one:a", "queue": "mail"}


def sorts(steps: list[str]) -> list[str]:
    return [step for step in steps if "TEMP B-TREE" in step]


@pytest.mark.parametrize(
    ("name", "binds", "index"),
    [
        ("classes", {"queues": "[]"}, "lamp_lines_next (queue=? AND priority<?)"),
        ("classes", {"queues": "[]"}, "lamp_lines_next (queue>?)"),
        ("heads", {"queues": IDS, "priority": 0}, "lamp_jobs_line (queue=? AND priority=? AND <expr>=?)"),
        ("heads", {"queues": IDS, "priority": 0}, "lamp_lines_next (queue=? AND priority=?)"),
        ("lines", CLASS | {"most": 10}, "lamp_lines_next (queue=? AND priority=?)"),
        ("first", CLASS | {"most": 10, "tenants": IDS}, "lamp_jobs_line (queue=? AND priority=? AND <expr>=?)"),
        ("shares", CLASS | {"limit": 10}, "lamp_lines_next (queue=?)"),
        ("first_before", BEFORE | {"most": 10}, "lamp_jobs_parked (gate=? AND queue=?)"),
        (
            "last_place",
            BEFORE | CLASS | {"tenant": ""},
            "lamp_jobs_places (gate=? AND queue=? AND priority=? AND <expr>=?)",
        ),
        ("any_to_look_at", NOW, "lamp_waits_look (look_at<?)"),
        ("to_look_at", NOW, "lamp_waits_look (look_at<?)"),
        ("next_look", (), "lamp_waits_look"),
        ("any_untold", (), "lamp_gates_untold"),
        ("untold", (), "lamp_gates_untold"),
        ("oldest_in", {"queue": "mail", "most": 10}, "lamp_jobs_oldest (queue=?)"),
        ("oldest_of", {"queue": "mail", "tenant": "", "most": 10}, "lamp_jobs_oldest_of_tenant (queue=? AND <expr>=?)"),
    ],
)
def test_who_is_next_is_read_from_an_index_in_its_order(
    connection: sqlite3.Connection, name: str, binds: object, index: str
) -> None:
    steps = plan(connection, SQL[name], binds)
    assert any(f"INDEX {index}" in step for step in steps), steps
    assert scans(steps) == []
    assert sorts(steps) == []


@pytest.mark.parametrize("name", ["waiting_in", "waiting_of"])
def test_who_waits_is_counted_without_looking_at_jobs(connection: sqlite3.Connection, name: str) -> None:
    steps = plan(connection, SQL[name], {"queue": "mail", "tenant": "a"})
    assert all(step.startswith("SEARCH lamp_") for step in steps), steps
    assert not any("lamp_jobs" in step for step in steps), steps


@pytest.mark.parametrize(
    ("name", "binds", "index"),
    [
        ("come_due", NOW, "lamp_jobs_scheduled"),
        ("abandoned", NOW, "lamp_jobs_running"),
        ("next_due", (), "lamp_jobs_scheduled"),
        ("next_expiry", (), "lamp_jobs_running"),
        ("expired", NOW, "lamp_ended_expiry"),
        ("oldest_ended", {"queue": "mail", "state": "done", "excess": 10, "limit": 10}, "lamp_ended_by_queue"),
        ("any_settled", (), "lamp_groups_settled"),
        ("settled", NOW, "lamp_groups_settled"),
        ("oldest_lost_child", {"group": "a"}, "lamp_ended_lost"),
        ("expire_keys", NOW, "lamp_keys_expiry"),
        ("expire_records", NOW, "lamp_records_expiry"),
    ],
)
def test_sweep_and_prune_read_an_index_in_order(
    connection: sqlite3.Connection, name: str, binds: object, index: str
) -> None:
    steps = plan(connection, SQL[name], binds)
    assert any(f"INDEX {index}" in step for step in steps), steps
    assert scans(steps) == []
    assert sorts(steps) == []


@pytest.mark.parametrize(
    "name",
    [
        "ask_to_stop",
        "beat",
        "charge_time",
        "end",
        "forget",
        "forget_failures",
        "forget_groups",
        "gates",
        "held",
        "hold_again",
        "hold_no_longer",
        "known",
        "let_go_keys",
        "let_go_pending_keys",
        "look_at_once",
        "looked",
        "other_holders",
        "park",
        "parked",
        "queue_now",
        "release",
        "remove",
        "replace",
        "replaceable",
        "return",
        "revive",
        "rules",
        "spared",
        "start",
        "still_held",
        "tally",
        "trim_failures",
        "unpark",
        "waiting",
    ],
)
def test_a_batch_is_found_by_its_ids(connection: sqlite3.Connection, name: str) -> None:
    binds = {
        "ids": IDS,
        "keys": IDS,
        "names": IDS,
        "rows": ROWS,
        "kind": "limit",
        "worker": "w",
        "now": 1,
        "lease_until": 2,
    }
    binds |= CLASS | {"most": 20, "served": 0}
    steps = plan(connection, SQL[name], binds)
    assert any(step.startswith("SEARCH ") for step in steps), steps
    assert not any("SCAN" in step and "VIRTUAL TABLE" not in step for step in steps), steps
    assert not any("AUTOMATIC" in step for step in steps), steps


@pytest.mark.parametrize("table", ["live_view", "held_view", "ended_view"])
def test_children_are_paged_by_their_index_without_sorting(connection: sqlite3.Connection, table: str) -> None:
    steps = plan(connection, view(table, ["group", "before"]), {"group": "a", "before": "z", "limit": 10})
    assert [step for step in steps if "_children (child_of=? AND id<?)" in step], steps
    assert not any("TEMP B-TREE" in step for step in steps), steps


@pytest.mark.parametrize("table", ["live_view", "held_view", "ended_view"])
def test_a_page_goes_on_from_its_last_id_without_sorting(connection: sqlite3.Connection, table: str) -> None:
    steps = plan(connection, view(table, ["before"]), {"before": "z", "limit": 10})
    assert [step for step in steps if "PRIMARY KEY (id<?)" in step], steps
    assert sorts(steps) == []


@pytest.mark.parametrize(
    ("table", "filters", "index"),
    [
        ("live_view", ["tenant"], "lamp_jobs_of_tenant (tenant=? AND id<?)"),
        ("live_view", ["tenant", "queues", "names"], "lamp_jobs_of_tenant (tenant=? AND id<?)"),
        ("ended_view", ["tenant", "state"], "lamp_ended_of_tenant (tenant=? AND state=? AND id<?)"),
        ("ended_view", ["tenant", "state", "queues"], "lamp_ended_of_tenant (tenant=? AND state=? AND id<?)"),
        ("ended_view", ["queue", "state"], "lamp_ended_by_queue (queue=? AND state=? AND id<?)"),
    ],
)
def test_jobs_of_a_tenant_or_queue_are_paged_by_an_index_without_sorting(
    connection: sqlite3.Connection, table: str, filters: list[str], index: str
) -> None:
    binds = {"tenant": "a", "queue": "a", "state": "done", "queues": IDS, "names": IDS, "before": "z", "limit": 10}
    steps = plan(connection, view(table, [*filters, "before"]), binds)
    assert any(index in step for step in steps), steps
    assert sorts(steps) == []


def test_running_jobs_are_not_looked_for_among_all_that_wait(connection: sqlite3.Connection) -> None:
    steps = plan(connection, view("live_view", ["running"]), {"limit": 10})
    assert any("lamp_jobs_running" in step for step in steps), steps
