"""Traces, taken by OpenTelemetry's own SDK: who enqueued what ran, and nothing where nobody traces."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import SpanKind, StatusCode
from tests.engine import process_jobs
from tests.observe.spans import Seen, traced

from lamplighter import App, Ctx, JobFields, chain, exponential, group, never
from lamplighter.core.config import Settings
from lamplighter.core.errors import TransactionUnsupported
from lamplighter.core.model import Where
from lamplighter.demo.world import World
from lamplighter.integrations.answer import ask
from lamplighter.observe import tracing
from lamplighter.observe.trace_id import current_trace_id

C = Ctx[None]


@pytest.fixture
def seen() -> Iterator[Seen]:
    with traced() as seen:
        yield seen


@pytest.fixture
async def memory_app() -> AsyncIterator[App[None]]:
    async with App("memory://", settings=Settings()) as app:
        yield app


def ids(span: ReadableSpan) -> tuple[int, int]:
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def linked(span: ReadableSpan) -> list[tuple[int, int]]:
    return [(link.context.trace_id, link.context.span_id) for link in span.links]


async def test_a_run_is_a_trace_of_its_own_linked_to_the_span_that_enqueued_it(seen: Seen, app: App[None]) -> None:
    @app.job(queue="mail")
    async def greet(ctx: C, name: str) -> str:
        return f"Good evening, {name}"

    with trace.get_tracer("host").start_as_current_span("request") as request:
        handle = await greet.using(tenant="t-1").enqueue("Ada")
    async with app.worker():
        assert await handle.result(timeout=30) == "Good evening, Ada"
    [sent], [run] = seen.named("send mail"), seen.named("process mail")
    assert sent.parent is not None
    assert sent.parent.span_id == request.get_span_context().span_id
    assert (run.parent, linked(run)) == (None, [ids(sent)])
    assert ids(run)[0] != ids(sent)[0]
    assert (sent.kind, run.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert dict(sent.attributes or {}) == {
        "messaging.system": "lamplighter",
        "messaging.operation.type": "send",
        "messaging.operation.name": "send",
        "messaging.destination.name": "mail",
        "messaging.message.id": handle.id,
    }
    assert dict(run.attributes or {}) == {
        "messaging.system": "lamplighter",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": "mail",
        "messaging.message.id": handle.id,
        "lamplighter.job.name": "greet",
        "lamplighter.job.attempt": 1,
        "lamplighter.tenant": "t-1",
        "lamplighter.outcome": "done",
    }


async def test_every_attempt_is_linked_to_what_enqueued_the_job(seen: Seen, memory_app: App[None]) -> None:
    @memory_app.job(retry=exponential(first=0, attempts=3))
    async def index(ctx: C) -> None:
        if ctx.attempt < 3:
            raise ValueError("hunter2")

    handle = await index.enqueue()
    async with memory_app.worker():
        await handle.result(timeout=60)
    [sent], runs = seen.named("send default"), seen.named("process default")
    assert [linked(run) for run in runs] == [[ids(sent)]] * 3
    assert len({ids(run)[0] for run in runs}) == 3
    assert [(run.attributes or {})["lamplighter.job.attempt"] for run in runs] == [1, 2, 3]
    assert [run.status.status_code for run in runs] == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    assert (runs[0].attributes or {})["error.type"] == "ValueError"
    assert not [span for span in seen.spans if "hunter2" in span.to_json()]


async def test_a_job_that_the_sampler_passed_over_is_passed_over_in_every_attempt_and_in_what_it_enqueues(
    memory_app: App[None],
) -> None:
    @memory_app.job()
    async def child(ctx: C) -> str:
        return trace.format_trace_id(trace.get_current_span().get_span_context().trace_id)

    @memory_app.job(retry=exponential(first=0, factor=1, cap=0, attempts=2))
    async def parent(ctx: C) -> str:
        if ctx.attempt == 1:
            raise ValueError("once more")
        return await (await child.enqueue()).result(timeout=30)

    with traced(ParentBased(ALWAYS_OFF)):
        handle = await parent.enqueue()
    with traced() as seen:  # a worker that would keep everything
        async with memory_app.worker():
            carried = (await memory_app.store.page(Where(ids=(handle.id,)), limit=1))[0].trace
            assert carried is not None
            assert await handle.result(timeout=30) == carried.split("-")[1]
    assert seen.spans == []


async def test_what_a_job_enqueues_is_linked_to_its_run(seen: Seen, memory_app: App[None]) -> None:
    @memory_app.job(queue="pages")
    def read(ctx: C, page: int) -> None: ...

    @memory_app.job(queue="books")
    async def index(ctx: C) -> None:
        await memory_app.enqueue(read.draft(page) for page in range(3))
        await memory_app.enqueue_flow(group([read.draft(3)], then=read.draft(4)))

    await index.enqueue()
    await memory_app.work(until_idle=True)
    [book], pages, many = seen.named("process books"), seen.named("process pages"), seen.named("send pages")
    assert [span.parent is not None and span.parent.span_id for span in many] == [ids(book)[1]] * 2
    assert [(span.attributes or {})["messaging.batch.message_count"] for span in many] == [3, 2]
    assert sorted(linked(page) for page in pages) == sorted([[ids(many[0])]] * 3 + [[ids(many[1])]] * 2)


async def test_a_job_enqueued_in_a_transaction_or_an_outbox_carries_its_trace(seen: Seen, sqlite: str) -> None:
    import sqlite3

    async with App(sqlite, settings=Settings()) as app:

        @app.job()
        async def index(ctx: C) -> None: ...

        [job], _ = app.prepare([index.draft()])
        with sqlite3.connect(sqlite.removeprefix("sqlite:///")) as tx:
            [handle] = app.enqueue_within(tx, [index.draft()])
            last = app.enqueue_flow_within(tx, chain(index.draft(), index.draft()))
        tx.close()
        views = [await handle.view(), await last.view()]
    traces = [tracing._traceparent(span.context) for span in seen.named("send default") if span.context]
    assert [job.trace, *(view.trace for view in views)] == traces


async def test_log_lines_tell_the_trace_in_every_kind_of_job(seen: Seen, url: str) -> None:
    told: list[str | None] = []
    async with App(url, settings=Settings()) as app:

        @app.job()
        async def on_loop(ctx: C) -> None:
            record = logging.LogRecord("tests", logging.INFO, "", 0, "", None, None)
            JobFields().filter(record)
            told.append(vars(record)["trace_id"])

        @app.job()
        def in_thread(ctx: C) -> None:
            told.append(current_trace_id())

        app._registry.add(process_jobs.trace_here.definition)
        for job in (on_loop, in_thread):
            await job.enqueue()
            await app.work(until_idle=True)
        [handle] = await app.enqueue([process_jobs.trace_here.draft()])
        async with app.worker():
            told.append(await handle.result(timeout=60))
    runs = seen.named("process default")
    assert told == [f"{ids(run)[0]:032x}" for run in runs]
    assert len(runs) == 3


async def test_what_the_store_is_asked_below_a_span_has_one(seen: Seen, app: App[None]) -> None:
    @app.job()
    async def index(ctx: C) -> None:
        await app.store.stats()

    handle = await index.enqueue()
    with trace.get_tracer("host").start_as_current_span("main"):
        async with app.worker():
            pass
    async with app.worker():
        await handle.result(timeout=30)
    [sent], [run] = seen.named("send default"), seen.named("process default")
    [added], [stats] = seen.named("store add"), seen.named("store stats")
    assert [span.parent and span.parent.span_id for span in (added, stats)] == [ids(sent)[1], ids(run)[1]]
    assert added.kind is SpanKind.CLIENT
    system = (added.attributes or {})["db.system.name"]
    assert system in {"memory", "sqlite", "postgresql", "redis"}
    assert not seen.named("store claim"), "what workers ask all the time is in no trace"


async def test_a_call_of_the_store_that_fails_says_so(seen: Seen, memory_app: App[None]) -> None:
    now = memory_app.clock()
    with trace.get_tracer("host").start_as_current_span("request"), pytest.raises(TransactionUnsupported):
        memory_app.store.add_within(object(), [], now=now)
    [failed] = seen.named("store add")
    told = (failed.status.status_code, (failed.attributes or {})["error.type"])
    assert told == (StatusCode.ERROR, "TransactionUnsupported")


async def test_a_request_of_the_integrations_tells_its_host_and_no_more(seen: Seen, world: World) -> None:
    async with httpx2.AsyncClient() as http:
        with trace.get_tracer("host").start_as_current_span("request"):
            await ask(http, "POST", f"{world.url}/no/hunter2?code=hunter2", within=30)
        await ask(http, "POST", f"{world.url}/no", within=30)
    [asked] = seen.named("POST")
    told = dict(asked.attributes or {})
    assert told.pop("server.port")
    assert told == {
        "http.request.method": "POST",
        "server.address": "127.0.0.1",
        "url.scheme": "http",
        "http.response.status_code": 404,
        "error.type": "404",
    }
    assert "hunter2" not in asked.to_json()


async def test_a_request_that_gets_no_answer_says_why(seen: Seen) -> None:
    with (
        pytest.raises(KeyError),
        trace.get_tracer("host").start_as_current_span("request"),
        tracing.http_request("GET", "https://example.com/"),
    ):
        raise KeyError
    [asked] = seen.named("GET")
    assert ((asked.attributes or {})["server.port"], (asked.attributes or {})["error.type"]) == (443, "KeyError")


async def test_where_nobody_traces_jobs_carry_nothing(memory_app: App[None]) -> None:
    @memory_app.job(retry=never)
    async def index(ctx: C) -> None:
        assert current_trace_id() is None

    handle = await index.enqueue()
    await memory_app.work(until_idle=True)
    view = await handle.view()
    assert (view.state.value, view.trace) == ("done", None)
    assert (tracing.tracer(), tracing.current_trace(), tracing.is_sampled()) == (None, None, False)


def test_nothing_of_opentelemetry_is_imported_where_nobody_traces() -> None:
    code = """
import asyncio, sys
from lamplighter import App, Ctx

async def main():
    async with App("memory://") as app:
        @app.job()
        async def index(ctx: Ctx[None]) -> None: ...
        await index.enqueue()
        await app.work(until_idle=True)

asyncio.run(main())
print([name for name in sys.modules if name.startswith(("opentelemetry", "structlog"))])
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "[]\n"


def test_a_trace_that_is_none_is_no_link() -> None:
    assert tracing._read("00-" + "0" * 32 + "-" + "0" * 16 + "-01") is None
    assert tracing._read("nonsense") is None
