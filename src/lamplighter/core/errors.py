"""Every error that Lamplighter raises on purpose.

LamplighterError
├── ConfigError              a setting, URL or registration is wrong
├── BadArguments             a job's arguments do not fit its function
├── BadCron                  a schedule cannot be read
├── TooLarge                 arguments or a result are larger than a store should hold
├── UnknownJob               nothing with that name or id
├── UnknownSchedule          no schedule of that name
├── NotScheduledHere         the schedule is of another app
├── UnknownWorker            no worker of that name is alive
├── NoResult                 handle.result() has no value to give
│   ├── JobFailed            the job failed for good
│   ├── JobCancelled         the job was cancelled
│   └── ResultTimeout        the job has not ended yet
└── StoreError
    ├── QueueFull            a queue holds as many waiting jobs as its rule allows
    ├── StoreUnavailable     locked, full, down: the same call may succeed later
    ├── StoreDamaged         not a database, corrupt, or of another schema version
    └── TransactionUnsupported   `tx` is not a transaction this store can join
"""

from __future__ import annotations


class LamplighterError(Exception):
    """Base of every error here; its text is one sentence that says what to do."""


class ConfigError(LamplighterError):
    """A setting, a URL or a registration is wrong."""


class BadArguments(LamplighterError):
    """A job's arguments do not fit the signature of its function."""


class BadCron(LamplighterError):
    """A cron expression, interval or time zone cannot be read."""


class TooLarge(LamplighterError):
    """Arguments or a result are larger than a store should hold."""


class UnknownJob(LamplighterError):
    """No job has that name or id."""


class UnknownSchedule(LamplighterError):
    """No schedule has that name."""


class NotScheduledHere(LamplighterError):
    """The schedule is there, but its job is another app's."""


class UnknownWorker(LamplighterError):
    """No worker of that name is alive."""


class NoResult(LamplighterError):
    """A job has no result to give."""


class JobFailed(NoResult):
    """The job failed for good; the message holds its last error."""


class JobCancelled(NoResult):
    """The job was cancelled before it could finish."""


class ResultTimeout(NoResult):
    """The job had not ended when the wait was over; it goes on all the same."""


class StoreError(LamplighterError):
    """The store could not do what it was asked."""


class QueueFull(StoreError):
    """A queue holds as many waiting jobs as its rule allows: nothing of the batch was added."""


class StoreUnavailable(StoreError):
    """The store is locked, full or out of reach: the same call may succeed later."""


class StoreDamaged(StoreError):
    """The store is not a database, is corrupt, or has another schema version."""


class TransactionUnsupported(StoreError):
    """The object given as `tx` is not a transaction that this store can join."""
