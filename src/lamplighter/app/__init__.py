"""The public face, put together: an app holds a store and jobs, a job can be enqueued, a handle follows it."""

from __future__ import annotations

from lamplighter.app.app import App
from lamplighter.app.handle import Handle
from lamplighter.app.job import AsyncJob, Job, SyncJob
from lamplighter.app.why import Blocker

__all__ = ["App", "AsyncJob", "Blocker", "Handle", "Job", "SyncJob"]
