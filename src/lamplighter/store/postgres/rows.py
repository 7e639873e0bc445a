"""What goes into the functions of the schema, as rows of one JSON value."""

from __future__ import annotations

from collections.abc import Sequence

from lamplighter.core.clock import maybe_length, maybe_to_us, to_us
from lamplighter.core.flow_control import Order
from lamplighter.core.log_line import Logged
from lamplighter.core.model import ATTEMPT_ENDS, Beat, NewJob, Outcome
from lamplighter.store.carried import carry
from lamplighter.store.pack import Row, pack


def jobs(new: Sequence[NewJob]) -> str:
    """Jobs to add."""
    return pack([_job(job) for job in new])


def outcomes(ends: Sequence[Outcome]) -> str:
    """How attempts ended."""
    return pack([_outcome(end) for end in ends])


def beats(renewed: Sequence[Beat]) -> str:
    """Attempts whose leases are renewed; of several of one, the last progress counts."""
    progress: dict[tuple[str, int], str | None] = {}
    for beat in renewed:
        attempt = beat.id, beat.fence
        progress[attempt] = progress.get(attempt) if beat.progress is None else beat.progress
    return pack([(*attempt, text) for attempt, text in progress.items()])


def log_lines(logged: Sequence[Logged]) -> str:
    """What attempts logged."""
    return pack(
        [
            (one.id, one.fence, line.n, to_us(line.at), line.level, line.message, line.fields)
            for one in logged
            for line in one.lines
        ]
    )


def orders(given: Sequence[Order]) -> str:
    """What gates are told."""
    return pack([_order(order) for order in given])


def _order(order: Order) -> Row:
    return order.key, order.verb, maybe_to_us(order.until)


def _job(job: NewJob) -> Row:
    until = job.unique.until if job.unique and job.unique.mode == "period" else None
    unique = (job.unique.key, job.unique.mode, maybe_to_us(until)) if job.unique else (None, None, None)
    past = job.failures, job.crashes, maybe_to_us(job.created_at)
    what = job.id, job.queue, job.name, job.tenant, job.priority, to_us(job.run_at), carry(job.args, job.trace)
    how = job.parent, job.replaces, maybe_length(job.debounce_for), job.limits or None
    return *what, *unique, *past, *how, job.children, job.on_child_failure, job.group


def _outcome(end: Outcome) -> Row:
    arrow = ATTEMPT_ENDS[end.verb]
    moments = maybe_to_us(end.run_at), maybe_to_us(end.keep_until)
    failed = end.failure
    why = failed and (to_us(failed.at), failed.kind, failed.error, failed.message, failed.traceback)
    told = tuple(_order(order) for order in end.orders) or None
    return end.id, end.fence, arrow.target, int(arrow.spends), *moments, end.result, end.reason, why, arrow.well, told
