"""The trace that is under way here, as far as anybody traces."""

from __future__ import annotations

import sys
from contextvars import ContextVar

CARRIED: ContextVar[str | None] = ContextVar("lamplighter_trace", default=None)
"""The `traceparent` that a process of a job was started in, where nobody need have set up OpenTelemetry."""


def current_trace_id() -> str | None:
    """32 hexadecimal digits, or None. Nothing is imported: who traces has imported OpenTelemetry already."""
    api = sys.modules.get("opentelemetry.trace")
    if api is not None and (context := api.get_current_span().get_span_context()).is_valid:
        return f"{context.trace_id:032x}"
    carried = CARRIED.get()
    return None if carried is None else carried.split("-")[1]
