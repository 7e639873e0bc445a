"""What of the job itself is in its way: it is not there, has ended, runs already, is unknown, or is for later."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from lamplighter.app.why.blocker import Abandoned, Ended, KeyHeld, NotThere, Overdue, Running, Scheduled, UnknownName
from lamplighter.app.why.sight import Sight
from lamplighter.app.why.telling import rough, times
from lamplighter.core.ids import made_at
from lamplighter.core.model import ENDED, JobView, State
from lamplighter.engine.outcome import message_of, no_such_job

NEW = timedelta(hours=1)  # an id that is younger may be of a job that is still to be added
SWEPT_WITHIN = timedelta(seconds=5)  # workers look for what is due each second
LONGEST_ERROR = 200  # characters of an error that a sentence has room for


def not_there(sight: Sight) -> NotThere | None:
    """Never added, not committed yet, or forgotten: the store cannot tell, but the age of the id may."""
    if sight.view:
        return None
    made = made_at(sight.id)
    if made is None:
        hint = "correct the id; `lamplighter jobs list` shows those there are."
    elif sight.now - made < NEW:
        hint = "commit the transaction that adds it, or let its outbox be relayed; if it has ended, it was not kept."
    else:
        hint = f"its id is {_ago(sight, made)} old, so it may have ended and be forgotten: keep ended jobs for longer."
    return NotThere(made_at=made, says=f"there is no job {sight.id}: {hint}")


def key_held(sight: Sight) -> KeyHeld:
    """Why another job was not added: the one that is looked at holds its key."""
    unique = sight.view.unique if sight.view else None
    called = f" {unique.key}" if unique else ""
    until = f", until {unique.until:%Y-%m-%d %H:%M:%S}" if unique and unique.until else ""
    return KeyHeld(
        holder=sight.id,
        key=unique.key if unique else None,
        until=unique.until if unique else None,
        says=f"it was not added: job {sight.id} holds its unique key{called}{until}. Wait for that one, or cancel it.",
    )


def ended(sight: Sight) -> Ended | None:
    """It will not run any more, unless somebody says so."""
    view = sight.view
    if view is None or view.state not in ENDED:
        return None
    how = {State.DONE: "was done", State.FAILED: "failed", State.CANCELLED: "was cancelled"}[view.state]
    reason = f" ({_short(view.reason)})" if view.reason and view.reason != view.state else ""
    return Ended(
        state=view.state,
        ended_at=view.ended_at,
        keep_until=view.keep_until,
        reason=view.reason,
        says=f"it {how} {_ago(sight, view.ended_at)} ago{reason}, and {_kept(sight, view)}: "
        f"`lamplighter jobs retry {view.id}` runs it again.",
    )


def running(sight: Sight) -> Running | None:
    """It runs, and its worker is alive."""
    view = sight.view
    if view is None or view.state is not State.RUNNING or _is_abandoned(sight, view):
        return None
    hint = f"wait, or `lamplighter jobs cancel {view.id}` stops it"
    hint = "it was asked to stop, so wait until it has" if view.stopping else hint
    progress = f", progress {view.progress}" if view.progress else ""
    return Running(
        worker=view.worker,
        started_at=view.started_at,
        lease_left=_left(sight, view.lease_until),
        stopping=view.stopping,
        progress=view.progress,
        says=f"it has been running for {_ago(sight, view.started_at)} on worker {view.worker}{progress}: {hint}.",
    )


def abandoned(sight: Sight) -> Abandoned | None:
    """Its worker was killed, or hangs: another gets it."""
    view = sight.view
    if view is None or view.state is not State.RUNNING or not _is_abandoned(sight, view):
        return None
    left, workers = _left(sight, view.lease_until), len(sight.alive)
    over = f"its lease is over in {rough(left)}" if left > 0 else f"its lease has been over for {rough(-left)}"
    hint = "another worker rescues it then" if workers else "start a worker, which rescues it then"
    return Abandoned(
        worker=view.worker,
        lease_left=left,
        workers=workers,
        says=f"its worker {view.worker} was killed or hangs, and {over}: {hint}.",
    )


def unknown_name(sight: Sight) -> UnknownName | None:
    """The app of a worker, or the one that asks, does not have it: it is put back each time."""
    view = sight.waiting
    if view is None:
        return None
    if _was_unknown(sight, view):
        again = f"It is tried again in {rough(_left(sight, view.run_at))}." if _left(sight, view.run_at) > 0 else ""
        says = f"the worker that took it has no job {view.name!r}: give it an app that has, or cancel the job. {again}"
        return UnknownName(name=view.name, again_at=view.run_at, says=says.rstrip())
    if sight.registry is not None and sight.registry.find(view.name) is None:
        says = f"this app has no job {view.name!r}: register it, or let workers of an app that has it serve its queue."
        return UnknownName(name=view.name, again_at=None, says=says)
    return None


def overdue(sight: Sight) -> Overdue | None:
    """Time has come, and nobody has said so yet: every worker does, for all queues."""
    view = sight.waiting
    if view is None or view.state is not State.SCHEDULED or not sight.is_due:
        return None
    late = sight.now - view.run_at
    if sight.alive and late > SWEPT_WITHIN:
        hint = "workers do that each second, so see their logs for what keeps them"
    else:
        hint = "the first worker that looks does that, within a second"
    return Overdue(
        run_at=view.run_at,
        late=late.total_seconds(),
        says=f"it has been due for {_ago(sight, view.run_at)}, and is not queued yet: {hint}.",
    )


def scheduled(sight: Sight) -> Scheduled | None:
    """It is for later: by its own choice, or because an attempt failed."""
    view = sight.waiting
    if view is None or view.state is not State.SCHEDULED or sight.is_due or _was_unknown(sight, view):
        return None
    because, error, attempt = _because(sight, view), _last_error(sight), view.failures + view.crashes + 1
    left = _left(sight, view.run_at)
    last = f", at last with {error}" if error else ""
    told = {
        "added": f"it is to begin in {rough(left)}",
        "snooze": f"it has put itself off, and attempt {attempt} begins in {rough(left)}",
        "failure": f"it has failed {times(view.failures)}{last}, and attempt {attempt} begins in {rough(left)}",
    }
    return Scheduled(
        run_at=view.run_at,
        left=left,
        attempt=attempt,
        failures=view.failures,
        because=because,
        error=error,
        says=f"{told[because]}: wait, or `lamplighter jobs retry {view.id}` begins it now.",
    )


def _kept(sight: Sight, view: JobView) -> str:
    if view.keep_until is None:
        return "is kept"
    left = _left(sight, view.keep_until)
    return f"is kept for {rough(left)} more" if left > 0 else "may be forgotten at any moment"


def _because(sight: Sight, view: JobView) -> Literal["added", "failure", "snooze"]:
    """A job that was moved here has its failures still, but no fence, and no record of why."""
    if view.failures and (sight.last_failure or not view.fence):
        return "failure"
    return "snooze" if view.fence else "added"


def _last_error(sight: Sight) -> str | None:
    failure = sight.last_failure
    return _short(f"{failure.error}: {failure.message}") if failure else None


def _was_unknown(sight: Sight, view: JobView) -> bool:
    """Whether it was put back, the last time, by a worker that does not have it."""
    failure = sight.last_failure
    return failure is not None and failure.message == message_of(no_such_job(view.name))


def _is_abandoned(sight: Sight, view: JobView) -> bool:
    return _left(sight, view.lease_until) <= 0 or all(worker.name != view.worker for worker in sight.alive)


def _left(sight: Sight, moment: datetime | None) -> float:
    return 0.0 if moment is None else (moment - sight.now).total_seconds()


def _ago(sight: Sight, moment: datetime | None) -> str:
    return rough(max(0.0, -_left(sight, moment)))


def _short(text: str) -> str:
    """Its first line, as far as a sentence has room for it."""
    return next(iter(text.strip().splitlines()), "")[:LONGEST_ERROR].rstrip(".")
