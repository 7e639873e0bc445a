"""Batches go into SQLite as one JSON value, and come out as one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.queries import SQL

Row = tuple[Any, ...]

_encode = msgspec.json.Encoder().encode


def pack(rows: Iterable[str] | Sequence[Row]) -> str:
    """Ids, or rows of values, as JSON."""
    packed = _encode(rows)
    if b"\\u0000" in packed:  # SQLite cuts text from JSON off at a NUL: one key could be taken for another
        packed = _encode([_without_nul(row) for row in rows])
    return packed.decode()


def run(connection: Connection, name: str, **binds: object) -> int:
    """Execute a statement; returns how many rows it changed."""
    return connection.execute(SQL[name], binds).rowcount


def value(connection: Connection, name: str, **binds: object) -> Any:
    """The first value that a statement gives."""
    return connection.execute(SQL[name], binds).fetchone()[0]


def unpack(connection: Connection, name: str, **binds: object) -> list[Any]:
    """The rows of a statement that gives them as one JSON array."""
    rows: list[Any] = json.loads(value(connection, name, **binds))
    return rows


def _without_nul(row: str | Row) -> str | Row:
    if isinstance(row, str):
        return row.replace("\0", "␀")
    return tuple(cell.replace("\0", "␀") if isinstance(cell, str) else cell for cell in row)
