"""Marks: the windows that are to be added up anew. Whoever takes one and dies gives it back, with its transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, select, tuple_

from lamplighter.core.clock import to_us
from lamplighter.families.analytics.statements import MARK
from lamplighter.families.analytics.windows import Resolution, Window
from lamplighter.integrations.storage.analytics_tables import rollup_marks

_mark = rollup_marks.c
_KEY = tuple_(_mark.resolution, _mark.tenant_id, _mark.metric, _mark.begins_at)


class Marked(NamedTuple):
    """A window of a metric and tenant."""

    metric: str
    tenant_id: str
    resolution: Resolution
    begins_at: int
    ends_at: int

    @property
    def window(self) -> Window:
        """From when to when."""
        return Window(self.begins_at, self.ends_at)


def mark(connection: Connection, windows: Iterable[Marked], now: datetime) -> int:
    """Have them added up anew; in order, or two that mark the same would wait for each other. Returns how many."""
    at = to_us(now)
    rows = [one._asdict() | {"marked_at": at} for one in sorted(set(windows))]
    if rows:
        MARK.run(connection, rows)
    return len(rows)


def take(connection: Connection, resolution: Resolution, limit: int) -> list[Marked]:
    """Take some, those of one tenant side by side.

    They are deleted before anybody reads what is in them: so what comes after that marks its window again, and is not
    lost, whoever else adds up at the same time.
    """
    some = (
        select(_mark.resolution, _mark.tenant_id, _mark.metric, _mark.begins_at)
        .where(_mark.resolution == resolution)
        .order_by(_mark.tenant_id, _mark.metric, _mark.begins_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken = (
        delete(rollup_marks)
        .where(_KEY.in_(some))
        .returning(_mark.metric, _mark.tenant_id, _mark.resolution, _mark.begins_at, _mark.ends_at)
    )
    return [Marked(*row) for row in connection.execute(taken)]
