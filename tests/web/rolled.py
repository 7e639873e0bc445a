"""A site or a board whose app adds things up, with something to show."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from tests.families.running import TENANT

from lamplighter import App
from lamplighter.core.clock import to_us
from lamplighter.families.analytics.family import AnalyticsFamily
from lamplighter.families.analytics.sketch import bucket_of
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.measuring.measure import Measurement, put

TOOK = (0.5, 1.0, 2.0)  # seconds, of the jobs of a tenant
FAILED = 2


@asynccontextmanager
async def rolled_up(app: App[Any], tokens: TokenFamily, *, tenant: str = TENANT) -> AsyncIterator[AnalyticsFamily]:
    """Jobs of that tenant ended yesterday: some well, some not."""
    analytics, database = AnalyticsFamily(app, tokens), tokens.service.database
    at = to_us(app.clock() - timedelta(days=1))
    jobs = [Measurement("jobs.done", f"{tenant}-{n}", tenant, at, took, bucket_of(took)) for n, took in enumerate(TOOK)]
    jobs += [Measurement("jobs.failed", f"{tenant}-{n}", tenant, at) for n in range(FAILED)]
    async with analytics._open():
        await database.write(lambda connection: put(connection, jobs, app.clock()))
        await analytics.roll_up()
        yield analytics
