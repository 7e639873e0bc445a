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


def _without_nul(value: Any) -> Any:
    """Also in a row that is a value of a row, such as why an attempt failed."""
    if isinstance(value, str):
        return value.replace("\0", "␀")
    return tuple(_without_nul(cell) for cell in value) if isinstance(value, tuple) else value
