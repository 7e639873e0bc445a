"""docs/reference/metrics.md, as the registry has it: `python -m tests.observe.metric_rows` writes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client.core import Metric

from lamplighter.observe import families
from lamplighter.observe.meter import Meter
from lamplighter.observe.sight import Integrating, Sight

PAGE = Path(__file__).parents[2] / "docs/reference/metrics.md"
EVERYTHING = Sight(
    now=datetime(2030, 1, 1, tzinfo=UTC),
    stats=(),
    gates=(),
    workers=0,
    integrating=Integrating(by_status={}, expiry=None, down={}),
    alerts={},
)


def text() -> str:
    """The page."""
    return "\n".join(
        [
            "# Metrics",
            "[Watch with Prometheus](../howto/watch-with-prometheus.md) says how to get them, and which add up.",
            "",
            "## What a process did: add it up",
            *_table(families.of_process(Meter(tenants=1))),
            "",
            "`lamplighter_tenant_attempts_total` is there with the setting `metrics_tenants`. Processes also show",
            "`process_cpu_seconds_total`, `process_resident_memory_bytes` and the like, where the system tells them.",
            "",
            "| outcome of a refresh | what it came to |",
            "|---|---|",
            *(f"| `{outcome}` | {what} |" for outcome, what in OUTCOMES.items()),
            "",
            "Messages are `sent`, `retried` (later), `refused` (for good, by who was to get them) or `given_up`.",
            "",
            "## What the store shows, from web processes: take one",
            *_table(families.of_store(EVERYTHING)),
            "",
        ]
    )


OUTCOMES = {
    "refreshed": "there are new tokens",
    "fresh": "somebody else had just refreshed it",
    "adopted": "somebody else had stored newer tokens meanwhile",
    "busy": "somebody else is refreshing it",
    "waited": "the provider is not asked more often than it bears: later",
    "shut": "the provider is down, and left alone: later",
    "down": "the provider did not answer, or said that it cannot",
    "revoked": "the grant was withdrawn",
    "gone": "there is nothing to refresh",
    "misconfigured": "the provider refused us: our own settings are wrong",
    "bad_answer": "the provider's answer makes no sense",
    "error": "anything else, such as a database that failed",
}


def _table(found: Iterable[Metric]) -> Iterator[str]:
    yield "| metric | type | labels | what |"
    yield "|---|---|---|---|"
    for one in found:
        suffix = "_total" if one.type == "counter" else ""
        labels = ", ".join(f"`{label}`" for label in one._labelnames)  # type: ignore[attr-defined]
        yield f"| `{one.name}{suffix}` | {one.type} | {labels} | {one.documentation} |"


if __name__ == "__main__":
    PAGE.write_text(text())
