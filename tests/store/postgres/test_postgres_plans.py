"""Plans amid a million queued jobs, a million ended ones and a large future: what a call reads depends on its batch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from tests.store.postgres.behind import Behind
from tests.store.postgres.crowd import LIMITED, PARENT, RUNNING, SCHEDULED, SHARED, STUCK, gather_a_crowd
from tests.store.postgres.plans import Read, Watched

from lamplighter.core.clock import to_us
from lamplighter.core.flow_control import Order
from lamplighter.core.model import ENDED, LIVE, MOST_LINES, MOVES, Beat, Claimed, Failure, NewJob, Outcome, State, Where
from lamplighter.store.postgres import PostgresStore, rows
from lamplighter.store.postgres.queries import Queries
from lamplighter.testing.conformance._make import NOW, children_of, job, parent, unique

BATCH = 100
A_JOB = 75  # buffers that one job of a batch may cost: entries of eight indexes, the row, its key, its counts
CALL = 300  # what any call may cost
NEVER = 10**9
SECONDS = 10**6

NOW_US = to_us(NOW)
Call = tuple[Any, ...]  # a statement and its values


def live(first: int) -> list[str]:
    return [f"l-{n:08}" for n in range(first, first + BATCH)]


RUN, PLANNED, WAITING = live(1), live(RUNNING + 1), live(RUNNING + SCHEDULED + 400_000)
OVER = [f"e-{n:08}" for n in range(500_000, 500_000 + BATCH)]


def attempts(verb: Any, **changes: Any) -> str:
    return rows.outcomes([Outcome(id=id_, fence=0, verb=verb, **changes) for id_ in RUN])


def family() -> list[NewJob]:
    held = parent(1)
    return [held, *children_of(held, 1)]


def calls(sql: Queries, database: object) -> dict[str, Call]:
    """Each operation on a batch."""
    why = Failure(fence=0, at=NOW, kind="error", error="OSError", message="no answer")

    def adding(batch: Sequence[NewJob]) -> Call:
        return sql["add"], rows.jobs(batch), NOW_US, database, 1000, None

    return {
        "claim": (sql["claim"], [], BATCH, "w", NOW_US, NOW_US),
        "claim from one queue": (sql["claim"], ["q-3"], BATCH, "w", NOW_US, NOW_US),
        "claim from one of many tenants": (sql["claim"], [SHARED], BATCH, "w", NOW_US, NOW_US),
        "claim what has limits": (sql["claim"], [LIMITED], BATCH, "w", NOW_US, NOW_US),
        "claim where all wait before gates": (sql["claim"], [STUCK], BATCH, "w", NOW_US, NOW_US),
        "claim one": (sql["claim"], [], 1, "w", NOW_US, NOW_US),
        "claim from an empty queue": (sql["claim"], ["q-none"], BATCH, "w", NOW_US, NOW_US),
        "add": adding([job() for _ in range(BATCH)]),
        "add unique ones": adding([unique(f"new-{n}") for n in range(BATCH)]),
        "add duplicates": adding([unique(f"key-{n}0") for n in range(1, BATCH)]),
        "add what replaces": adding([unique(f"key-{n}0", replaces=True) for n in range(RUNNING, RUNNING + BATCH)]),
        "add children": adding([job(group=PARENT) for _ in range(BATCH)]),
        "add families": adding([one for _ in range(BATCH // 2) for one in family()]),
        "finish": (sql["finish"], attempts("done"), NOW_US),
        "finish and forget": (sql["finish"], attempts("done", keep_until=NOW), NOW_US),
        "fail": (sql["finish"], attempts("fail", failure=why), NOW_US),
        "try again": (sql["finish"], attempts("retry", failure=why, run_at=NOW), NOW_US),
        "finish what is lost": (sql["finish"], rows.outcomes([Outcome(id=RUN[0], fence=9, verb="done")]), NOW_US),
        "beat": (sql["beat"], rows.beats([Beat(id_, 0, "1") for id_ in RUN]), NOW_US),
        "sweep": (sql["sweep"], BATCH, NOW_US + NEVER * SECONDS),
        "sweep when nothing is due": (sql["sweep"], BATCH, NOW_US),
        "retry": (sql["retry"], OVER, ["done", "failed"], NOW_US),
        "retry what is scheduled": (sql["retry"], PLANNED, ["scheduled"], NOW_US),
        "cancel": (sql["cancel"], WAITING[:50] + RUN[:50], ["queued", "running"], None, NOW_US),
        "prune what expired": (sql["prune"], NEVER, NEVER, BATCH, NOW_US + 200 * SECONDS),
        "prune what is too much": (sql["prune"], 40_000, 1, BATCH, NOW_US),
        "prune when there is nothing": (sql["prune"], NEVER, NEVER, BATCH, NOW_US),
        "stats": (sql["totals"], MOST_LINES),
        "shares": (sql["shares"], "q-3", BATCH),
        "gates": (sql["gates"], [f"loose:{n}" for n in range(BATCH)], BATCH, NOW_US),
        "order": (sql["order"], rows.orders([Order("loose:1", "penalize", NOW)]), NOW_US),
        "failures": (sql["failures"], OVER[0]),
    }


PAGES: dict[str, tuple[Any, ...]] = {
    "the newest": (Where(),),
    "further on": (Where(), LIVE | ENDED, "l-00500000"),
    "by id": (Where(ids=tuple(WAITING[:50] + OVER[:50])),),
    "of a queue": (Where(queues=("q-3",)),),
    "of a queue, further on": (Where(queues=("q-3",)), LIVE | ENDED, "l-00500000"),
    "of a queue that is empty": (Where(queues=("q-none",)),),
    **{f"{state}": (Where(states=(state,)),) for state in State},
    "failed, further on": (Where(states=(State.FAILED,)), LIVE | ENDED, "e-00500000"),
    "failed of a queue": (Where(queues=("q-3",), states=(State.FAILED,)),),
    "running of a queue": (Where(queues=("q-3",), states=(State.RUNNING,)),),
    "failed ones to retry": (Where(states=(State.FAILED,)), MOVES["be retried"].sources),
    "of a tenant": (Where(tenants=("t-3", "none")),),
    "of a tenant, further on": (Where(tenants=("t-3",)), LIVE | ENDED, "e-00950000"),
    "failed of a tenant in a queue": (Where(tenants=("t-3",), queues=("q-3",), states=(State.FAILED,)),),
    "children": (Where(groups=(PARENT,)),),
    "children, further on": (Where(groups=(PARENT, "none")), LIVE | ENDED, "e-00950000"),
    "children of nobody": (Where(groups=("none",)),),
    "waiting ones to cancel": (Where(queues=("q-3", "q-4")), LIVE),
}


async def pages(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> dict[str, Call]:
    """The statements that the store makes for these pages."""
    made: list[Call] = []

    async def note(*call: Any) -> list[Claimed]:
        made.append(call)
        return []

    monkeypatch.setattr(store, "_run", note)
    for where, *rest in PAGES.values():
        among, before = (*rest, LIVE | ENDED)[0], (*rest, None, None)[1]
        await store._page(where, among, BATCH, before)
    monkeypatch.undo()
    return dict(zip((f"page: {name}" for name in PAGES), made, strict=True))


@pytest.fixture
async def watched(postgres_url: str) -> AsyncIterator[Watched]:
    opened = await Watched.on(postgres_url)
    yield opened
    await opened.close()


# One test, for it takes longer to gather the crowd than to ask it all of this.
async def test_no_call_reads_more_than_its_batch_is_worth(
    store: PostgresStore, behind: Behind, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gather_a_crowd(behind)
    asked = calls(Queries(behind.schema), store._id) | await pages(store, monkeypatch)
    too_much = {name: read for name, call in asked.items() if too_greedy(read := await watched.read(*call))}
    assert too_much == {}, "while the server still takes the tables for empty"
    await behind.rows("ANALYZE SCHEMA.jobs, SCHEMA.ended, SCHEMA.keys, SCHEMA.failures, SCHEMA.counts")
    too_much = {name: read for name, call in asked.items() if too_greedy(read := await watched.read(*call))}
    assert too_much == {}, "once it knows better"


def too_greedy(read: Read) -> bool:
    return bool(read.scans) or read.rows > 25 * BATCH or read.buffers > CALL + A_JOB * BATCH
