"""Spans for OpenTelemetry, where the process has set up its SDK; elsewhere nothing is made, and nothing imported.

What is enqueued carries the context of the span that enqueued it, and each attempt is a trace of its own with a link to
that: a job may run days later, a hundred times, or beside a million others, in a trace that no tool could show.
Attributes are those of the semantic conventions for messaging, databases and HTTP, where these have one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from msgspec.structs import replace

from lamplighter.core.model import Claimed, NewJob, Outcome

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, SpanContext, Tracer, TracerProvider

SYSTEM = "lamplighter"
HTTP_PORTS = {"https": 443, "http": 80}
ALIKE = 256  # traces of which it is known what they say: jobs that were enqueued together carry the same

_known: list[tuple[TracerProvider, Tracer]] = []


def tracer() -> Tracer | None:
    """Where spans go; None where nobody takes them."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    provider = api.get_tracer_provider()
    if _known and _known[-1][0] is provider:
        return _known[-1][1]
    if isinstance(provider, api.ProxyTracerProvider | api.NoOpTracerProvider):
        return None
    found: Tracer = provider.get_tracer("lamplighter", version("lamplighter"))
    _known[:] = [(provider, found)]
    return found


def current_trace() -> str | None:
    """The span that is current, as W3C Trace Context writes it in `traceparent`."""
    api = sys.modules.get("opentelemetry.trace")
    return None if api is None else _traceparent(api.get_current_span().get_span_context())


def is_sampled() -> bool:
    """Whether a span is current that is recorded: what is below it is worth telling."""
    api = sys.modules.get("opentelemetry.trace")
    return api is not None and bool(api.get_current_span().is_recording())


class Sending:
    """A span around the enqueueing of jobs; these carry its context."""

    def __init__(self) -> None:
        self._tracer = tracer()
        self._scope: Any = None
        self._trace: str | None = None
        self._sent = 0

    def __enter__(self) -> Self:
        if self._tracer is not None:
            from opentelemetry.trace import SpanKind  # noqa: PLC0415 - it is there: somebody traces

            self._scope = self._tracer.start_as_current_span(
                "send",
                kind=SpanKind.PRODUCER,
                attributes=_operation("send"),
                record_exception=False,
                set_status_on_exception=False,
            )
            span: Span = self._scope.__enter__()
            self._span = span
            self._trace = _traceparent(span.get_span_context())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._scope is not None:
            if error is not None:
                _failed(self._span, type(error).__qualname__)
            self._scope.__exit__(kind, error, trace)

    def carried(self, jobs: list[NewJob]) -> list[NewJob]:
        """The jobs, with what they are to carry."""
        if self._trace is None:
            return jobs
        self._describe(jobs)
        return [replace(job, trace=self._trace) for job in jobs]

    def _describe(self, jobs: list[NewJob]) -> None:
        self._sent += len(jobs)
        queues = {job.queue for job in jobs}
        if len(queues) == 1:
            [queue] = queues
            self._span.update_name(f"send {queue}")
            self._span.set_attribute("messaging.destination.name", queue)
        if self._sent == 1:
            self._span.set_attribute("messaging.message.id", jobs[0].id)
        else:
            self._span.set_attribute("messaging.batch.message_count", self._sent)


class Attempt:
    """The span of one attempt: a trace of its own, with a link to what enqueued the job. It may be none."""

    def __init__(self, span: Span | None) -> None:
        self._span = span

    def ended(self, outcome: Outcome) -> None:
        """Tell how. Texts of exceptions are kept with the job, and are not for everybody who sees traces."""
        if self._span is None:
            return
        self._span.set_attribute("lamplighter.outcome", outcome.verb)
        if outcome.failure is not None:
            _failed(self._span, outcome.failure.error)


