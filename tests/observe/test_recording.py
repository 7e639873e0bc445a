"""What was done is kept in the store, whoever did it and whatever becomes of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from lamplighter.core.clock import to_us
from lamplighter.core.errors import StoreUnavailable
from lamplighter.core.ids import new_id
from lamplighter.core.model import NewJob, QueueStats, Record
from lamplighter.observe.histogram import BOUNDS, Histogram, quantile
from lamplighter.observe.history.past import Line, Past, Span
from lamplighter.observe.history.recorder import Recorder
from lamplighter.observe.history.since import Since
from lamplighter.observe.history.slot import MOST_QUEUES, Levels, Tally, levels_of, read, total, write
from lamplighter.observe.history.steps import HOURS, MINUTES, PARTS, TENS
from lamplighter.observe.meter import Attempt, Ended, Meter
from lamplighter.store.base import Store
from lamplighter.store.memory import MemoryStore
from lamplighter.store.open import open_store
from lamplighter.testing import FakeClock


class Process:
    """One that works: what it did is said here, its clock is that of all."""

    def __init__(self, store: Store, clock: FakeClock, name: str) -> None:
        self.meter = Meter()
        self.recorder = Recorder(store, clock, Since(self.meter), name=name)

    def did(self, n: int, *, ended: Ended = "done", queue: str = "mail", took: float = 0.1, late: float = 1) -> None:
        self.meter.ended([Attempt(queue, "send", None, ended, late, late, took)] * n)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url) as opened:
        yield opened


async def line(store: Store, clock: FakeClock, span: Span = "15m", queue: str | None = None) -> Line:
    return await Past(store, clock).line(span, queue)


async def done(store: Store, clock: FakeClock, span: Span = "15m", queue: str | None = None) -> list[int]:
    return [point.done for point in (await line(store, clock, span, queue)).points]


async def test_what_several_processes_did_in_ten_seconds_adds_up(store: Store, clock: FakeClock) -> None:
    one, other = Process(store, clock, "w-1"), Process(store, clock, "w-2")
    one.did(3)
    other.did(4)
    other.did(2, ended="failed", queue="files")
    clock.advance(10)
    await other.recorder.turn()
    await one.recorder.turn()
    clock.advance(10)
    await other.recorder.turn()  # which is the one that adds up
    [first, second] = (await line(store, clock)).points
    assert (first.done, first.failed, first.seconds) == (7, 2, 10)
    assert (second.done, second.failed) == (0, 0)
    [first, _] = (await line(store, clock, queue="files")).points
    assert (first.done, first.failed) == (0, 2)


async def test_the_same_is_found_in_minutes_and_in_hours(store: Store, clock: FakeClock) -> None:
    process = Process(store, clock, "w-1")
    for _ in range(12 * 6):
        process.did(5)
        clock.advance(10)
        await process.recorder.turn()
    clock.advance(5)
    process.did(1)
    await process.recorder.close()
    assert sum(await done(store, clock, "24h")) == 361
    assert await done(store, clock, "7d") == [361]
    [point] = (await line(store, clock, "7d")).points
    assert point.seconds == 730, "an hour that is not over yet is shown as what there is of it"


async def test_whoever_is_killed_while_adding_up_leaves_nothing_to_be_counted_twice(clock: FakeClock) -> None:
    async with Cut() as store:
        victim, heir = Process(store, clock, "w-1"), Process(store, clock, "w-2")
        victim.did(5)
        await _adds_up(victim, clock)
        victim.did(6)
        for after in range(6):  # calls that still reach the store
            clock.advance(10)
            store.left = after
            with pytest.raises(StoreUnavailable):
                await victim.recorder.turn()
            store.left = None
        clock.advance(30)  # its turn is over
        heir.did(7)
        await heir.recorder.turn()
        written = sum(await done(store, clock))
        assert written in {5 + 7, 5 + 6 + 7}, "what it had not written down is lost with it, and that is all"
        await heir.recorder.close()
        for span in ("15m", "24h", "7d"):
            assert sum(await done(store, clock, span)) == written


async def test_a_part_that_the_store_may_have_taken_is_not_counted_twice(clock: FakeClock) -> None:
    async with Cut() as store:
        process = Process(store, clock, "w-1")
        process.did(5)
        clock.advance(10)
        store.answers = False
        with pytest.raises(StoreUnavailable):
            await process.recorder.turn()
        store.answers = True
        await _adds_up(process, clock)
        assert sum(await done(store, clock)) == 5


async def test_a_part_that_comes_late_is_added(store: Store, clock: FakeClock) -> None:
    one, late = Process(store, clock, "w-1"), Process(store, clock, "w-2")
    one.did(1)
    late.did(2)
    clock.advance(10)
    await one.recorder.turn()
    clock.advance(2)
    await late.recorder.turn()
    await _adds_up(one, clock)
    assert (await done(store, clock))[0] == 3
    await one.recorder.close()
    assert await done(store, clock, "24h") == [3]


async def test_a_part_that_comes_after_its_hour_is_in_the_hour(store: Store, clock: FakeClock) -> None:
    one, late = Process(store, clock, "w-1"), Process(store, clock, "w-2")
    clock.advance(3590)
    late.did(2)
    await _adds_up(one, clock)  # at the first moment of the next hour
    await late.recorder.turn()
    for _ in range(2 * 60):
        await _adds_up(one, clock)
    assert (await done(store, clock, "7d"))[0] == 2


async def test_two_workers_of_a_process_write_down_nothing_twice(store: Store, clock: FakeClock) -> None:
    process = Process(store, clock, "w-1")
    since = Since(process.meter)
    several = [Recorder(store, clock, since, name=name) for name in ("w-1", "w-2")]
    process.did(5)
    clock.advance(10)
    for recorder in several:
        await recorder.turn()
    assert await done(store, clock) == [5]


async def test_a_worker_that_ends_writes_down_the_rest(store: Store, clock: FakeClock) -> None:
    process = Process(store, clock, "w-1")
    async with process.recorder.recording():
        process.did(3)
    for span in ("15m", "24h", "7d"):
        assert await done(store, clock, span) == [3]


async def test_one_that_did_nothing_writes_nothing(store: Store, clock: FakeClock) -> None:
    async with Process(store, clock, "w-1").recorder.recording():
        pass
    assert (await line(store, clock)).points == []
    assert await store.records(PARTS.kind, now=clock()) == []


async def test_how_many_processes_there_were_does_not_tell_in_what_is_kept(store: Store, clock: FakeClock) -> None:
    for process in [Process(store, clock, f"w-{n}") for n in range(20)]:
        process.did(1)
        await process.recorder.close()
    clock.advance(PARTS.kept)
    kept = {step.kind: len(await store.records(step.kind, now=clock())) for step in (PARTS, TENS, MINUTES, HOURS)}
    assert kept == {PARTS.kind: 0, TENS.kind: 1, MINUTES.kind: 1, HOURS.kind: 1}


async def test_how_much_waits_is_seen_at_its_highest(store: Store, clock: FakeClock) -> None:
    process = Process(store, clock, "w-1")
    jobs = [NewJob(id=new_id(to_us(clock())), name="send", queue="mail", run_at=clock()) for _ in range(3)]
    await store.add(jobs, now=clock())
    await _adds_up(process, clock)
    [point] = (await line(store, clock, queue="mail")).points
    assert (point.waiting, point.delayed, point.running) == (3, 0, 0)
    [point] = (await line(store, clock, queue="files")).points
    assert point.waiting == 0
    assert point.run_p50 is None


async def test_time_in_which_nobody_worked_is_a_gap(store: Store, clock: FakeClock) -> None:
    process = Process(store, clock, "w-1")
    await _adds_up(process, clock)
    clock.advance(60)
    await _adds_up(process, clock)
    first, second = (await line(store, clock)).points
    assert second.at - first.at == 70


async def test_a_record_that_cannot_be_read_is_left_out(store: Store, clock: FakeClock) -> None:
    process = Process(store, clock, "w-1")
    process.did(3)
    await store.put(Record(kind=PARTS.kind, name="x", value="{}"))
    await store.put(Record(kind=PARTS.kind, name=f"{int(clock().timestamp()):012d} w", value="[1"))
    await _adds_up(process, clock)
    assert await done(store, clock) == [3]


def test_of_very_many_queues_the_busiest_are_kept_and_all_in_the_sum() -> None:
    slot = levels_of([QueueStats(queue=f"q-{n:03d}", paused=False, queued=n) for n in range(100)])
    kept = total([slot])
    assert len(kept) == MOST_QUEUES
    assert "q-099" in kept
    assert "q-001" not in kept
    assert kept[""].levels == Levels(waiting=sum(range(100)))


def test_a_slot_is_read_as_it_was_written() -> None:
    slot = {"": Tally(1, 2, 3, {4: 5}, {6: 7}, Levels(8, 9, 10), 11), "mail": Tally()}
    assert read(write(slot)) == slot


def test_quantiles_of_two_histograms_together_are_those_of_all_that_both_were_told() -> None:
    one, other, both = Histogram(), Histogram(), Histogram()
    for n in range(1, 200):
        for histogram in (one if n % 3 else other, both):
            histogram.observe(n / 100)
    added = dict(enumerate(a + b for a, b in zip(one.counts, other.counts, strict=True)))
    assert added == dict(enumerate(both.counts))
    assert quantile(added, 0.5) == pytest.approx(1.0, rel=0.05)
    assert quantile(added, 0.95) == pytest.approx(1.9, rel=0.05)


@pytest.mark.parametrize(("counts", "expected"), [({}, None), ({len(BOUNDS): 3}, BOUNDS[-1]), ({0: 2}, 0.0005)])
def test_quantiles_at_the_edges(counts: dict[int, int], expected: float | None) -> None:
    assert quantile(counts, 0.5) == expected


async def _adds_up(process: Process, clock: FakeClock) -> None:
    clock.advance(10)
    await process.recorder.turn()


class Cut(MemoryStore):
    """A store that can be reached `left` times more (None: always); or that takes a record and does not say so."""

    left: int | None = None
    answers = True

    async def put(self, record: Record) -> None:
        self._reach()
        await super().put(record)
        if not self.answers and record.kind == PARTS.kind:
            raise StoreUnavailable("it was cut off: try again.")

    async def records(self, kind: str, *, now: datetime) -> list[Record]:
        self._reach()
        return await super().records(kind, now=now)

    async def stats(self) -> list[QueueStats]:
        self._reach()
        return await super().stats()

    def _reach(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise StoreUnavailable("it was cut off: try again.")
