"""What every line tells that is logged while a job runs: which job, which attempt, where, and in which trace."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any, Protocol

from lamplighter.observe.trace_id import current_trace_id

FIELDS = ("job_id", "job", "attempt", "queue", "tenant", "worker", "trace_id")


class Running(Protocol):
    """An attempt that runs: `ctx` is one."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def queue(self) -> str: ...
    @property
    def tenant(self) -> str | None: ...


RUNNING: ContextVar[Running | None] = ContextVar("lamplighter_running", default=None)
WORKER: ContextVar[str | None] = ContextVar("lamplighter_worker", default=None)


def job_fields() -> dict[str, Any]:
    """The fields of the job that runs in this context, without those it does not have; of no job: none or few."""
    job, found = RUNNING.get(), dict[str, Any]()
    if job is not None:
        found = {"job_id": job.id, "job": job.name, "attempt": job.attempt, "queue": job.queue, "tenant": job.tenant}
    found |= {"worker": WORKER.get(), "trace_id": current_trace_id()}
    return {name: value for name, value in found.items() if value is not None}


class JobFields(logging.Filter):
    """Adds the fields of the job that runs to each record that a handler gets: `handler.addFilter(JobFields())`.

    A format may name any of `job_id`, `job`, `attempt`, `queue`, `tenant`, `worker` and `trace_id`: those that there
    are not are None.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets everything through."""
        vars(record).update(dict.fromkeys(FIELDS) | job_fields())
        return True


def add_job_fields(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ARG001 - as structlog calls it
    """The same as a processor of structlog: `structlog.configure(processors=[add_job_fields, ...])`."""
    for name, value in job_fields().items():
        event.setdefault(name, value)
    return event