@contextmanager
def attempt(tracer: Tracer, job: Claimed, number: int) -> Iterator[Attempt]:
    """A span around it, current in the context of its handler: unless the sampler passed over what enqueued the job.
    Then it passes over its attempts too."""
    from opentelemetry.context import Context  # noqa: PLC0415
    from opentelemetry.trace import Link, SpanKind  # noqa: PLC0415

    sent = None if job.trace is None else _read(job.trace)
    if sent is not None and not sent.trace_flags.sampled:
        go_on_in(job.trace)
        yield Attempt(None)
        return
    told: dict[str, Any] = {
        **_operation("process"),
        "messaging.destination.name": job.queue,
        "messaging.message.id": job.id,
        "lamplighter.job.name": job.name,
        "lamplighter.job.attempt": number,
    }
    if job.tenant is not None:
        told["lamplighter.tenant"] = job.tenant
    with tracer.start_as_current_span(
        f"process {job.queue}",
        context=Context(),
        kind=SpanKind.CONSUMER,
        links=[] if sent is None else [Link(sent)],
        attributes=told,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield Attempt(span)


@contextmanager
def http_request(method: str, url: str) -> Iterator[HttpSpan]:
    """A span around a request of ours, if it is in another. Of its URL it tells no more than the host: a path may be as
    secret as a query."""
    found = tracer() if is_sampled() else None
    if found is None:
        yield HttpSpan(None)
        return
    from opentelemetry.trace import SpanKind  # noqa: PLC0415

    parts = urlsplit(url)
    told: dict[str, Any] = {
        "http.request.method": method,
        "server.address": parts.hostname or "",
        "server.port": parts.port or HTTP_PORTS.get(parts.scheme, 0),
        "url.scheme": parts.scheme,
    }
    with found.start_as_current_span(
        method, kind=SpanKind.CLIENT, attributes=told, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield HttpSpan(span)
        except BaseException as error:
            _failed(span, type(error).__qualname__)
            raise


class HttpSpan:
    """A request that is under way."""

    def __init__(self, span: Span | None) -> None:
        self._span = span

    def answered(self, status: int) -> None:
        """There is an answer."""
        if self._span is not None:
            self._span.set_attribute("http.response.status_code", status)
            if status >= 400:
                _failed(self._span, str(status))


@contextmanager
def store_call(tracer: Tracer, system: str, operation: str) -> Iterator[None]:
    """A span around a call of a store."""
    from opentelemetry.trace import SpanKind  # noqa: PLC0415

    with tracer.start_as_current_span(
        f"store {operation}",
        kind=SpanKind.CLIENT,
        attributes={"db.system.name": system, "db.operation.name": operation},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except BaseException as error:
            _failed(span, type(error).__qualname__)
            raise


def leave_spans() -> None:
    """Be below no span from here on, in this context: a loop that never ends is no part of what started it."""
    if "opentelemetry.trace" in sys.modules:
        from opentelemetry import context as contexts  # noqa: PLC0415

        contexts.attach(contexts.Context())


def go_on_in(trace: str | None) -> None:
    """Have the span that a process was started in be the current one here, if somebody traces here too."""
    if trace is None or tracer() is None or (context := _below(trace)) is None:
        return
    from opentelemetry import context as contexts  # noqa: PLC0415

    contexts.attach(context)


@lru_cache(ALIKE)
def _below(trace: str) -> Context | None:
    from opentelemetry.trace import NonRecordingSpan, set_span_in_context  # noqa: PLC0415

    found = _read(trace)
    return None if found is None else set_span_in_context(NonRecordingSpan(found))


def _operation(kind: str) -> dict[str, Any]:
    return {"messaging.system": SYSTEM, "messaging.operation.type": kind, "messaging.operation.name": kind}


def _failed(span: Span, kind: str) -> None:
    from opentelemetry.trace import StatusCode  # noqa: PLC0415

    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)


def _traceparent(context: SpanContext) -> str | None:
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 255:02x}"


@lru_cache(ALIKE)
def _read(trace: str) -> SpanContext | None:
    from opentelemetry.trace import SpanContext, TraceFlags  # noqa: PLC0415

    try:
        _, trace_id, span_id, flags = trace.split("-")
        found = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    except ValueError:
        return None
    return found if found.is_valid else None
