"""What becomes of jobs that stop running or waiting: gathered one by one, then written in a few statements."""

from __future__ import annotations

from typing import NamedTuple

from lamplighter.core.clock import to_us
from lamplighter.core.model import Failure, State
from lamplighter.store.pack import Row, pack
from lamplighter.store.sqlite import keys
from lamplighter.store.sqlite.batch import run
from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.keys import KeyMove
from lamplighter.store.sqlite.tally import tally

FAILURES_KEPT = 20


class Moving(NamedTuple):
    """What must be known of a job to move it."""

    id: str
    fence: int
    stopping: int
    key: str | None
    mode: str | None
    group: str | None = None
    queue: str = ""
    priority: int = 0
    tenant: str = ""
    started_at: int | None = None
    limits: tuple[str, ...] | None = None


class Moves:
    """Moves of different jobs at one moment."""

    def __init__(self, now: int) -> None:
        self._now = now
        self._ends: list[Row] = []
        self._forgotten: list[str] = []
        self._backs: list[Row] = []
        self._keys: list[KeyMove] = []
        self._failures: list[Row] = []
        self._counted: list[tuple[str, str, int]] = []

    def end(
        self,
        job: Moving,
        state: State,
        *,
        failed: int = 0,
        crashed: int = 0,
        keep_until: int | None = None,
        result: str | None = None,
        reason: str | None = None,
    ) -> None:
        """It goes among the ended ones, or is forgotten at once."""
        if job.group is not None:
            self._counted.append((job.group, state, 1))
        if keep_until is not None and keep_until <= self._now and job.group is None:
            self._forgotten.append(job.id)
        else:
            self._ends.append((job.id, state, failed, crashed, keep_until, result, reason))
        if job.key is not None:
            self._keys.append(KeyMove("let go", job.id, job.key))

    def back(self, job: Moving, state: State, *, run_at: int | None = None, failed: int = 0, crashed: int = 0) -> None:
        """It waits again; without its key if another took that meanwhile, for a retry is never lost over a key."""
        self._backs.append((job.id, state, run_at, failed, crashed))
        if job.key is not None and job.mode == "pending":
            self._keys.append(KeyMove("take", job.id, job.key))

    def fail(self, job: Moving, why: Failure) -> None:
        """Why an attempt of it failed."""
        self._failures.append((job.id, why.fence, to_us(why.at), why.kind, why.error, why.message, why.traceback))

    def write(self, connection: Connection) -> None:
        """Do all of it."""
        self._write_failures(connection)
        keys.move(connection, self._keys, self._now)
        if self._ends:
            run(connection, "end", rows=pack(self._ends), now=self._now)
        if gone := [*self._forgotten, *(row[0] for row in self._ends)]:
            run(connection, "remove", ids=pack(gone))
        if self._forgotten:
            run(connection, "forget_failures", ids=pack(self._forgotten))
            run(connection, "forget_groups", ids=pack(self._forgotten))
        if self._backs:
            run(connection, "return", rows=pack(self._backs))
        tally(connection, self._counted)

    def _write_failures(self, connection: Connection) -> None:
        if self._failures:
            run(connection, "note_failures", rows=pack(self._failures))
            run(connection, "trim_failures", ids=pack([row[0] for row in self._failures]), most=FAILURES_KEPT)
