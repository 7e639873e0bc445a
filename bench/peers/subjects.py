"""Who is measured: a line for each, with where it runs and how it is set up."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

HERE = Path(__file__).parent
OURS = "lamplighter"
STORES = {
    "sqlite": "SQLite (WAL, synchronous=FULL)",
    "postgresql": "PostgreSQL (fsync and synchronous_commit on, as it comes)",
    "redis": "Redis (without AOF: what it holds is lost with the machine, of all alike)",
}
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Subject(NamedTuple):
    """One library on one store. `environment`: the folder in environments/ that it is installed in; ours is ours."""

    key: str
    label: str
    store: str
    adapter: str
    environment: str
    setup: str
    extra: Mapping[str, str] = _NOTHING

    @property
    def ours(self) -> bool:
        """Whether this is Lamplighter, which all others are held against."""
        return self.adapter == OURS

    def command(self) -> Sequence[str]:
        """What starts its adapter, but for the URL and the file of records."""
        if self.environment == "node":
            return ["node", str(HERE / "adapters" / f"{self.adapter}.mjs")]
        python = str(place(self.environment) / "bin/python") if self.environment else sys.executable
        return [python, "-m", f"bench.peers.adapters.{self.adapter}"]


def place(environment: str) -> Path:
    """Where that environment is installed."""
    return HERE / "environments" / environment / ("node_modules" if environment == "node" else ".venv")


_KEEPS = "leases, fences, results and retention on; 100 at once"

SUBJECTS = (
    Subject("lamplighter-sqlite", "Lamplighter", "sqlite", OURS, "", _KEEPS),
    Subject("huey-sqlite", "Huey", "sqlite", "huey", "redis", "8 threads, `fsync=True`; a task is gone once taken"),
    Subject("lamplighter-postgresql", "Lamplighter", "postgresql", OURS, "", _KEEPS),
    Subject(
        "pgqueuer",
        "PgQueuer",
        "postgresql",
        "pgqueuer",
        "postgres",
        "asyncpg, batches of 100, 200 at once (it takes no fewer); done jobs leave a line in a log",
    ),
    Subject("procrastinate", "Procrastinate", "postgresql", "procrastinate", "postgres", "100 at once; done jobs kept"),
    Subject("saq-postgresql", "SAQ", "postgresql", "saq", "postgres", "100 at once; results kept for ten minutes"),
    Subject("lamplighter-redis", "Lamplighter", "redis", OURS, "", _KEEPS),
    Subject("celery", "Celery", "redis", "celery", "redis", "2 processes; acknowledged before a task runs; no results"),
    Subject(
        "celery-late",
        "Celery, acks_late",
        "redis",
        "celery",
        "redis",
        "2 processes; acknowledged after a task ran; no results",
        {"LATE": "1"},
    ),
    Subject("dramatiq", "Dramatiq", "redis", "dramatiq", "redis", "8 threads; acknowledged after; no results"),
    Subject("rq", "RQ", "redis", "rq", "redis", "a process for each job, one at a time; results kept"),
    Subject(
        "rq-simple", "RQ, SimpleWorker", "redis", "rq", "redis", "no fork, one at a time; results kept", {"FORK": "0"}
    ),
    Subject("huey-redis", "Huey", "redis", "huey", "redis", "8 threads; a task is gone once taken"),
    Subject("arq", "arq", "redis", "arq", "arq", "100 at once; results kept for an hour"),
    Subject("saq-redis", "SAQ", "redis", "saq", "postgres", "100 at once; results kept for ten minutes"),
    Subject("taskiq", "taskiq, stream", "redis", "taskiq", "redis", "100 at once; acknowledged after; no results"),
    Subject("streaq", "streaQ", "redis", "streaq", "redis", "100 at once; results kept for five minutes"),
    Subject("docket", "docket", "redis", "docket", "redis", "100 at once; states kept for a quarter of an hour"),
    Subject("bullmq-python", "BullMQ for Python", "redis", "bullmq", "redis", "100 at once; the last 1,000 kept"),
    Subject("bullmq-node", "BullMQ (Node)", "redis", "bullmq", "node", "100 at once; the last 1,000 kept"),
    Subject("bull-node", "Bull (Node)", "redis", "bull", "node", "100 at once; the last 1,000 kept"),
)
