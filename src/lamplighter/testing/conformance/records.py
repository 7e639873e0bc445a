"""Records: small facts that processes share."""

from __future__ import annotations

from lamplighter.core.model import Keep, Record
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import MANY, NOW, OpenAgain, later


async def test_records_of_a_kind_come_by_name(store: Store) -> None:
    b, a = Record(kind="worker", name="b", value="1"), Record(kind="worker", name="a", value='{"å": "\'"}')
    for record in (b, a, Record(kind="cron", name="a", value="2")):
        await store.put(record)
    assert await store.records("worker", now=NOW) == [a, b]
    assert await store.records("none such", now=NOW) == []


async def test_a_record_is_written_over(store: Store) -> None:
    await store.put(Record(kind="cron", name="a", value="1", expires_at=later(1)))
    await store.put(new := Record(kind="cron", name="a", value="2"))
    assert await store.records("cron", now=later(2)) == [new]


async def test_a_dropped_record_is_gone_and_may_be_dropped_again(store: Store) -> None:
    await store.put(Record(kind="cron", name="a", value="1"))
    await store.put(left := Record(kind="worker", name="a", value="1"))
    await store.drop("cron", "a")
    await store.drop("cron", "a")
    assert await store.records("cron", now=NOW) == []
    assert await store.records("worker", now=NOW) == [left]


async def test_a_record_expires_at_its_moment(store: Store) -> None:
    await store.put(record := Record(kind="worker", name="a", value="1", expires_at=later(5)))
    assert await store.records("worker", now=later(4.999999)) == [record]
    assert await store.records("worker", now=later(5)) == []


async def test_expired_records_are_pruned(store: Store) -> None:
    await store.put(Record(kind="worker", name="a", value="1", expires_at=later(5)))
    await store.put(left := Record(kind="worker", name="b", value="1", expires_at=later(6)))
    assert await store.prune(Keep(), limit=MANY, now=later(5)) == 0, "prune counts jobs, not records"
    assert await store.records("worker", now=NOW) == [left]


async def test_another_handle_reads_the_same_records(store: Store, open_again: OpenAgain) -> None:
    await store.put(record := Record(kind="cron", name="a", value="1"))
    async with open_again() as twin:
        assert await twin.records("cron", now=NOW) == [record]
