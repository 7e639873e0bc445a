"""What PostgreSQL counts is appended, and put together now and then."""

from __future__ import annotations

import pytest
from tests.store.postgres.behind import Behind

from lamplighter.store.postgres import PostgresStore
from lamplighter.testing.conformance._make import add, job

FOLD_AFTER = 600  # jobs; it is worth it from 500 changes on


async def test_counts_are_put_together_though_no_worker_is_alive(
    store: PostgresStore, behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lamplighter.store.postgres.store.FOLD_AFTER", FOLD_AFTER)
    for _ in range(2):
        await add(store, *(job(queue="mail", tenant=f"t-{n}") for n in range(FOLD_AFTER)))
        assert await behind.value("SELECT count(*) FROM SCHEMA.count_changes") == 0
    assert [(one.queue, one.queued) for one in await store.stats()] == [("mail", 2 * FOLD_AFTER)]
    assert await behind.counts_are_right()
