"""The course of alerts: by itself, and on a board at which several processes look at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, select

from lamplighter.families.alerting.board import Board, RecordBoard
from lamplighter.families.alerting.course import Alert, Found, Move, moves
from lamplighter.families.alerting.kinds import Bad, DiskFull, Rule, Unserved
from lamplighter.families.alerting.table_board import TableBoard
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.migrate import upgrade
from lamplighter.integrations.storage.tables import alert_changes, alert_deliveries, alerts, recipients
from lamplighter.store.memory import MemoryStore
from lamplighter.testing import FakeClock

START = datetime(2026, 3, 1, tzinfo=UTC)
CALM = timedelta(seconds=15)
RULE = Unserved(name="no-worker", severity="critical", lasts=timedelta(seconds=60))


def bad(*subjects: str) -> Found:
    return {RULE.name: [Bad(one, 1, f"{one} is bad.") for one in subjects]}


WELL, UNSEEN = bad(), {RULE.name: None}


class Story:
    """Looks one after the other, on nothing but memory."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], Alert] = {}
        self.silenced = False

    def look(self, at: float, found: Found, rule: Rule = RULE) -> list[Move]:
        now = START + timedelta(seconds=at)
        went = moves(self.known, [rule], found, calm=CALM, now=now, is_silenced=lambda _: self.silenced)
        for before, after, _ in went:
            if after is not None:
                self.known[after.rule, after.subject] = after
            elif before is not None:
                del self.known[before.rule, before.subject]
        return went

    def told(self, at: float, found: Found, rule: Rule = RULE) -> list[str]:
        return [move.event for move in self.look(at, found, rule) if move.event]

    def state(self) -> str | None:
        return next((one.state for one in self.known.values()), None)


def test_what_is_bad_for_long_enough_fires_and_what_is_well_for_an_interval_is_resolved() -> None:
    story = Story()
    assert [story.told(at, bad("mail")) for at in (0, 30, 59.9, 60, 75)] == [[], [], [], ["alert.firing"], []]
    assert [story.told(at, WELL) for at in (90, 104.9, 105, 120)] == [[], [], ["alert.resolved"], []]
    assert story.state() == "resolved"


def test_what_is_bad_for_a_moment_is_forgotten() -> None:
    story = Story()
    story.look(0, bad("mail"))
    assert story.state() == "pending"
    story.look(30, WELL)
    assert story.state() is None
    assert story.told(61, bad("mail")) == [], "it counts from anew"


def test_one_good_look_resolves_nothing() -> None:
    story = Story()
    story.look(0, bad("mail"))
    story.look(60, bad("mail"))
    assert [story.told(at, found) for at, found in ((75, WELL), (80, bad("mail")), (95, WELL), (100, WELL))] == [[]] * 4
    assert story.state() == "firing"


def test_a_disk_that_other_machines_do_not_see_is_not_resolved_by_them() -> None:
    story, rule = Story(), DiskFull(name="no-worker", below=0.1, below_gb=5)
    story.look(0, bad("a:/data"), rule)
    for at in range(0, 300, 30):
        story.look(at + 10, WELL, rule)
        story.look(at + 29, WELL, rule)
        story.look(at + 30, bad("a:/data"), rule)
        assert story.state() == "firing"
    for at in (310, 340, 370):
        story.look(at, WELL, rule)
    assert story.state() == "resolved"


def test_what_cannot_be_seen_stays_as_it_is() -> None:
    story = Story()
    story.look(0, bad("mail"))
    story.look(60, bad("mail"))
    assert story.look(600, UNSEEN) == []


def test_who_looked_earlier_changes_nothing() -> None:
    story = Story()
    story.look(0, bad("mail"))
    story.look(60, bad("mail"))
    assert story.look(59, WELL) == []
    story.look(61, WELL)
    story.look(80, WELL)
    assert story.look(79, bad("mail")) == []


def test_a_rule_that_is_turned_off_is_resolved() -> None:
    story = Story()
    story.look(0, bad("mail"))
    story.look(60, bad("mail"))
    off = Unserved(name="no-worker", enabled=False)
    assert [story.told(at, {}, off) for at in (70, 90)] == [[], ["alert.resolved"]]


def test_what_is_silenced_is_told_when_that_ends_if_it_still_fires() -> None:
    story = Story()
    story.silenced = True
    assert [story.told(at, bad("mail")) for at in (0, 60, 75)] == [[], [], []]
    assert story.state() == "firing"
    story.silenced = False
    assert [story.told(at, bad("mail")) for at in (90, 105)] == [["alert.firing"], []]


def test_nobody_is_told_that_is_over_what_nobody_was_told_of() -> None:
    story = Story()
    story.silenced = True
    story.look(0, bad("mail"))
    story.look(60, bad("mail"))
    story.look(75, WELL)
    story.silenced = False
    assert story.told(90, WELL) == []
    assert story.state() == "resolved"


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    url = (
        request.getfixturevalue("postgres_schema_url")
        if request.param == "postgres"
        else f"sqlite:///{tmp_path}/lamplighter.db"
    )
    async with Database(url) as opened:
        await upgrade(opened)
        await opened.write(_operator)
        yield opened


def _operator(connection: Connection) -> None:
    values = {"id": "r-1", "channel": "email", "address": "", "events": "alert.firing alert.resolved", "created_at": 0}
    connection.execute(recipients.insert(), values)


