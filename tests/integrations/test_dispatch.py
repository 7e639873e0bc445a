"""From notices to messages: who is told, when one by one, when in a digest, and what kills and neighbours change."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta

import pytest
from sqlalchemy import Connection, delete, select
from tests.integrations.support import Home, Timer
from tests.integrations.telling import composed, connected, happens, noticed, sent, telling

from lamplighter.integrations.notices.digest import MOST_MESSAGES, PERIOD, decide
from lamplighter.integrations.notices.dispatch import Dispatcher
from lamplighter.integrations.service import Service
from lamplighter.integrations.storage.database import Database, Work
from lamplighter.integrations.storage.tables import deliveries, recipients
from lamplighter.integrations.transition import Event

ADA, BEA, OPERATOR = "ada@example.com", "bea@example.com", "operator@example.com"


@pytest.fixture
def clock() -> Timer:
    return Timer()


@pytest.fixture
async def ours(home: Home, clock: Timer) -> AsyncIterator[Service]:
    async with telling(home, clock=clock) as opened:
        yield opened


async def test_each_hears_of_the_events_that_it_asked_for_at_its_own_tenant(ours: Service, clock: Timer) -> None:
    ids = await connected(ours, ["t-1", "t-2"])
    ada = (await ours.recipients.add("t-1", "email", ADA, ["integration.revoked"])).recipient
    bea = (await ours.recipients.add("t-2", "email", BEA, ["integration.error"])).recipient
    operator = (await ours.recipients.add(None, "email", OPERATOR, ["integration.error"])).recipient
    events: list[Event] = ["integration.revoked", "integration.error"]
    for number, event in enumerate(events, start=1):
        await happens(ours, ids, event, at=clock.now, number=number)
    await Dispatcher(ours.database, clock=clock).address()
    columns = select(deliveries.c.recipient_id, deliveries.c.topic)
    told = await ours.database.read(lambda connection: [tuple(row) for row in connection.execute(columns)])
    assert Counter(told) == {
        (ada.id, "integration.revoked lantern"): 1,
        (bea.id, "integration.error lantern"): 1,
        (operator.id, "integration.error lantern"): 2,
    }
    tenants = Counter(one.tenant_id for one in await composed(ours, clock))
    assert tenants == {"t-1": 1, "t-2": 1, None: 2}


async def test_nobody_is_told_of_what_happened_before_they_were_added(ours: Service, clock: Timer) -> None:
    await happens(ours, await connected(ours), at=clock.now)
    clock.passes(1)
    await ours.recipients.add("t-1", "email", ADA)
    assert await composed(ours, clock) == []
    await happens(ours, ["lantern-t-1"], at=clock.now, number=2)
    assert len(await composed(ours, clock)) == 1


def test_the_first_few_go_one_by_one_and_what_does_not_fit_waits_for_silence() -> None:
    assert decide(recent=0, waiting=MOST_MESSAGES) == "each"
    assert decide(recent=MOST_MESSAGES - 1, waiting=1) == "each"
    assert decide(recent=MOST_MESSAGES, waiting=1) == "later"
    assert decide(recent=1, waiting=MOST_MESSAGES) == "later"
    assert decide(recent=0, waiting=MOST_MESSAGES + 1) == "digest"


async def test_what_goes_on_happening_comes_as_one_digest_a_period_after_the_last_message(
    ours: Service, clock: Timer
) -> None:
    await ours.recipients.add(None, "email", OPERATOR)
    ids = await connected(ours, [f"t-{number}" for number in range(20)])
    counts = []
    for id_ in ids:  # one each minute
        await happens(ours, [id_], at=clock.now)
        counts.append(len(await composed(ours, clock)))
        clock.passes(60)
    quiet = int(PERIOD / timedelta(minutes=1)) + MOST_MESSAGES - 1
    assert counts[:MOST_MESSAGES] == [1] * MOST_MESSAGES
    assert [number for number, made in enumerate(counts) if made][MOST_MESSAGES] == quiet
    told = await sent(ours)
    assert [len(one.notices) for one in told[: MOST_MESSAGES + 1]] == [1] * MOST_MESSAGES + [quiet - MOST_MESSAGES + 1]
    assert await composed(ours, clock) == []
    assert [id_ for one in told for id_ in one.notices] == await noticed(ours)


async def test_500_failures_at_one_provider_within_an_hour_are_a_handful_of_messages(
    ours: Service, clock: Timer
) -> None:
    await ours.recipients.add(None, "email", OPERATOR)
    ids = await connected(ours, [f"t-{number:03}" for number in range(500)])
    for number in range(60):
        await happens(ours, ids[number * 500 // 60 : (number + 1) * 500 // 60], at=clock.now)
        await composed(ours, clock)
        clock.passes(60)
    clock.passes(PERIOD.total_seconds())
    await composed(ours, clock)
    told = await sent(ours)
    assert 1 < len(told) <= 6
    assert Counter(id_ for one in told for id_ in one.notices) == Counter(await noticed(ours))


async def test_500_failures_at_once_are_one_message(ours: Service, clock: Timer) -> None:
    await ours.recipients.add(None, "email", OPERATOR)
    await happens(ours, await connected(ours, [f"t-{number:03}" for number in range(500)]), at=clock.now)
    assert len(await composed(ours, clock)) == 1
    [digest] = await sent(ours)
    assert list(digest.notices) == await noticed(ours)


async def test_topics_do_not_wait_for_each_other(ours: Service, clock: Timer) -> None:
    await ours.recipients.add(None, "email", OPERATOR)
    ids = await connected(ours, [f"t-{number}" for number in range(9)])
    await happens(ours, ids, at=clock.now)
    await happens(ours, ids[:1], "integration.recovered", at=clock.now, number=2)
    await happens(ours, await connected(ours, ["t-1"], "harbor"), at=clock.now)
    assert len(await composed(ours, clock)) == 3
    assert Counter(one.topic for one in await sent(ours)) == {
        "integration.revoked lantern": 1,
        "integration.recovered lantern": 1,
        "integration.revoked harbor": 1,
    }


async def test_processes_that_dispatch_at_once_put_every_notice_into_one_message(home: Home, clock: Timer) -> None:
    async with telling(home, clock=clock) as ours, telling(home, clock=clock) as theirs:
        tenants = [f"t-{number:02}" for number in range(40)]
        ids = await connected(ours, tenants)
        await ours.recipients.add(None, "email", OPERATOR)
        for tenant in tenants:
            await ours.recipients.add(tenant, "email", ADA)
        made = []
        for number in range(1, 4):
            await happens(ours, ids, at=clock.now, number=number)
            made += await asyncio.gather(*(composed(one, clock) for one in (ours, theirs) for _ in range(3)))
        told = await sent(ours)
        ours_and_theirs = [one.message_id for some in made for one in some]
        assert Counter(ours_and_theirs) == Counter(one.id for one in told)
        clock.passes(PERIOD.total_seconds())
        await asyncio.gather(composed(ours, clock), composed(theirs, clock))
        await composed(ours, clock)  # what each left to the other
        notices = Counter(id_ for one in await sent(ours) for id_ in one.notices)
        assert notices == Counter(dict.fromkeys(await noticed(ours), 2))  # its tenant's, and the operator


class Killed(Exception):
    """Where a process would have ended."""


async def test_a_step_that_was_cut_short_has_done_nothing_and_is_taken_again(
    ours: Service, clock: Timer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ours.recipients.add(None, "email", OPERATOR)
    await happens(ours, await connected(ours, ["t-1", "t-2"]), at=clock.now)
    write = Database.write

    async def dies(database: Database, work: Work[None]) -> None:
        def cut_short(connection: Connection) -> None:
            work(connection)
            raise Killed

        return await write(database, cut_short)

    for step in range(2):
        with monkeypatch.context() as patched:
            patched.setattr(Database, "write", dies)
            with pytest.raises(Killed):
                await composed(ours, clock)
        assert await sent(ours) == []
        if step == 0:
            assert await Dispatcher(ours.database, clock=clock).address() == 2
    assert len(await composed(ours, clock)) == 2


async def test_messages_that_nobody_was_told_to_deliver_are_found_until_they_have_ended(
    ours: Service, clock: Timer
) -> None:
    await ours.recipients.add(None, "email", OPERATOR)
    for slug in ("lantern", "harbor"):
        await happens(ours, await connected(ours, ["t-1"], slug), at=clock.now)
    dispatcher = Dispatcher(ours.database, clock=clock)
    await dispatcher.address()
    async with aclosing(dispatcher.compose()) as composing:  # type: ignore[type-var] # it is a generator
        await anext(composing)  # and killed
    found = [one.message_id async for batch in dispatcher.unfinished() for one in batch]
    assert sorted(found) == [one.id for one in await sent(ours)]
    assert len(found) == 2


async def test_what_was_addressed_to_one_that_was_just_removed_is_dropped(ours: Service, clock: Timer) -> None:
    ids = await connected(ours)
    gone = (await ours.recipients.add("t-1", "email", ADA)).recipient
    await happens(ours, ids, at=clock.now)
    await Dispatcher(ours.database, clock=clock).address()
    row = delete(recipients).where(recipients.c.id == gone.id)
    await ours.database.write(lambda connection: connection.execute(row).close())
    assert await composed(ours, clock) == []
    assert await sent(ours) == []
