"""`lamplighter jobs move`, the real command on real files."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from tests.cli.program import Program
from tests.services import STORES

from lamplighter.core.clock import utcnow
from lamplighter.core.model import Outcome, Record, State, Where
from lamplighter.store.base import Store
from lamplighter.store.open import open_store
from lamplighter.testing.conformance._make import EVERY, ids_of, job, unique

FROM_TO = ("jobs", "move", "--from", "sqlite:///a.db", "--to", "sqlite:///b.db")
LEASE = timedelta(minutes=1)
COUNTED = "SELECT * FROM lamp_counts WHERE n > 0 ORDER BY queue, state"
RECOUNTED = "SELECT queue, state, count(*) FROM lamp_jobs GROUP BY queue, state ORDER BY queue, state"


def store(cli: Program, name: str) -> Store:
    return open_store(f"sqlite:///{cli.folder}/{name}.db")


def counts_are_right(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(COUNTED).fetchall() == connection.execute(RECOUNTED).fetchall()


async def test_it_says_what_was_moved_and_what_was_not(cli: Program) -> None:
    now = utcnow()
    async with store(cli, "a") as source, store(cli, "b") as target:
        [held] = await target.add([unique("k")], now=now)
        jobs = [job(queue="files", run_at=now), unique("k", run_at=now), job()]
        await source.add(jobs, now=now)
        [running] = await source.claim([], 1, worker="w", lease=LEASE, now=now)
        await source.pause("files", paused=True)
        answer = cli(*FROM_TO, "--wait", "0", "--json")
        assert (answer.code, answer.json) == (
            1,
            {
                "moved": 1,
                "duplicate": 1,
                "duplicates": [{"id": jobs[1].id, "held_by": held.id}],
                "schedules": [],
                "paused": ["files"],
                "waiting": 0,
                "running": 1,
                "held": 0,
            },
        )
        await source.finish([Outcome(id=running.id, fence=running.fence, verb="release")], now=now)
    said = cli(*FROM_TO)
    assert (said.code, said.out, said.err) == (0, "1 job moved, 0 schedules.\n", "")
    assert cli(*FROM_TO).out == "0 jobs moved, 0 schedules.\n"


async def test_what_is_left_is_told_in_words(cli: Program) -> None:
    async with store(cli, "a") as source, store(cli, "b") as target:
        [held] = await target.add([unique("k")], now=utcnow())
        jobs = [job(run_at=utcnow()), unique("k")]
        await source.add(jobs[:1], now=utcnow())
        await source.claim([], 1, worker="w", lease=LEASE, now=utcnow())
        await source.add(jobs[1:], now=utcnow())
        await source.pause("files", paused=True)
        said = cli(*FROM_TO, "--wait", "0")
    assert (said.code, said.out.splitlines()) == (
        1,
        [
            "0 jobs moved, 0 schedules.",
            f"{jobs[1].id} was dropped: {held.id} holds its unique key at the target.",
            "Paused at the target, as at the source: files.",
            "Left at the source: 1 running, 0 waiting. Run it again to move them.",
        ],
    )


async def test_a_move_that_is_killed_over_and_over_loses_and_doubles_nothing(cli: Program) -> None:
    jobs = [job(run_at=utcnow() + timedelta(days=n % 2)) for n in range(6000)]
    async with store(cli, "a") as source, store(cli, "b") as target:
        await source.add(jobs, now=utcnow())
        await source.put(Record(kind="moving", name="not a note of the target", value="{}"))
        for hints in (1, 2, 7):
            move = cli.start(*FROM_TO)
            async for _ in target.wake():
                hints -= 1  # noqa: PLW2901
                if hints == 0 or move.poll() is not None:
                    break
            move.kill()
            move.communicate()
        left = await source.page(EVERY, limit=len(jobs))
        assert left, "it was killed too late to tell anything"
        answer = cli(*FROM_TO, "--json")
        assert (answer.code, answer.json["waiting"]) == (0, 0)
        assert await source.page(EVERY, limit=10) == []
        moved = await target.page(EVERY, limit=2 * len(jobs))
        assert sorted(view.id for view in moved) == sorted(new.id for new in jobs)
        assert {view.state for view in moved} == {State.QUEUED, State.SCHEDULED}
    assert counts_are_right(cli.folder / "a.db")
    assert counts_are_right(cli.folder / "b.db")


@pytest.mark.parametrize("name", ["postgres", "redis", "redis cluster"])
async def test_it_moves_to_a_server_and_back(cli: Program, request: pytest.FixtureRequest, name: str) -> None:
    url = request.getfixturevalue(STORES[name])
    jobs = [job() for _ in range(300)]
    async with store(cli, "a") as source:
        await source.add(jobs, now=utcnow())
        assert cli("jobs", "move", "--from", "sqlite:///a.db", "--to", url, "--json").json["moved"] == 300
        assert await ids_of(source) == []
        assert cli("jobs", "move", "--from", url, "--to", "sqlite:///a.db", "--json").json["moved"] == 300
        assert await ids_of(source) == [new.id for new in reversed(jobs)]


async def test_a_store_that_is_not_there_is_not_made(cli: Program) -> None:
    sentence = cli(*FROM_TO).sentence
    assert sentence.endswith("a.db: correct the store URL, or run `lamplighter migrate`.")
    (cli.folder / "a.db").touch()
    sentence = cli(*FROM_TO).sentence
    assert sentence.startswith("there is nothing of Lamplighter in the database file")
    assert {file.name for file in cli.folder.iterdir()} == {"a.db"}


async def test_one_store_on_both_sides_is_refused(cli: Program) -> None:
    async with store(cli, "a") as source:
        await source.add([job()], now=utcnow())
        answer = cli(*FROM_TO[:-1], "sqlite:///./a.db", "--json")
        assert (answer.code, answer.json) == (2, {"error": "both URLs name the same store: name another to move to."})
        assert len(await ids_of(source, Where(states=(State.SCHEDULED,)))) == 1


@pytest.mark.parametrize("side", ["--from", "--to"])
def test_a_store_in_memory_is_refused(cli: Program, side: str) -> None:
    answer = cli(*FROM_TO, side, "memory://", "--json")
    assert (answer.code, answer.json) == (2, {"error": answer.sentence})
    assert answer.sentence.startswith("memory:// ends with its process")


def test_both_sides_must_be_named(cli: Program) -> None:
    assert cli("jobs", "move", "--from", "sqlite:///a.db").sentence.startswith("Missing option '--to'")
