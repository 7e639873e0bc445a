"""Jobs on their way from one store to another: a batch, as it is noted in the target, with a marker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from lamplighter.core.clock import to_us
from lamplighter.core.errors import StoreDamaged
from lamplighter.core.ids import new_id
from lamplighter.core.model import JobView, NewJob, Record

KIND = "moving"  # of the records that are notes
QUEUE = "lamplighter.moving"  # of the markers
NEVER = datetime(2200, 1, 1, tzinfo=UTC)  # when a marker comes due
LARGEST = 1_000_000  # characters of arguments in a note, unless a single job has more


class Parcel(Struct, frozen=True):
    """A job as the target is to get it.

    `came_back`: it may live beside whoever holds its key, for it was started before, or its key's period is over.
    """

    job: NewJob
    came_back: bool


class Note(Struct, frozen=True):
    """A batch, by the id of its marker: a job that never comes due, and is where the batch is."""

    id: str
    source: str
    parcels: list[Parcel]

    @property
    def marker(self) -> NewJob:
        """The marker."""
        return NewJob(id=self.id, name=QUEUE, queue=QUEUE, run_at=NEVER)

    @property
    def ids(self) -> tuple[str, ...]:
        """Of the batch's jobs."""
        return tuple(parcel.job.id for parcel in self.parcels)

    def record(self) -> Record:
        """What the target keeps of it."""
        return Record(kind=KIND, name=self.id, value=msgspec.json.encode(self).decode())


def note_of(views: Iterable[JobView], source: str, now: datetime) -> Note:
    """A new batch of these jobs."""
    return Note(new_id(to_us(now)), source, [_parcel(view, now) for view in views])


def read_note(record: Record) -> Note:
    """The note that a record is.

    Raises:
        StoreDamaged: it cannot be read.
    """
    try:
        return msgspec.json.decode(record.value, type=Note)
    except msgspec.MsgspecError as error:
        raise StoreDamaged(
            f"the note {record.name} of jobs on their way cannot be read: move with the version that wrote it."
        ) from error


def batches(views: Iterable[JobView]) -> Iterator[list[JobView]]:
    """The jobs in batches whose notes are not too large."""
    batch: list[JobView] = []
    size = 0
    for view in views:
        if batch and size + len(view.args) > LARGEST:
            yield batch
            batch, size = [], 0
        batch.append(view)
        size += len(view.args)
    if batch:
        yield batch


def that_may_lose_their_keys(parcels: Iterable[Parcel]) -> tuple[list[NewJob], list[NewJob]]:
    """Of the jobs that came back, those that try to get their keys, and those whose key another of the batch has."""
    taken = {one.job.unique.key for one in parcels if one.job.unique and not one.came_back}
    came_back = [one.job for one in parcels if one.job.unique and one.came_back]
    try_ = [job for job in came_back if job.unique and job.unique.key not in taken]
    return try_, [without_key(job) for job in came_back if job.unique and job.unique.key in taken]


def without_key(job: NewJob) -> NewJob:
    """The job, under no key."""
    return replace(job, unique=None)


def _parcel(view: JobView, now: datetime) -> Parcel:
    over = view.unique is not None and view.unique.until is not None and view.unique.until <= now
    job = NewJob(
        id=view.id,
        name=view.name,
        queue=view.queue,
        run_at=view.run_at,
        args=view.args,
        priority=view.priority,
        tenant=view.tenant,
        limits=view.limits,
        unique=view.unique,
        created_at=view.created_at,
        failures=view.failures,
        crashes=view.crashes,
        trace=view.trace,
    )
    return Parcel(job, came_back=view.fence > 0 or over)