LOOKS = st.lists(
    st.tuples(st.integers(0, 40), st.sets(st.sampled_from(["a", "b"])), st.integers(-20, 0)), min_size=1, max_size=25
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(LOOKS, min_size=1, max_size=3))
async def test_of_processes_that_look_at_once_each_change_is_made_and_told_once(
    database: Database, rounds: Sequence[Sequence[tuple[int, set[str], int]]]
) -> None:
    await database.write(_emptied)
    clock = FakeClock(START)
    boards = [TableBoard(database, clock=clock) for _ in range(3)]
    made: list[Move] = []
    at = 0.0
    for looks in rounds:
        for passed, which, behind in looks:
            at += passed
            nows = [START + timedelta(seconds=max(0, at + late)) for late in (0, behind, 0)]
            sights = [bad(*which), bad(*which), WELL if behind else bad(*which)]
            went = await asyncio.gather(
                *(
                    board.advance([RULE], found, calm=CALM, now=now)
                    for board, found, now in zip(boards, sights, nows, strict=True)
                )
            )
            made += [move for several in went for move in several]
    fired = Counter((m.after.subject, m.after.since) for m in made if m.event == "alert.firing" and m.after)
    resolved = Counter((m.after.subject, m.after.since) for m in made if m.event == "alert.resolved" and m.after)
    assert set(fired.values()) | set(resolved.values()) <= {1}
    assert resolved.keys() <= fired.keys(), "what was resolved has fired before"
    live = {(one.subject, one.since) for one in await boards[0].alerts() if one.state == "firing"}
    assert fired.keys() - resolved.keys() == live, "and between two firings lies a resolve"
    changes = await database.read(lambda connection: connection.execute(select(alert_changes)).all())
    assert (
        Counter(one.event for one in changes)
        == Counter({"alert.firing": fired.total(), "alert.resolved": resolved.total()}) - Counter()
    )
    letters = {one.letter_id for one in changes if one.letter_id is not None}
    delivered = await database.read(lambda connection: connection.execute(select(alert_deliveries.c.letter_id)).all())
    assert Counter(letter for (letter,) in delivered) == Counter(letters)


def _emptied(connection: Connection) -> None:
    for table in (alerts, alert_changes, alert_deliveries):
        connection.execute(delete(table))


async def test_a_storm_is_one_message(database: Database) -> None:
    board, many = TableBoard(database, clock=FakeClock(START)), [f"queue-{n:03}" for n in range(200)]
    for at in (0, 60):
        await board.advance([RULE], bad(*many), calm=CALM, now=START + timedelta(seconds=at))
    changes = await database.read(lambda connection: connection.execute(select(alert_changes)).all())
    assert len(changes) == 200
    assert len({one.letter_id for one in changes}) == 1


async def test_the_first_few_are_messages_of_their_own_and_more_wait_for_a_digest(database: Database) -> None:
    board = TableBoard(database, clock=FakeClock(START))
    names = ["a", "b", "c", "d", "e"]
    for number, at in enumerate((0, 60, 130, 200)):
        await board.advance([RULE], bad(*names[: number + 2]), calm=CALM, now=START + timedelta(seconds=at))
    changes = await database.read(lambda connection: connection.execute(select(alert_changes)).all())
    assert sorted(one.letter_id is None for one in changes) == [False, False, False, True]
    later = START + timedelta(minutes=20)
    await board.advance([RULE], bad(*names), calm=CALM, now=later)
    changes = await database.read(lambda connection: connection.execute(select(alert_changes)).all())
    assert all(one.letter_id is not None for one in changes)


@pytest.fixture(params=["tables", "records"])
async def board(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Board, FakeClock]]:
    clock = FakeClock(START)
    if request.param == "records":
        async with MemoryStore() as store:
            yield RecordBoard(store, clock=clock), clock
        return
    async with Database(f"sqlite:///{tmp_path}/lamplighter.db") as database:
        await upgrade(database)
        yield TableBoard(database, clock=clock), clock


async def test_a_silence_lasts_until_its_time_or_until_it_is_ended(board: tuple[Board, FakeClock]) -> None:
    on, clock = board
    one = await on.silence("no-*", "mail", timedelta(hours=1), reason="moving it", user_id="ada")
    other = await on.silence("*", "*", timedelta(hours=2), reason="maintenance", user_id="bea")
    assert await on.silences() == [one, other]
    assert await on.unsilence(other.id)
    assert not await on.unsilence("nobody")
    clock.advance(3601)
    assert await on.silences() == []


async def test_a_board_keeps_what_fires(board: tuple[Board, FakeClock]) -> None:
    on, clock = board
    await on.silence("*", "quiet", timedelta(hours=1), reason="known", user_id="ada")
    events = []
    for found in (bad("mail", "quiet"), bad("mail", "quiet"), WELL, WELL):
        went = await on.advance([RULE], found, calm=CALM, now=clock())
        events += [(move.event, move.after.subject) for move in went if move.event and move.after]
        clock.advance(60)
    assert events == [("alert.firing", "mail"), ("alert.resolved", "mail")]
    assert {(one.subject, one.state) for one in await on.alerts()} == {("mail", "resolved"), ("quiet", "resolved")}
