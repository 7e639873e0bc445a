"""The fields of the job that runs, for hosts that log in their own way."""

from __future__ import annotations

import io
import logging

import structlog

from lamplighter import App, Ctx, JobFields, add_job_fields
from lamplighter.core.config import Settings


async def test_a_host_names_the_fields_in_its_own_format() -> None:
    shown = io.StringIO()
    handler = logging.StreamHandler(shown)
    handler.setFormatter(logging.Formatter("%(job)s %(attempt)s %(tenant)s %(trace_id)s %(message)s"))
    handler.addFilter(JobFields())
    log = logging.getLogger("tests.fields")
    log.addHandler(handler)
    async with App("memory://", settings=Settings()) as app:

        @app.job()
        async def index(ctx: Ctx[None]) -> None:
            log.warning("inside")

        await index.using(tenant="t-1").enqueue()
        await app.work(until_idle=True)
    log.warning("outside")
    log.removeHandler(handler)
    assert shown.getvalue().splitlines() == ["index 1 t-1 None inside", "None None None None outside"]


async def test_a_host_has_them_from_a_processor_of_structlog() -> None:
    seen: list[structlog.typing.EventDict] = []

    def see(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        seen.append(dict(event))
        raise structlog.DropEvent

    log = structlog.wrap_logger(None, processors=[add_job_fields, see])
    async with App("memory://", settings=Settings()) as app:

        @app.job()
        def index(ctx: Ctx[None]) -> None:
            log.info("inside", queue="its own")

        handle = await index.enqueue()
        await app.work(until_idle=True)
    log.info("outside")
    inside, outside = seen
    assert (inside["job_id"], inside["queue"], "tenant" in inside) == (handle.id, "its own", False)
    assert outside == {"event": "outside"}
