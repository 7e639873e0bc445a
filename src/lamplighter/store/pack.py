"""Batches as one JSON value, for databases that take them apart themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

Row = tuple[Any, ...]

_encode = msgspec.json.Encoder().encode


def pack(rows: Iterable[str] | Sequence[Row]) -> str:
    """Ids, or rows of values, as JSON. NUL becomes ␀: SQLite would cut text off there, PostgreSQL takes none."""
    packed = _encode(rows)
    if b"\\u0000" in packed:
        packed = _encode([_without_nul(row) for row in rows])
    return packed.decode()


def _without_nul(row: str | Row) -> str | Row:
    if isinstance(row, str):
        return row.replace("\0", "␀")
    return tuple(cell.replace("\0", "␀") if isinstance(cell, str) else cell for cell in row)
