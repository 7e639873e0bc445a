"""Small named facts. Some of them are rules, which count at once."""

from __future__ import annotations

from lamplighter.core.clock import maybe_from_us, maybe_to_us
from lamplighter.core.flow_control import LIMIT, QUEUE
from lamplighter.core.model import Record
from lamplighter.store.sqlite import full, gates
from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.queries import SQL


def put(connection: Connection, record: Record) -> None:
    """See `base.Store.put`."""
    row = (record.kind, record.name, record.value, maybe_to_us(record.expires_at))
    old = _text(connection, record.kind, record.name)
    connection.execute(SQL["put"], row)
    _changed(connection, record.kind, record.name, old, record)


def drop(connection: Connection, kind: str, name: str) -> None:
    """See `base.Store.drop`."""
    old = _text(connection, kind, name)
    connection.execute(SQL["drop"], (kind, name))
    _changed(connection, kind, name, old, None)


def records(connection: Connection, kind: str, now: int) -> list[Record]:
    """See `base.Store.records`."""
    return [
        Record(kind=kind, name=name, value=value, expires_at=maybe_from_us(expires))
        for kind, name, value, expires in connection.execute(SQL["records"], (kind, now))
    ]


def _changed(connection: Connection, kind: str, name: str, old: str | None, new: Record | None) -> None:
    if kind == LIMIT:
        gates.limit_changed(connection, name)
    elif kind == QUEUE:
        full.queue_changed(connection, name, old, new)


def _text(connection: Connection, kind: str, name: str) -> str | None:
    """What was written under this name; only of the rules of queues it is asked."""
    if kind != QUEUE:
        return None
    found = connection.execute(SQL["record"], (kind, name)).fetchone()
    return found and str(found[0])
