"""Lamplighter: background jobs for multi-tenant back ends, on an embedded SQLite file."""

from __future__ import annotations

from importlib.metadata import version as _version

from lamplighter.app import App, Blocker, Handle, Job
from lamplighter.core.cron import Misfire
from lamplighter.core.draft import Draft, Options
from lamplighter.core.errors import (
    BadArguments,
    BadCron,
    ConfigError,
    JobCancelled,
    JobFailed,
    LamplighterError,
    NoResult,
    NotScheduledHere,
    QueueFull,
    ResultTimeout,
    StoreDamaged,
    StoreError,
    StoreUnavailable,
    TooLarge,
    TransactionUnsupported,
    UnknownJob,
    UnknownSchedule,
    UnknownWorker,
)
from lamplighter.core.events import Event
from lamplighter.core.flow import Flow, chain, group
from lamplighter.core.limit import Breaker, Rate
from lamplighter.core.model import Children, Failure, JobView, Priority, State
from lamplighter.core.retry import Attempt, RetryPolicy, exponential, fixed, linear, never
from lamplighter.core.secret import Secret
from lamplighter.core.verdict import Cancel, Discard, Retry, Snooze
from lamplighter.engine.children import Child
from lamplighter.engine.context import Ctx
from lamplighter.observe.fields import JobFields, add_job_fields
from lamplighter.observe.log import set_up_logging

__version__ = _version("lamplighter")

__all__ = [
    "App",
    "Attempt",
    "BadArguments",
    "BadCron",
    "Blocker",
    "Breaker",
    "Cancel",
    "Child",
    "Children",
    "ConfigError",
    "Ctx",
    "Discard",
    "Draft",
    "Event",
    "Failure",
    "Flow",
    "Handle",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobFields",
    "JobView",
    "LamplighterError",
    "Misfire",
    "NoResult",
    "NotScheduledHere",
    "Options",
    "Priority",
    "QueueFull",
    "Rate",
    "ResultTimeout",
    "Retry",
    "RetryPolicy",
    "Secret",
    "Snooze",
    "State",
    "StoreDamaged",
    "StoreError",
    "StoreUnavailable",
    "TooLarge",
    "TransactionUnsupported",
    "UnknownJob",
    "UnknownSchedule",
    "UnknownWorker",
    "__version__",
    "add_job_fields",
    "chain",
    "exponential",
    "fixed",
    "group",
    "linear",
    "never",
    "set_up_logging",
]
