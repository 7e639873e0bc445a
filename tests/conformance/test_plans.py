"""Query plans of the SQLite store: a long past, a large future or many queues must slow no operation."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from lamplighter.store.sqlite.connection import connect
from lamplighter.store.sqlite.queries import SQL, claim_from, view
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


def test_claim_reads_each_queue_in_the_order_of_its_index(connection: sqlite3.Connection) -> None:
    steps = plan(connection, claim_from(1), ("mail", 5))
    assert "SEARCH lamp_jobs USING INDEX lamp_jobs_queued (queue=?)" in steps
    assert not any("TEMP B-TREE" in step for step in steps), steps


def test_claim_from_many_queues_merges_them_without_sorting(connection: sqlite3.Connection) -> None:
    steps = plan(connection, claim_from(3), ("a", "b", "c", 5))
    assert sum("USING INDEX lamp_jobs_queued (queue=?)" in step for step in steps) == 3
    assert scans(steps) == []
    assert not any("TEMP B-TREE" in step for step in steps), steps


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
    assert not any("TEMP B-TREE" in step for step in steps), steps


@pytest.mark.parametrize(
    "name",
    [
        "ask_to_stop",
        "beat",
        "end",
        "forget",
        "forget_failures",
        "forget_groups",
        "held",
        "hold_again",
        "hold_no_longer",
        "known",
        "let_go",
        "let_go_keys",
        "let_go_pending_keys",
        "other_holders",
        "queue_now",
        "remove",
        "replace",
        "replaceable",
        "return",
        "revive",
        "start",
        "still_held",
        "tally",
        "trim_failures",
    ],
)
def test_a_batch_is_found_by_its_ids(connection: sqlite3.Connection, name: str) -> None:
    binds = {"ids": IDS, "rows": ROWS, "worker": "w", "now": 1, "lease_until": 2, "most": 20}
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
    assert not any("TEMP B-TREE" in step for step in steps), steps
