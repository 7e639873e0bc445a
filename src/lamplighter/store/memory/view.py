"""A job as it is when it is added."""

from __future__ import annotations

from datetime import datetime

from lamplighter.core.model import Children, EndedJob, JobView, NewJob, State


def ended_of(job: JobView) -> EndedJob:
    """How an ended job ended."""
    return EndedJob(**{name: getattr(job, name) for name in EndedJob.__struct_fields__})


def waits_as(run_at: datetime, now: datetime) -> State:
    """In which state a job waits that is to run then."""
    return State.QUEUED if run_at <= now else State.SCHEDULED


def view_of(new: NewJob, now: datetime) -> JobView:
    """The job that a new one becomes."""
    return JobView(
        id=new.id,
        name=new.name,
        queue=new.queue,
        tenant=new.tenant,
        state=waits_as(new.run_at, now) if new.children is None else State.HELD,
        priority=new.priority,
        run_at=new.run_at,
        created_at=new.created_at or now,
        args=new.args,
        trace=new.trace,
        fence=0,
        failures=new.failures,
        crashes=new.crashes,
        unique=new.unique,
        limits=new.limits,
        waits_on=None,
        worker=None,
        started_at=None,
        lease_until=None,
        stopping=False,
        progress=None,
        ended_at=None,
        keep_until=None,
        result=None,
        reason=None,
        group=new.group,
        children=None if new.children is None else Children(total=new.children, on_failure=new.on_child_failure),
    )
