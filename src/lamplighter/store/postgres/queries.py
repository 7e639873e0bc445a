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
    "groups": "child_of = ANY(${}::text[])",
    "before": "id < ${}",
}


class Queries:
    """Statements by name, each made once."""

    def __init__(self, schema: str) -> None:
        self._by_name = {name: text.replace("SCHEMA", schema) for name, text in _SQL.items()}

    def __getitem__(self, name: str) -> str:
        return self._by_name[name]

    def page(self, statements: Sequence[str], filters: Sequence[str]) -> str:
        """The newest jobs that pass the named filters. Binds the filters' values in order, then the limit.

        One statement, for a job that goes from one table to the other between two looks would be missed.
        """
        places = {name: _FILTERS[name].format(place) for place, name in enumerate(filters, start=1)}
        limit = f"LIMIT ${len(filters) + 1}"
        found = " UNION ALL ".join(f"({self._newest(statement, places, limit)})" for statement in statements)
        return f"SELECT * FROM ({found}) AS found ORDER BY id DESC {limit}"  # noqa: S608 - fixed text

    def _newest(self, table: str, filters: dict[str, str], limit: str) -> str:
        """By id, unless that might walk past a million jobs of other queues and states: then the newest of each queue
        and state, which an index has side by side. Only that one has the order of `~>~`, or the planner might still
        walk by id."""
        if "groups" in filters and "ids" not in filters:
            return self._newest_children(table, filters, limit)
        if "ids" in filters or not filters.keys() & {"queues", "states"}:
            wanted = " AND ".join(filters.values())
            return f"{self[table]}{wanted and f' WHERE {wanted}'} ORDER BY id DESC {limit}"
        lines = " AND ".join(filters[name] for name in ("queues", "states") if name in filters)
        rest = "".join(f" AND {text}" for name, text in filters.items() if name not in {"queues", "states"})
        return (
            f"SELECT one.* FROM ({self['lines']} AND {lines}) AS line CROSS JOIN LATERAL "  # noqa: S608 - fixed text
            f"({self[table]} WHERE queue = line.queue AND state = line.state{rest.replace('id < ', 'id ~<~ ')} "
            f"ORDER BY id USING ~>~ {limit}) AS one ORDER BY id DESC {limit}"
        )

    def _newest_children(self, table: str, filters: dict[str, str], limit: str) -> str:
        """Likewise: the newest of each group."""
        groups = filters["groups"].removeprefix("child_of = ANY")
        rest = "".join(f" AND {text}" for name, text in filters.items() if name != "groups")
        return (
            f"SELECT one.* FROM unnest{groups} AS parent (id) CROSS JOIN LATERAL "  # noqa: S608 - fixed text
            f"({self[table]} WHERE child_of = parent.id{rest.replace('id < ', 'id ~<~ ')} "
            f"ORDER BY id USING ~>~ {limit}) AS one ORDER BY id DESC {limit}"
        )
