"""What a process did, counted: engine and families say what happened, and know no more of metrics than this.

It only ever counts up. Prometheus reads the sums, and the history takes what has come on top.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from time import perf_counter
from typing import Literal, NamedTuple, Protocol

from lamplighter.core.errors import StoreUnavailable
from lamplighter.observe.histogram import Histogram
from lamplighter.observe.tenants import Tenants

Ended = Literal["done", "failed", "retried", "snoozed", "cancelled", "released", "lost"]

MOST_QUEUES = 100  # that are told apart: whoever may enqueue may name them
OTHER, UNKNOWN = "other", "unknown"


class Attempt(NamedTuple):
    """How one attempt at a job ended. Times in seconds.

    `waited`: from when it was added to when it first began, of a first attempt only. `late`: from when it was due.
    """

    queue: str
    name: str
    tenant: str | None
    ended: Ended
    waited: float | None
    late: float
    took: float


class Working(Protocol):
    """A worker: how many jobs it runs, and how many it would at once."""

    @property
    def running(self) -> int: ...
    @property
    def slots(self) -> int: ...


class Jobs:
    """The attempts at the jobs of one name in one queue."""

    __slots__ = ("ended", "late", "took", "waited")

    def __init__(self) -> None:
        self.ended: dict[Ended, int] = {}
        self.waited = Histogram()
        self.late = Histogram()
        self.took = Histogram()

    def copy(self) -> Jobs:
        """The same, which counts no further."""
        other = Jobs()
        other.ended = dict(self.ended)
        other.waited, other.late, other.took = self.waited.copy(), self.late.copy(), self.took.copy()
        return other


class Operations:
    """The calls of one operation of the store."""

    __slots__ = ("errors", "took")

    def __init__(self) -> None:
        self.took = Histogram()
        self.errors = 0


class Meter:
    """The counts of one process. Any thread may count.

    `tenants`: how many of them are told apart, the busiest; by default none.
    """

    def __init__(self, *, tenants: int = 0) -> None:
        self.jobs: dict[tuple[str, str], Jobs] = {}
        self.tenants = Tenants(tenants)
        self.operations: dict[str, Operations] = {}
        self.lag = Histogram()
        self.refreshes: Counter[tuple[str, str]] = Counter()
        self.notifications: Counter[tuple[str, str]] = Counter()
        self.late_measurements = 0
        self.files: Counter[tuple[str]] = Counter()
        self.file_syncs: Counter[tuple[str, str]] = Counter()
        self.file_bytes = 0
        self.extractions = Histogram()
        self.audit: Counter[tuple[str]] = Counter()
        self.rescued = 0
        self._workers: list[Working] = []
        self._queues: set[str] = set()
        self._lock = Lock()

    def ended(self, attempts: Iterable[Attempt]) -> None:
        """So many attempts have ended, and that is durable."""
        with self._lock:
            for queue, name, tenant, ended, waited, late, took in attempts:
                jobs = self.jobs.get((queue, name)) or self._jobs(queue, name)
                jobs.ended[ended] = jobs.ended.get(ended, 0) + 1
                jobs.late.observe(late)
                jobs.took.observe(took)
                if waited is not None:
                    jobs.waited.observe(waited)
                if self.tenants.most:
                    self.tenants.count(tenant, ended)

    def was_rescued(self, jobs: int) -> None:
        """So many jobs were taken back from workers that had vanished."""
        with self._lock:
            self.rescued += jobs

    @contextmanager
    def working(self, worker: Working) -> Iterator[None]:
        """A worker of this process, for as long as it works."""
        self._workers.append(worker)
        try:
            yield
        finally:
            self._workers.remove(worker)

    @property
    def workers(self) -> Sequence[Working]:
        """Those that work."""
        return tuple(self._workers)

    def lagged(self, seconds: float) -> None:
        """The event loop let something wait that was to go on at once."""
        with self._lock:
            self.lag.observe(seconds)

    def refreshed(self, provider: str, outcome: str) -> None:
        """What a refresh of a token at a provider came to."""
        with self._lock:
            self.refreshes[provider, outcome] += 1

    def notified(self, channel: str, outcome: str) -> None:
        """What the delivery of a message came to."""
        with self._lock:
            self.notifications[channel, outcome] += 1

    def measured_late(self, n: int) -> None:
        """So many measurements came too late to be taken."""
        with self._lock:
            self.late_measurements += n

    def indexed(self, outcome: str) -> None:
        """What the reading of a file came to."""
        with self._lock:
            self.files[outcome,] += 1

    def synced(self, kind: str, outcome: str) -> None:
        """What looking at a source of files came to."""
        with self._lock:
            self.file_syncs[kind, outcome] += 1

    def fetched(self, size: int) -> None:
        """So many bytes of a file came."""
        with self._lock:
            self.file_bytes += size

    def extracted(self, seconds: float) -> None:
        """How long it took to find out what a file says."""
        with self._lock:
            self.extractions.observe(seconds)

    def audited(self, what: str, records: int) -> None:
        """So many records of the audit log were sealed, archived or destroyed."""
        with self._lock:
            self.audit[what,] += records

    def snapshot(self) -> list[tuple[tuple[str, str], Jobs]]:
        """What was counted of each queue and name of a job, as of one moment."""
        with self._lock:
            return [(key, jobs.copy()) for key, jobs in self.jobs.items()]

    @contextmanager
    def operation(self, name: str) -> Iterator[None]:
        """Time a call of the store. One that could not reach it counts as an error too."""
        started, failed = perf_counter(), False
        try:
            yield
        except StoreUnavailable:
            failed = True
            raise
        finally:
            took = perf_counter() - started
            with self._lock:
                one = self.operations.get(name)
                if one is None:
                    one = self.operations[name] = Operations()
                one.took.observe(took)
                one.errors += failed

    def _jobs(self, queue: str, name: str) -> Jobs:
        """Of a queue that is one too many, those of all others."""
        if queue not in self._queues and len(self._queues) >= MOST_QUEUES:
            return self.jobs.setdefault((OTHER, name), Jobs())
        self._queues.add(queue)
        return self.jobs.setdefault((queue, name), Jobs())
