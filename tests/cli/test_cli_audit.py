"""`lamplighter audit`: a log that is archived, verified, held, and found again."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet
import pytest
from tests.cli.program import Program

from lamplighter.core.clock import utcnow
from lamplighter.integrations.audit import Resource, record
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.migrate import upgrade


@pytest.fixture
async def log(tmp_path: Path) -> Path:
    """Three old records and a young one of a tenant, where the settings say that they are archived."""
    (tmp_path / "archive").mkdir()
    settings = f'store = "sqlite:///{tmp_path}/log.db"\naudit_archive = "file://{tmp_path}/archive"\n'
    (tmp_path / "lamplighter.toml").write_text(settings)
    async with Database(f"sqlite:///{tmp_path}/log.db") as database:
        await upgrade(database)
        for days, ids in ((120, "abc"), (1, "d")):
            about, at = [Resource("queue", id_, "t-1") for id_ in ids], utcnow() - timedelta(days=days)
            await database.write(lambda one, about=about, at=at: record(one, "queue.pause", about, at))  # type: ignore[misc]
    return tmp_path


def test_a_log_is_archived_found_and_exported(cli: Program, log: Path) -> None:
    done = cli("audit", "archive", "--json").json
    assert (done["sealed"], done["archived"], done["objects"], done["failed"]) == (4, 3, 1, 0)
    found = cli("audit", "list", "--tenant", "t-1", "--archived", "--limit", "2", "--json").json
    assert [one["resource_id"] for one in found["records"]] == ["d", "c"]
    [archive] = cli("audit", "archives", "--json").json["archives"]
    assert cli("audit", "restore", archive["id"], "--for", "1d", "--json").json == {"restored": 3}
    lines = cli("audit", "export", "--tenant", "t-1").out.splitlines()
    assert [json.loads(line)["resource_id"] for line in lines] == ["a", "b", "c", "d"]
    assert cli("audit", "export", archive["id"], "--format", "parquet", "-o", "old.parquet").code == 0
    assert pyarrow.parquet.read_table(log / "old.parquet").num_rows == 3
    assert cli("audit", "export", "-o", "old.parquet").code == 2, "an older export is not written over"


def test_a_forged_record_is_named_and_what_is_held_stays(cli: Program, log: Path) -> None:
    hold = cli("audit", "hold", "--tenant", "t-1", "--reason", "a lawsuit", "--json").json["hold"]
    assert cli("audit", "retention", "--archive", "never", "--destroy", "2h", "--json").code == 0
    assert cli("audit", "archive", "--json").json["destroyed"] == 0
    chains = cli("audit", "chains", "--json").json["chains"]
    assert cli("audit", "verify", "--head", chains[-1]["head"]).code == 0
    with closing(sqlite3.connect(log / "log.db")) as connection, connection:
        connection.execute("UPDATE lamp_audit SET user_id = 'somebody else' WHERE seq = 4 AND chain = 't-1'")
    ended = cli("audit", "verify", "--json")
    assert (ended.code, ended.json["broken"], ended.json["chains"][-1]["what"]) == (1, 1, "altered")
    assert cli("audit", "release", hold["id"]).code == 0
    assert cli("audit", "archive", "--json").json["destroyed"] == 4
