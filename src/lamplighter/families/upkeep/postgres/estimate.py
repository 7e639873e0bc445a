"""How large a table or index would be if it were fresh: from what PostgreSQL's own samples tell of its columns.

The layout of pages, rows and index entries is PostgreSQL's (storage-page-layout, btree internals). Nothing is read but
statistics, so this costs the same for any size; where pgstattuple is installed, it knows better.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

BLOCK = 8192
PAGE_HEADER = 24
POINTER = 4  # to a row or an entry, in its page
ROW_HEADER = 23
ENTRY_HEADER = 8
OF_BTREE = 16  # bytes at the end of each page
TID = 6  # one row in a list of those that have the same key
MOST_IN_LIST = 100  # rows that share one key in an index: it is written once for so many
INNER = 1.01  # with the pages above the leaves

_ALIGN = {"c": 1, "s": 2, "i": 4, "d": 8}


class Column(NamedTuple):
    """A column: its fixed length or -1, how it is aligned, its average width, and the share of rows without it."""

    length: int
    align: str
    width: float
    nulls: float


IndexColumn: TypeAlias = tuple[Column, float]
"""With how many distinct values it has; negative: the share of rows that that is."""


def table_bytes(rows: float, columns: Sequence[Column], *, fillfactor: int = 100, block: int = BLOCK) -> int:
    """Of a fresh table with so many rows."""
    row = _up(_bitmap(ROW_HEADER, columns)) + _up(data_width(columns)) + POINTER
    in_page = max(1, math.floor((block - PAGE_HEADER) * fillfactor / 100 / row))
    return math.ceil(rows / in_page) * block


def index_bytes(
    rows: float, columns: Sequence[IndexColumn], *, fillfactor: int = 90, unique: bool = False, block: int = BLOCK
) -> int:
    """Of a fresh B-tree with so many entries."""
    if not rows:
        return block
    plain = [column for column, _ in columns]
    header = _up(ENTRY_HEADER + (len(plain) + 7) // 8) if any(one.nulls for one in plain) else ENTRY_HEADER
    entry = header + _up(data_width(plain)) + POINTER
    same = 1.0 if unique else min(MOST_IN_LIST, rows / _distinct(rows, [number for _, number in columns]))
    each = entry if same < 2 else entry / same + TID
    room = (block - PAGE_HEADER - OF_BTREE) * fillfactor / 100
    return (math.ceil(rows * each / room * INNER) + 1) * block


def data_width(columns: Iterable[Column]) -> float:
    """Of the columns of a row, with the gaps before those that are aligned.

    Where a column of any length comes before, its gap is taken for half of what it can be; a short text has none.
    """
    offset, is_known = 0.0, True
    for column in columns:
        align = _ALIGN[column.align]
        there = 1 - column.nulls
        if column.length >= 0:
            gap = -offset % align if is_known else (align - 1) / 2
            offset += there * (gap + column.length)
        else:
            offset += there * column.width
            is_known = False
        is_known = is_known and not column.nulls
    return offset


def _bitmap(header: int, columns: Sequence[Column]) -> float:
    """A row has one where something in it is null."""
    any_null = 1 - math.prod(1 - column.nulls for column in columns)
    return header + any_null * (len(columns) + 7) // 8


def _distinct(rows: float, of_columns: Iterable[float]) -> float:
    """How many keys there are, as if columns knew nothing of each other: then an index is taken for larger rather than
    smaller, and left alone."""
    number = 1.0
    for one in of_columns:
        number *= -one * rows if one < 0 else max(one, 1)
    return max(1.0, min(rows, number))


def _up(size: float) -> int:
    """To the next 8 bytes, which rows and entries begin at."""
    return math.ceil(size / 8) * 8
