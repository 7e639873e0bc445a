"""What ended jobs are measured as."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lamplighter.core.clock import to_us
from lamplighter.core.model import EndedJob, State
from lamplighter.families.analytics.level import ALL
from lamplighter.families.analytics.sketch import MOST, bucket_of
from lamplighter.integrations.measuring.measure import Measurement


def measured(jobs: Iterable[EndedJob]) -> Iterator[Measurement]:
    """A job that is retried and ends again, by another attempt, has ended once more.

    What was cancelled before it ran has not waited for a worker.
    """
    for job in jobs:
        id_, tenant, at = f"{job.id}.{job.fence}", job.tenant or "", to_us(job.ended_at)
        if tenant == ALL:
            continue
        started = job.started_at
        if job.state is State.DONE:
            ran = (job.ended_at - started).total_seconds() if started else 0
            yield _value("jobs.done", id_, tenant, at, ran)
        else:
            yield Measurement("jobs.failed" if job.state is State.FAILED else "jobs.cancelled", id_, tenant, at)
        if started is not None:
            yield _value("jobs.wait", id_, tenant, at, (started - job.run_at).total_seconds())


def _value(metric: str, id_: str, tenant: str, at: int, seconds: float) -> Measurement:
    """Clocks of machines differ: what seems to have taken less than no time took none."""
    value = min(max(seconds, 0.0), MOST)
    return Measurement(metric, id_, tenant, at, value, bucket_of(value))
