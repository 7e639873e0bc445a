"""The statements of `queries.sql`, for one PostgreSQL schema."""

from __future__ import annotations

from collections.abc import Sequence

from lamplighter.store.named_sql import load

_SQL = load(__package__)

_FILTERS = {
    "ids": "id = ANY(${}::text[])",
    "queues": "queue = ANY(${}::text[])",
    "names": "name = ANY(${}::text[])",
    "tenants": "tenant = ANY(${}::text[])",
    "states": "state = ANY(${}::text[])",
    "before": "id < ${}",
}


class Queries:
    """Statements by name, each made once."""

    def __init__(self, schema: str) -> None:
        self._by_name = {name: text.replace("SCHEMA", schema) for name, text in _SQL.items()}

    def __getitem__(self, name: str) -> str:
        return self._by_name[name]

    def page(self, tables: Sequence[str], filters: Sequence[str]) -> str:
        """The newest jobs that pass the named filters. Binds the filters' values in order, then the limit.

        One statement, for a job that goes from one table to the other between two looks would be missed.
        """
        wanted = " AND ".join(_FILTERS[name].format(place) for place, name in enumerate(filters, start=1))
        rest = f"{wanted and f' WHERE {wanted}'} ORDER BY id DESC LIMIT ${len(filters) + 1}"
        newest = " UNION ALL ".join(f"({self[table]}{rest})" for table in tables)
        return f"SELECT * FROM ({newest}) AS found ORDER BY id DESC LIMIT ${len(filters) + 1}"  # noqa: S608 - fixed text
