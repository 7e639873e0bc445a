"""Short runs over real stores; and stores that break a promise, which have to be noticed."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from pathlib import Path

import msgspec
import psycopg
import pytest
import redis
from tests.services import do_without

from lamplighter.core.errors import ConfigError
from lamplighter.testing.servers import MissingServer
from lamplighter.testing.verify import Plan, Report, verify

STORES = {
    "sqlite": "kill,disk-full",
    "postgres": "kill,server-kill",
    "redis": "kill,server-kill",
}
SHORT = Plan(store="sqlite", jobs=250, every=1.0, workers=2, enqueuers=1, waits=2)


async def run(plan: Plan, said: list[str] | None = None) -> Report:
    return await verify(plan, say=(said if said is not None else []).append)


def holds(report: Report) -> bool:
    """Whether every promise held; what did not is told by the assertion."""
    assert report.broken == {}
    return report.record is None and report.enqueued > 0


@pytest.mark.parametrize("store", STORES)
async def test_every_promise_holds_on_a_store_of_the_runs_own(store: str) -> None:
    try:
        report = await run(msgspec.structs.replace(SHORT, store=store, faults=STORES[store]))
    except MissingServer as error:
        do_without(error)
    assert holds(report)
    assert [one.kind for one in report.faults] == sorted(STORES[store].split(","))


async def test_a_file_of_yours_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    with sqlite3.connect(path) as mine:
        mine.execute("CREATE TABLE mine (x)")
    before, said = path.read_bytes(), list[str]()
    assert holds(await run(msgspec.structs.replace(SHORT, store=f"sqlite:///{path}", faults="commit-kill"), said))
    assert f"in the new file {tmp_path}/lamplighter_verify_" in said[0]
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["mine.db"]


async def test_a_schema_of_yours_is_not_touched_and_its_own_is_dropped(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        before = connection.execute("SELECT nspname FROM pg_namespace ORDER BY 1").fetchall()
        assert holds(await run(msgspec.structs.replace(SHORT, store=postgres_url, faults="kill,cut")))
        after = connection.execute("SELECT nspname FROM pg_namespace ORDER BY 1").fetchall()
    assert [name for name in after if name not in before and "lamplighter_verify" in name[0]] == []


async def test_keys_of_yours_are_not_touched_and_its_own_are_deleted(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set("mine", "1")
        assert holds(await run(msgspec.structs.replace(SHORT, store=redis_url, faults="stop,cut")))
        assert client.get("mine") == b"1"
        assert list(client.scan_iter("{lamplighter_verify_*")) == []


@pytest.mark.parametrize(
    ("wrap", "promise"),
    [
        ("drops_adds", "lost"),
        ("ignores_fences", "zombies"),
        ("forgets_to_finish", "doubled without cause"),
        ("keeps_keys", "leftovers"),
        ("gives_up", "false dead letters"),
    ],
)
async def test_a_store_that_breaks_a_promise_is_noticed(
    wrap: str, promise: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where the record is kept
    wrap = f"tests.testing.broken_stores:{wrap}"
    report = await run(msgspec.structs.replace(SHORT, jobs=600, faults="none", wrap=wrap, waits=0, workers=3))
    assert promise in report.broken
    assert report.record is not None
    assert [path.name for path in Path(report.record).glob("faults.json")] == ["faults.json"]
    assert [str(path) for path in tmp_path.iterdir()] == [report.record]


@pytest.mark.parametrize(
    ("store", "faults", "sentence"),
    [
        ("memory://", "all", "a run needs several"),
        ("mysql://host/db", "all", "runs are on sqlite, postgres, redis"),
        ("sqlit", "all", "is neither a URL nor one of sqlite, postgres, redis"),
        ("sqlite", "kil", "did you mean 'kill'"),
        ("sqlite", "kill,cut", "the fault cut cannot be had here, there is no network between workers and a file"),
    ],
)
async def test_what_cannot_be_run_is_refused_before_anything_is_done(store: str, faults: str, sentence: str) -> None:
    said: list[str] = []
    with pytest.raises(ConfigError, match=sentence):
        await run(Plan(store=store, faults=faults), said)
    assert said == []


async def test_no_server_of_yours_is_ever_killed(postgres_url: str) -> None:
    with pytest.raises(ConfigError, match="the fault server-kill cannot be had here, the server is yours"):
        await run(Plan(store=postgres_url, faults="kill,server-kill"))
