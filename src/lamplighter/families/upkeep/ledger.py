"""What was done, how it ended, and how large everything was: in the tables of the service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from msgspec import Struct
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from lamplighter.core.clock import Clock, from_us, maybe_from_us, to_us, utcnow
from lamplighter.core.ids import new_id
from lamplighter.families.upkeep.finding import Finding, Key, Size
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.upkeep_tables import upkeep_runs, upkeep_sizes

Outcome: TypeAlias = Literal["done", "stopped", "failed"]

LATELY = timedelta(days=40)  # within which the last run of everything is looked for
MOST_LATELY = 5000
LONGEST = 500  # characters of a sentence that is kept
MOST_SIZES = 500  # of one database: the largest
BATCH = 1000

_run, _size = upkeep_runs.c, upkeep_sizes.c


class Run(Struct, frozen=True, kw_only=True):
    """One thing that was done. No `outcome`: it goes on, or nobody knows, for its process was killed."""

    id: str
    task: str
    database: str
    subject: str
    asked_by: str
    began_at: datetime
    ended_at: datetime | None = None
    outcome: Outcome | None = None
    says: str = ""
    bytes_before: int | None = None
    bytes_after: int | None = None

    @property
    def key(self) -> Key:
        return Key(self.task, self.database, self.subject)


class Growth(Struct, frozen=True, kw_only=True):
    """How large something is, and was: by days ago, as far as that was noted."""

    database: str
    name: str
    kind: str
    bytes: int
    before: Mapping[str, int]


class Line(Struct, frozen=True, kw_only=True):
    """The sizes of one thing at the moments of a chart. None: it was not there, or nobody looked."""

    database: str
    name: str
    kind: str
    bytes: Sequence[int | None]


class Chart(Struct, frozen=True, kw_only=True):
    """The largest things, over time."""

    at: Sequence[datetime]
    lines: Sequence[Line]


class Ledger:
    """Over one database of the service."""

    def __init__(self, database: Database, *, clock: Clock = utcnow) -> None:
        self._database = database
        self._clock = clock

    async def begin(self, finding: Finding, *, asked_by: str) -> Run:
        """Write down that it is being done."""
        now = self._clock()
        run = Run(
            id=new_id(to_us(now)),
            task=finding.task,
            database=finding.database,
            subject=finding.subject,
            asked_by=asked_by[:LONGEST],
            began_at=now,
            bytes_before=finding.size,
        )
        row = {
            "id": run.id,
            "task": run.task,
            "place": run.database,
            "subject": run.subject,
            "asked_by": run.asked_by,
            "began_at": to_us(now),
            "says": "",
            "bytes_before": run.bytes_before,
        }
        await self._database.write(lambda connection: connection.execute(insert(upkeep_runs), [row]).rowcount)
        return run

    async def end(self, run: Run, outcome: Outcome, says: str, bytes_after: int | None) -> Run:
        """Write down how it ended."""
        values = {
            "ended_at": to_us(self._clock()),
            "outcome": outcome,
            "says": says[:LONGEST],
            "bytes_after": bytes_after,
        }
        statement = update(upkeep_runs).where(_run.id == run.id).values(values).returning(*upkeep_runs.c)
        return await self._database.write(lambda connection: _read(connection.execute(statement).one()))

    async def page(self, *, task: str | None = None, limit: int = 100, before: str | None = None) -> list[Run]:
        """What was done, the last first; go on with `before` = the last id of the page."""
        statement = select(upkeep_runs).order_by(_run.id.desc()).limit(limit)
        if task is not None:
            statement = statement.where(_run.task == task)
        if before is not None:
            statement = statement.where(_run.id < before)
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return [_read(row) for row in rows]

    async def latest(self) -> dict[Key, Run]:
        """The last run of everything that has ended lately."""
        return await self._database.read(lambda connection: latest(connection, self._clock()))

    async def note(self, sizes: Iterable[Size]) -> int:
        """Write down how large things are now; of very many the largest."""
        now, largest = to_us(self._clock()), sorted(sizes, key=lambda one: one.bytes, reverse=True)[:MOST_SIZES]
        rows = [
            {"place": one.database, "name": one.name, "at": now, "kind": one.kind, "bytes": one.bytes}
            for one in largest
        ]
        if rows:
            await self._database.write(lambda connection: connection.execute(insert(upkeep_sizes), rows).rowcount)
        return len(rows)

    async def growth(self, days: Sequence[int] = (1, 7, 30)) -> list[Growth]:
        """What there is, the largest first, beside what it was so many days ago."""
        now = self._clock()
        return await self._database.read(lambda connection: _growth(connection, now, days))

    async def chart(self, *, days: int = 90, most: int = 8) -> Chart:
        """The largest things over the last days."""
        since = self._clock() - timedelta(days=days)
        return await self._database.read(lambda connection: _chart(connection, since, most))

    async def forget(self, before: datetime) -> int:
        """Delete what is older, a batch at a time; returns how many rows went."""
        old = to_us(before)
        runs = select(_run.id).where(_run.began_at < old).limit(BATCH)
        moments = select(_size.at).where(_size.at < old).distinct().limit(1)
        statements = (
            delete(upkeep_runs).where(_run.id.in_(runs)),
            delete(upkeep_sizes).where(_size.at.in_(moments)),
        )
        total = 0
        for statement in statements:
            while gone := await self._database.write(lambda c, it=statement: c.execute(it).rowcount):  # type: ignore[misc] # bound now, run now
                total += gone
        return total


def latest(connection: Connection, now: datetime) -> dict[Key, Run]:
    """See `Ledger.latest`."""
    recent = (
        select(upkeep_runs)
        .where(_run.began_at > to_us(now - LATELY), _run.outcome.is_not(None))
        .order_by(_run.id.desc())
        .limit(MOST_LATELY)
    )
    found: dict[Key, Run] = {}
    for run in map(_read, connection.execute(recent)):
        found.setdefault(run.key, run)
    return found


def _growth(connection: Connection, now: datetime, days: Sequence[int]) -> list[Growth]:
    """Of each database its last measuring, and the last one before each of those moments."""
    found: list[Growth] = []
    for place in connection.scalars(select(_size.place).distinct().order_by(_size.place)).all():
        latest_at = _measured(connection, place, to_us(now))
        then = {
            day: _sizes(connection, place, _measured(connection, place, to_us(now - timedelta(days=day))))
            for day in days
        }
        for (name, kind), size in _sizes(connection, place, latest_at).items():
            before = {str(day): sizes[name, kind] for day, sizes in then.items() if (name, kind) in sizes}
            found.append(Growth(database=place, name=name, kind=kind, bytes=size, before=before))
    return sorted(found, key=lambda one: (-one.bytes, one.database, one.name))


def _measured(connection: Connection, place: str, until: int) -> int | None:
    last = select(func.max(_size.at)).where(_size.place == place, _size.at <= until)
    found: int | None = connection.execute(last).scalar()
    return found


def _sizes(connection: Connection, place: str, at: int | None) -> dict[tuple[str, str], int]:
    if at is None:
        return {}
    rows = connection.execute(select(_size.name, _size.kind, _size.bytes).where(_size.place == place, _size.at == at))
    return {(name, kind): size for name, kind, size in rows}


def _chart(connection: Connection, since: datetime, most: int) -> Chart:
    largest = (
        select(_size.place, _size.name, _size.kind)
        .where(_size.at > to_us(since))
        .group_by(_size.place, _size.name, _size.kind)
        .order_by(func.max(_size.bytes).desc(), _size.place, _size.name)
        .limit(most)
    )
    lines: list[tuple[str, str, str, dict[int, int]]] = []
    for place, name, kind in connection.execute(largest).all():
        which = (_size.place == place, _size.name == name, _size.at > to_us(since))
        rows = connection.execute(select(_size.at, _size.bytes).where(*which).order_by(_size.at))
        lines.append((place, name, kind, {row.at: row.bytes for row in rows}))
    moments = sorted({at for *_, sizes in lines for at in sizes})
    return Chart(
        at=[from_us(at) for at in moments],
        lines=[
            Line(database=place, name=name, kind=kind, bytes=[sizes.get(at) for at in moments])
            for place, name, kind, sizes in lines
        ],
    )


def _read(row: Row[Any]) -> Run:
    return Run(
        id=row.id,
        task=row.task,
        database=row.place,
        subject=row.subject,
        asked_by=row.asked_by,
        began_at=from_us(row.began_at),
        ended_at=maybe_from_us(row.ended_at),
        outcome=row.outcome,
        says=row.says,
        bytes_before=row.bytes_before,
        bytes_after=row.bytes_after,
    )
