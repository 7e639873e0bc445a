"""Statements about many rows, which go in, and come out, as one JSON value.

One statement for a hundred rows is one round trip; and on SQLite, a statement that takes or gives row by row hands
Python's lock to and fro for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    Connection,
    Executable,
    FromClause,
    Integer,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    column,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

Columns = Mapping[str, TypeEngine[Any]]
Insert = Callable[[Table], Any]  # SQLAlchemy has one for each database apart


class Write:
    """A statement that `make` makes of a table of what is given."""

    def __init__(self, columns: Columns, make: Callable[[FromClause], Executable]) -> None:
        self._statements = {dialect: make(table(columns)) for dialect, table in _GIVEN.items()}

    def run(self, connection: Connection, rows: Iterable[Mapping[str, Any]]) -> Any:
        """Its result."""
        return connection.execute(self._statements[connection.dialect.name], _values(rows))


class Read:
    """The same, of a select."""

    def __init__(self, columns: Columns, make: Callable[[FromClause], Select[Any]]) -> None:
        self._statements = {
            dialect: select(cast(_PACKED[dialect](make(table(columns)).subquery()), Text))
            for dialect, table in _GIVEN.items()
        }

    def run(self, connection: Connection, rows: Iterable[Mapping[str, Any]]) -> list[list[Any]]:
        """Its rows, in any order."""
        packed = connection.execute(self._statements[connection.dialect.name], _values(rows)).scalar()
        return [] if packed is None else msgspec.json.decode(packed, type=list[list[Any]])


class Upsert(Write):
    """The same, of an INSERT that says what happens on a conflict: `make` makes it of what is given, with the INSERT of
    the database."""

    def __init__(self, columns: Columns, make: Callable[[FromClause, Insert], Executable]) -> None:
        self._statements = {dialect: make(table(columns), _INSERT[dialect]) for dialect, table in _GIVEN.items()}


def dicts(rows: Iterable[NamedTuple]) -> Iterable[dict[str, Any]]:
    """Named tuples, to be given."""
    return (row._asdict() for row in rows)


def _values(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    given = list(rows)
    return {"given": msgspec.json.encode(given).decode(), "number": len(given)}


def _in_sqlite(columns: Columns) -> FromClause:
    each = func.json_each(bindparam("given")).table_valued("value")
    named = [func.json_extract(each.c.value, f"$.{name}", type_=kind).label(name) for name, kind in columns.items()]
    return select(*named).subquery("given")


def _in_postgres(columns: Columns) -> FromClause:
    """With a limit, which tells the planner how many there are: it would expect a hundred, and read a whole table of
    20,000 rows for one."""
    records = func.jsonb_to_recordset(cast(bindparam("given", type_=Text), JSONB))
    named = [column(name, kind) for name, kind in columns.items()]
    rows = records.table_valued(*named).render_derived(name="row", with_types=True)
    return select(*rows.c).limit(bindparam("number", type_=Integer)).subquery("given")


_INSERT: dict[str, Insert] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_GIVEN: dict[str, Callable[[Columns], FromClause]] = {"sqlite": _in_sqlite, "postgresql": _in_postgres}
_PACKED: dict[str, Callable[[FromClause], Any]] = {
    "sqlite": lambda rows: func.json_group_array(func.json_array(*rows.c)),
    "postgresql": lambda rows: func.json_agg(func.json_build_array(*rows.c)),
}
