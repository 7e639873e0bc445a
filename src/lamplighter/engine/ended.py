"""How attempts end, as they are told of and counted."""

from __future__ import annotations

from lamplighter.core.model import ATTEMPT_ENDS, Outcome, State
from lamplighter.engine.run import Run
from lamplighter.observe.meter import UNKNOWN, Attempt, Ended

_ENDED_AS: dict[str, Ended] = {
    "done": "done",
    "fail": "failed",
    "retry": "retried",
    "snooze": "snoozed",
    "release": "released",
    "cancel": "cancelled",
}


def ended_as(run: Run, outcome: Outcome) -> Ended:
    """How an attempt ended whose outcome counted."""
    if run.asked == "cancel" and ATTEMPT_ENDS[outcome.verb].target not in {State.DONE, State.FAILED}:
        return "cancelled"
    return _ENDED_AS[outcome.verb]


def attempt_of(run: Run, ended: Ended) -> Attempt:
    """What is counted of it. A name that the app does not know may be anything."""
    job, started = run.job, run.started
    waited = (started - job.created_at).total_seconds() if job.fence == 1 else None
    late = (started - job.run_at).total_seconds()
    return Attempt(job.queue, job.name if run.definition else UNKNOWN, job.tenant, ended, waited, late, run.took)
