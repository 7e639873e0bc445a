"""Upkeep: look at the databases, and do what is past its bounds, one after the other, until the turn is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
from msgspec import Struct

from lamplighter.core.clock import Clock, utcnow
from lamplighter.core.config import Settings
from lamplighter.core.duration import rough_duration
from lamplighter.core.errors import LamplighterError
from lamplighter.families.upkeep.finding import TASKS, Finding, GaveWay, Key, Trouble, UpkeepError
from lamplighter.families.upkeep.kept import Database, Session, databases
from lamplighter.families.upkeep.ledger import Ledger, Outcome, Run
from lamplighter.families.upkeep.turn import Turn
from lamplighter.families.upkeep.window import Night, window_of
from lamplighter.integrations.storage.database import Database as Tables

RESTS = timedelta(hours=20)  # what was done, or failed, is not done again in the same night, whatever came of it
RESTS_LONG: Mapping[str, timedelta] = {"check": timedelta(days=6, hours=20)}
LOOKING = 60.0  # seconds that looking at one database may take
WINDOW = "window"  # who asks, where no person does

Say = Callable[[str], None]


class Which(NamedTuple):
    """What of all that is due. Nothing named: all of it. `anew`: whatever can be done at all, due or not."""

    tasks: Collection[str] = ()
    subject: str | None = None
    anew: bool = False

    def takes(self, finding: Finding) -> bool:
        return (not self.tasks or finding.task in self.tasks) and self.subject in {None, finding.subject}


class Report(Struct, frozen=True, kw_only=True):
    """What a run would do now, and all else that was found.

    Attributes:
        night: the window that is open now; `next`: the next one. Neither: it never opens.
    """

    findings: Sequence[Finding]
    troubles: Sequence[Trouble]
    latest: Sequence[Run]
    night: Night | None = None
    next: Night | None = None

    @property
    def due(self) -> list[Finding]:
        return [one for one in self.findings if one.is_due]


class Upkeep:
    """Of the databases that the settings name; what was done is in `tables`.

    Raises:
        ConfigError: a URL of the settings cannot be read.
    """

    def __init__(self, settings: Settings, tables: Tables, *, clock: Clock = utcnow) -> None:
        self.ledger = Ledger(tables, clock=clock)
        self.window = window_of(settings)
        self._databases = databases(settings, clock=clock)
        self._lock_timeout = settings.upkeep_lock_timeout
        self._clock = clock

    async def report(self) -> Report:
        """Look at everything. Changes nothing, and waits for nobody."""
        latest, now = await self.ledger.latest(), self._clock()
        seen = await asyncio.gather(*(self._look(one, latest) for one in self._databases))
        return Report(
            findings=[one for found in seen if not isinstance(found, Trouble) for one in found],
            troubles=[found for found in seen if isinstance(found, Trouble)],
            latest=list(latest.values()),
            night=self.window and self.window.night(now),
            next=self.window and self.window.next(now),
        )

    async def run(self, turn: Turn, *, asked_by: str, which: Which = Which(), say: Say = lambda _: None) -> list[Run]:  # noqa: B008 - it cannot change
        """Do what is due, in the order of the tasks; returns what was done.

        A person who names tasks has them done again, though they were done lately.
        """
        _check(which)
        runs: list[Run] = []
        for database in self._databases:
            if not turn.is_over:
                runs += await self._keep(database, turn, which, asked_by, say)
        return runs

    async def measure(self) -> int:
        """Write down how large everything is; returns how many sizes were."""
        noted = 0
        for database in self._databases:
            try:
                async with database.opened(self._lock_timeout) as session:
                    noted += await self.ledger.note(await session.sizes())
            except LamplighterError:
                continue  # the report says what is wrong with it
        return noted

    async def _look(self, database: Database, latest: Mapping[Key, Run]) -> list[Finding] | Trouble:
        try:
            async with asyncio.timeout(LOOKING), database.opened(self._lock_timeout) as session:
                return [rested(one, latest.get(one.key), self._clock()) for one in await session.find()]
        except TimeoutError:
            return Trouble(database.url, f"it did not answer within {LOOKING:g} s: see that it is up.")
        except LamplighterError as error:
            return Trouble(database.url, str(error))

    async def _keep(self, database: Database, turn: Turn, which: Which, asked_by: str, say: Say) -> list[Run]:
        runs: list[Run] = []
        try:
            async with database.opened(self._lock_timeout) as session:
                await session.hold()
                for task in database.tasks:  # looked at anew for each, for the one before may have changed much
                    for finding in await self._due(session, task, which):
                        if turn.is_over:
                            return runs
                        runs.append(await self._do(session, finding, turn, asked_by, say))
        except LamplighterError as error:
            say(str(error))
            outcome: Outcome = "stopped" if isinstance(error, GaveWay) else "failed"
            runs.append(await self._note(database, outcome, str(error), asked_by))
        return runs

    async def _due(self, session: Session, task: str, which: Which) -> list[Finding]:
        """What was left longest comes first: what never gets done must not keep all else from it."""
        if which.tasks and task not in which.tasks:
            return []
        latest, now = await self.ledger.latest(), self._clock()
        found = [one for one in await session.find() if one.task == task and which.takes(one)]
        if not which.tasks:
            found = [rested(one, latest.get(one.key), now) for one in found]
        due = [one for one in found if one.is_due or (which.anew and not one.is_held)]
        return sorted(due, key=lambda one: latest[one.key].began_at.timestamp() if one.key in latest else 0)

    async def _do(self, session: Session, finding: Finding, turn: Turn, asked_by: str, say: Say) -> Run:
        run, last = await self.ledger.begin(finding, asked_by=asked_by), ""
        outcome: Outcome = "done"
        say(f"{finding.task} of {finding.subject}")
        try:
            async for step in session.steps(finding, turn):
                last = step
                say(step)
        except GaveWay as error:
            outcome, last = "stopped", str(error)
        except LamplighterError as error:
            outcome, last = "failed", str(error)
        except BaseException as error:
            ended = asyncio.ensure_future(self.ledger.end(run, "stopped", _ending(error), None))
            await asyncio.shield(ended)
            raise
        say(f"{outcome}: {last}" if outcome != "done" else f"{finding.task} of {finding.subject} is done")
        return await self.ledger.end(run, outcome, last, await _weigh(session, finding))

    async def _note(self, database: Database, outcome: Outcome, says: str, asked_by: str) -> Run:
        """The database itself: it cannot be reached, or somebody else is at it."""
        finding = Finding(task="check", database=database.url, subject="all", is_due=True, says="")
        return await self.ledger.end(await self.ledger.begin(finding, asked_by=asked_by), outcome, says, None)


def rested(finding: Finding, last: Run | None, now: datetime) -> Finding:
    """What was done lately is not due, whatever its figures are; nor is what failed, which would fail again."""
    if not finding.is_due or last is None or last.outcome not in {"done", "failed"} or last.ended_at is None:
        return finding
    if now - last.ended_at > RESTS_LONG.get(finding.task, RESTS):
        return finding
    failed = last.outcome == "failed"
    how = f"It failed {{}} ago: {last.says}" if failed else "It was done {} ago."
    says = f"{finding.says} {how.format(rough_duration(now - last.ended_at))}"
    return msgspec.structs.replace(finding, is_due=False, is_held=failed, says=says)


async def _weigh(session: Session, finding: Finding) -> int | None:
    try:
        return await session.weigh(finding)
    except LamplighterError:
        return None


def _ending(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return "it was told to stop: it is tried again."
    return f"it broke off ({type(error).__name__}): see the log."


def _check(which: Which) -> None:
    for task in which.tasks:
        if task not in TASKS:
            raise UpkeepError(f"there is no task {task!r:.40}: there are {', '.join(TASKS)}.")
