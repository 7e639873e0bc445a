"""Rollups as CSV (RFC 4180): a cell that spreadsheets would take for a formula begins with an apostrophe."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence

from lamplighter.families.analytics.reading import Rolled
from lamplighter.integrations.measuring.metric import FIGURES, Metric

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def harmless(cell: object) -> object:
    """As it is, unless it is a text that begins like a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


async def as_csv(metric: Metric, tenant: str, pages: AsyncIterator[Sequence[Rolled]]) -> AsyncIterator[str]:
    """A header, then a row for each window; some at a time."""
    figures = [figure.name for figure in FIGURES[metric.kind]]
    yield _lines([("metric", "unit", "tenant", "begins_at", "ends_at", "local", *figures)])
    async for windows in pages:
        yield _lines(
            (
                metric.name,
                metric.unit,
                tenant,
                f"{one.begins_at:%Y-%m-%dT%H:%M:%SZ}",
                f"{one.ends_at:%Y-%m-%dT%H:%M:%SZ}",
                one.local,
                *(one.figures[name] for name in figures),
            )
            for one in windows
        )


def _lines(rows: Iterable[Sequence[object]]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerows([harmless(cell) for cell in row] for row in rows)
    return written.getvalue()
