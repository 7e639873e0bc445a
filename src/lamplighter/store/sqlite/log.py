"""What jobs log."""

from __future__ import annotations

from collections.abc import Sequence

from lamplighter.core.clock import from_us, to_us
from lamplighter.core.log_line import Logged, LogLine, LogPlace
from lamplighter.store.pack import pack
from lamplighter.store.sqlite.batch import run
from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.queries import SQL


def log(connection: Connection, logged: Sequence[Logged], keep: int) -> None:
    """See `base.Store.log`."""
    rows = [
        (one.id, one.fence, line.n, to_us(line.at), line.level, line.message, line.fields)
        for one in logged
        for line in one.lines
    ]
    run(connection, "log", rows=pack(rows))
    run(connection, "trim_log", ids=pack([one.id for one in logged]), keep=keep)


def logs(connection: Connection, job: str, limit: int, after: LogPlace | None) -> list[LogLine]:
    """See `base.Store.logs`."""
    if after is None:
        found = connection.execute(SQL["last_logs"], {"job": job, "limit": limit}).fetchall()[::-1]
    else:
        found = connection.execute(SQL["logs"], {"job": job, "limit": limit, **after._asdict()}).fetchall()
    return [
        LogLine(fence=fence, n=n, at=from_us(at), level=level, message=message, fields=fields)
        for fence, n, at, level, message, fields in found
    ]
