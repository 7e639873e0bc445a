"""Promises that only the world can judge, beside those of `verify/check.py`: it saw every lease and every verb."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from lamplighter.core.model import State
from lamplighter.testing.simulation.chronicle import MIDNIGHT, Chronicle
from lamplighter.testing.verify.check import check
from lamplighter.testing.verify.history import Attempt, History
from lamplighter.testing.verify.jobs import PREFIX

FAILING = {f"{PREFIX}retry", f"{PREFIX}doomed"}  # jobs whose handlers fail on purpose

Judge = Callable[[Chronicle, History], Iterator[str]]


def robbed(chronicle: Chronicle, history: History) -> Iterator[str]:
    """Jobs that were taken from a worker that ran them, though no fault had kept it from renewing its lease."""
    for (job, fence), at in chronicle.rescues.items():
        for attempt in history.attempts.get(job, ()):
            if attempt.fence != fence or attempt.begun is None or attempt.begun > at:
                continue
            since = _last_renewal(chronicle, attempt)
            if not any(fault.excuses and fault.hits(attempt.who, since, at) for fault in history.faults):
                yield f"{job} was taken from {attempt.who} at {at:.3f} s, though nothing had befallen that"


def _last_renewal(chronicle: Chronicle, attempt: Attempt) -> float:
    """When its worker was alive for certain, by a clock that may be off a little."""
    sent = chronicle.renewals.get((attempt.job, attempt.fence))
    if sent is None:
        return attempt.claimed
    return (sent - MIDNIGHT).total_seconds() - chronicle.clock_error


def spent(chronicle: Chronicle, history: History) -> Iterator[str]:
    """Attempts and crashes that count, though no handler failed, and no lease ran out."""
    rescues = Counter(job for job, _ in chronicle.rescues)
    for view in history.found.views:
        if view.failures and view.name not in FAILING:
            yield f"{view.id} ({view.name}) has {view.failures} failures, though its handler never fails"
        if view.state is not State.FAILED and view.name != f"{PREFIX}doomed" and view.crashes != rescues[view.id]:
            yield f"{view.id} ({view.name}) has {view.crashes} crashes, and lost its worker {rescues[view.id]} times"


def raised(chronicle: Chronicle, history: History) -> Iterator[str]:
    """Jobs that were claimed after an operator's cancel had ended them."""
    for job, at in chronicle.ended.items():
        for attempt in history.attempts.get(job, ()):
            if attempt.claimed > at:
                yield f"{job} was given to {attempt.who}, though it had been cancelled"


def forgotten_slots(_: Chronicle, history: History) -> Iterator[str]:
    """A schedule whose slots never became jobs."""
    if not any(view.name == f"{PREFIX}cron" for view in history.found.views):
        yield "no slot of the schedule became a job"


MORE: dict[str, Judge] = {"robbed": robbed, "spent": spent, "raised": raised, "forgotten slots": forgotten_slots}


def judge(chronicle: Chronicle, history: History) -> dict[str, list[str]]:
    """Every broken promise by its name, with its cases."""
    found = check(history) | {name: list(broken(chronicle, history)) for name, broken in MORE.items()}
    return {name: cases for name, cases in found.items() if cases}
