"""From an outbox to the store: take rows, add their jobs, delete the rows.

A row is taken for a while, in a transaction of its own: none is open while the store is asked, which may take long.
Relays pass over what others have taken (on SQLite they wait for one another). One that died leaves rows whose time
runs out; they are added again, which changes nothing, for a job has the same id each time.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, bindparam, delete, or_, select, update

from lamplighter.core.clock import Clock, to_us
from lamplighter.core.errors import QueueFull, StoreDamaged, StoreUnavailable
from lamplighter.core.model import Added, NewJob
from lamplighter.engine.patience import until_available
from lamplighter.integrations.refreshing import fault
from lamplighter.integrations.storage.database import Transactions
from lamplighter.integrations.storage.tables import outbox
from lamplighter.store.alarm import Alarm
from lamplighter.store.base import Store

BATCH = 200  # rows: no more are in memory at once
SOON = 0.002  # seconds until the first look for what is being written here: it is seen once its transaction commits
SLACKENING = 1.5  # from one look to the next
LONGEST_REASON = 500  # characters

_log = logging.getLogger("lamplighter.outbox")

_row = outbox.c
_open = _row.refused.is_(None)
_free = or_(_row.taken_until.is_(None), _row.taken_until <= bindparam("now"), _row.taken_by == bindparam("me"))
_waiting = select(_row.id).where(_open, _free).limit(1)
_first = (
    select(_row.id)
    .where(_open, _free)
    .order_by(_row.id)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)  # which SQLite does without: it has one writer
    .cte("first")
)
_take = (
    update(outbox)
    .where(_row.id.in_(select(_first.c.id)))
    .values(taken_by=bindparam("me"), taken_until=bindparam("until"))
    .returning(_row.id, _row.job)
)


class Held(NamedTuple):
    """A job that was not added and replaced nothing, and the id of the one that holds its unique key."""

    job: NewJob
    holder: str


class _Row(NamedTuple):
    id: str
    job: str


OnHeld = Callable[[Sequence[Held]], Awaitable[None]]


class Relay:
    """Adds the jobs of an outbox to a store, until it is stopped."""

    def __init__(
        self,
        database: Transactions,
        store: Store,
        *,
        clock: Clock,
        poll: float,
        lease: float,
        on_held: OnHeld | None = None,
    ) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._poll = poll
        self._lease = lease
        self._on_held = on_held
        self._me = secrets.token_hex(8)
        self._added: list[str] = []  # and to be deleted
        self._taken_at = 0.0
        self._alarm = Alarm()
        self._is_stopping = False

    def hint(self) -> None:
        """Rows are being written; callable from any thread."""
        self._alarm.ring()

    def stop(self) -> None:
        """End once nothing is left."""
        self._is_stopping = True
        self._alarm.ring()

    async def run(self) -> None:
        """Relay until stopped. A store or a database that is away is waited for."""
        pause = self._poll
        try:
            while True:
                if await until_available(self._round, "relay jobs from the outbox"):
                    continue
                if self._is_stopping:
                    return
                is_hinted = await self._alarm.sleep(pause)
                pause = SOON if is_hinted else min(self._poll, pause * SLACKENING)
        except Exception:
            _log.exception("The relay of the outbox has ended: restart this process.")
            raise

    async def _round(self) -> int:
        """Delete what was added, take what comes next and add it; returns how much that was."""
        try:
            rows = await self._turn()
            if rows:
                await self._add(rows)
        except StoreDamaged as error:  # an operator has to act, but then it goes on
            raise StoreUnavailable(str(error)) from error
        return len(rows)

    async def _turn(self) -> list[_Row]:
        now = self._clock()
        mine = {"me": self._me, "now": to_us(now)}
        if not self._added and not await self._database.read(
            lambda connection: connection.execute(_waiting, mine).first()
        ):
            return []  # an idle relay must not take a file's one write lock to learn that it has nothing to do
        added, until = self._added, to_us(now + timedelta(seconds=self._lease))

        def turn(connection: Connection) -> list[_Row]:
            if added:
                connection.execute(delete(outbox).where(_row.id.in_(added)))
            return [_Row(*row) for row in connection.execute(_take, mine | {"until": until, "limit": BATCH})]

        self._taken_at = time.monotonic()
        rows = await self._database.write(turn)
        self._added = []
        return sorted(rows)

    async def _add(self, rows: list[_Row]) -> None:
        jobs, refused = _decoded(rows)
        if time.monotonic() - self._taken_at > self._lease / 2:
            return  # this process stood still, and another may have taken them: take them anew
        answers = await self._answers(jobs, refused)
        fault.reach(fault.AFTER_RELAY)
        held = [Held(job, one.id) for job, one in answers if not (one.created or one.replaced)]
        if held and self._on_held is not None:
            await self._on_held(held)
        if refused:
            await self._set_aside(refused)
        self._added = [job.id for job, _ in answers]

    async def _answers(self, jobs: list[NewJob], refused: dict[str, str]) -> list[tuple[NewJob, Added]]:
        """What the store answers. If it does not take them all, one by one shows which it refuses, and why."""
        try:
            return list(zip(jobs, await self._store.add(jobs, now=self._clock()), strict=True)) if jobs else []
        except (StoreUnavailable, StoreDamaged):
            raise
        except QueueFull as full:
            if len(jobs) == 1:  # it stays in the outbox, and is taken again when our hold on it is over
                _log.warning("Job %s waits in the outbox: %s", jobs[0].id, full)
                return []
        except Exception as error:  # noqa: BLE001 - one job that cannot be added must not hold up the rest
            if len(jobs) == 1:
                refused[jobs[0].id] = f"{type(error).__name__}: {error}"
                return []
        return [answer for job in jobs for answer in await self._answers([job], refused)]

    async def _set_aside(self, refused: dict[str, str]) -> None:
        statement = update(outbox).where(_row.id == bindparam("row")).values(refused=bindparam("reason"))
        values = [{"row": id_, "reason": reason[:LONGEST_REASON]} for id_, reason in refused.items()]
        await self._database.write(lambda connection: connection.execute(statement, values).close())
        for id_, reason in refused.items():
            _log.error("Job %s of the outbox cannot be added and is set aside: %s", id_, reason)


def _decoded(rows: Sequence[_Row]) -> tuple[list[NewJob], dict[str, str]]:
    jobs, unreadable = list[NewJob](), dict[str, str]()
    for row in rows:
        try:
            jobs.append(msgspec.json.decode(row.job, type=NewJob))
        except msgspec.MsgspecError as error:
            unreadable[row.id] = f"it cannot be read ({error})"
    return jobs, unreadable
