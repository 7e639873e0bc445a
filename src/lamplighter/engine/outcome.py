"""From the way a handler ended to the outcome that the store records."""

from __future__ import annotations

import asyncio
import logging
import traceback
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from lamplighter.core.clock import Clock
from lamplighter.core.definition import Definition
from lamplighter.core.model import Claimed, Failure, FailureKind, Outcome, Verb
from lamplighter.core.retry import Attempt
from lamplighter.core.verdict import Cancel, Discard, Retry, Snooze

LONGEST_MESSAGE = 2_000  # characters
LONGEST_TRACEBACK = 8_000
UNKNOWN_AGAIN = timedelta(seconds=30)
UNKNOWN_AT_MOST = timedelta(days=1)
UNKNOWN_CLAIMS = 100  # at least: a job that was scheduled days ago must not fail where it first meets an older worker
LONGEST_WAIT = timedelta(days=3650)  # a policy's or a verdict's: past it the calendar may end

_log = logging.getLogger("lamplighter.jobs")


class Crashed(Exception):
    """The process that a handler ran in ended without an answer."""


class Kept(Struct, frozen=True):
    """How long ended jobs are kept where their definition does not say."""

    done: timedelta = timedelta(days=7)
    failed: timedelta = timedelta(days=30)


class Verdicts:
    """The outcomes that one attempt can have."""

    __slots__ = ("_clock", "_definition", "_job", "_kept")

    def __init__(self, job: Claimed, definition: Definition | None, kept: Kept, clock: Clock) -> None:
        self._job = job
        self._definition = definition
        self._kept = kept
        self._clock = clock

    def done(self, result: str | None) -> Outcome:
        """The handler returned."""
        keep = self._definition.keep_done if self._definition else None
        keep_until = self._clock() + (self._kept.done if keep is None else keep)
        return Outcome(id=self._job.id, fence=self._job.fence, verb="done", result=result, keep_until=keep_until)

    def raised(self, error: BaseException) -> Outcome:
        """The handler raised: one of the four verdicts, or a failure that its policy judges."""
        try:
            return self._judged(error)
        except Exception as mistake:  # noqa: BLE001 - such as Snooze("1h"): a job without an outcome would run for ever
            return self._failed(mistake)

    def _judged(self, error: BaseException) -> Outcome:
        match error:
            case Snooze():
                return self._outcome("snooze", run_at=self._in(error.delay), reason=message_of(error))
            case Cancel():
                return self._ended("cancel", message_of(error))
            case Discard():
                return self._failed(error)
            case Retry(after=timedelta() as after):
                return self._again(error, after) if self._policy_allows(error) else self._failed(error)
            case _:
                delay = self._delay(error)
                return self._failed(error) if delay is None else self._again(error, delay)

    def stopped(self, asked: Literal["cancel", "release"] | None, error: asyncio.CancelledError) -> Outcome:
        """The handler was cancelled: by an operator, by its worker's stop, or by something of its own."""
        if asked == "cancel":
            return self._ended("cancel", "asked to stop")
        if asked == "release":
            return self._outcome("release")
        return self.raised(error)

    def hopeless(self, error: Exception) -> Outcome:
        """Its arguments or result can never fit: no attempt would change that."""
        return self._failed(error)

    def unknown(self) -> Outcome:
        """This worker's app has no such job. Another's may (a deploy is under way), so it is given a day."""
        error = no_such_job(self._job.name)
        if self._age >= UNKNOWN_AT_MOST and self._job.fence >= UNKNOWN_CLAIMS:
            return self._failed(error)
        return self._outcome("snooze", run_at=self._clock() + UNKNOWN_AGAIN, failure=self._failure(error))

    @property
    def is_poison(self) -> bool:
        """Whether it was lost with its worker as often as its definition allows."""
        return self._definition is not None and self._job.crashes >= self._definition.max_crashes

    def poison(self) -> Outcome:
        """It is not run again."""
        times = "once" if self._job.crashes == 1 else f"{self._job.crashes} times"
        return self._failed(Crashed(f"its worker vanished {times} while it ran: find out why, then retry it."))

    @property
    def _age(self) -> timedelta:
        return self._clock() - self._job.created_at

    def _policy_allows(self, error: BaseException) -> bool:
        return self._delay(error) is not None

    def _delay(self, error: BaseException) -> timedelta | None:
        if self._definition is None:
            return None
        attempt = Attempt(self._job.failures + 1, self._age, error)
        try:
            delay = self._definition.retry(attempt)
            return None if delay is None else max(timedelta(), delay)
        except Exception:  # noqa: BLE001 - it is the user's
            _log.exception("The retry policy of job %r failed, so the job fails: mend the policy.", self._job.name)
            return None

    def _again(self, error: BaseException, delay: timedelta) -> Outcome:
        return self._outcome("retry", run_at=self._in(delay), failure=self._failure(error))

    def _failed(self, error: BaseException) -> Outcome:
        return self._ended("fail", message_of(error), self._failure(error))

    def _ended(self, verb: Verb, reason: str, failure: Failure | None = None) -> Outcome:
        return self._outcome(verb, reason=reason, failure=failure)

    def _in(self, delay: timedelta) -> datetime:
        return self._clock() + min(delay, LONGEST_WAIT)

    def _outcome(
        self, verb: Verb, *, run_at: datetime | None = None, reason: str | None = None, failure: Failure | None = None
    ) -> Outcome:
        keep = self._definition.keep_failed if self._definition else None
        # also for one that goes on: an operator may have asked it to stop meanwhile, and then it ends here
        keep_until = self._clock() + (self._kept.failed if keep is None else keep)
        return Outcome(
            id=self._job.id,
            fence=self._job.fence,
            verb=verb,
            run_at=run_at,
            reason=reason,
            failure=failure,
            keep_until=keep_until,
        )

    def _failure(self, error: BaseException) -> Failure:
        return Failure(
            fence=self._job.fence,
            at=self._clock(),
            kind=_kind(error),
            error=storable(type(error).__qualname__)[:200],
            message=message_of(error),
            traceback=_traceback(error),
        )


def no_such_job(name: str) -> LookupError:
    """The error of a job that a worker's app does not have: the job is known by it to have been put back."""
    return LookupError(f"this worker's app has no job {name!r}: register it, or cancel the job.")


def _kind(error: BaseException) -> FailureKind:
    if isinstance(error, Crashed):
        return "crash"
    return "timeout" if isinstance(error, TimeoutError) else "error"


def message_of(error: BaseException) -> str:
    """Its text, bounded, and fit to be stored."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an exception that cannot be shown must not lose the job's outcome
        text = "(its message cannot be shown)"
    return storable(text or type(error).__qualname__)[:LONGEST_MESSAGE]


def _traceback(error: BaseException) -> str:
    """The end of it, where the error is, without the frames of this package's own callers."""
    if carried := getattr(error, "remote_traceback", None):
        return storable(str(carried))[-LONGEST_TRACEBACK:]
    try:
        text = "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001 - as above
        return ""
    return storable(text)[-LONGEST_TRACEBACK:]


def storable(text: str) -> str:
    """Without what is no text in a database: lone surrogates and NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "�")
