"""The statements of `queries.sql`, for one PostgreSQL schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lamplighter.core.model import State
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

    def page(self, tables: Sequence[str], filters: Sequence[str]) -> str:
        """The newest jobs that pass the named filters. Binds the filters' values in order, then the limit."""
        return self["with_children"].replace("NEWEST", self._newest(tables, filters))

    def arguments(self, tables: Sequence[str], filters: Sequence[str]) -> str:
        """What those jobs were given."""
        return self._newest([f"{table}_arguments" for table in tables], filters)

    def _newest(self, statements: Sequence[str], filters: Sequence[str]) -> str:
        """One statement, for a job that goes from one table to the other between two looks would be missed."""
        places = {name: _FILTERS[name].format(place) for place, name in enumerate(filters, start=1)}
        limit = f"LIMIT ${len(filters) + 1}"
        found = " UNION ALL ".join(f"({self._newest_in(statement, places, limit)})" for statement in statements)
        return f"SELECT * FROM ({found}) AS found ORDER BY id DESC {limit}"  # noqa: S608 - fixed text

    def _newest_in(self, statement: str, filters: dict[str, str], limit: str) -> str:
        """By id, unless that might walk past a million other jobs: then the newest of each part that an index has side
        by side. Only those indexes have the order of `~>~`, or the planner might still walk by id."""
        if "ids" in filters or not filters.keys() & {"groups", "tenants", "queues", "states"}:
            wanted = " AND ".join(filters.values())
            return f"{self[statement]}{wanted and f' WHERE {wanted}'} ORDER BY id DESC {limit}"
        if "groups" in filters:
            parts, each, answered = _groups(filters), "child_of = part.id", {"groups"}
        elif "tenants" in filters:
            parts, each, answered = (
                _tenants(filters),
                "tenant = part.name AND state = part.state",
                {"tenants", "states"},
            )
        else:
            lines = " AND ".join([self["lines"], *(filters[name] for name in ("queues", "states") if name in filters)])
            parts, each, answered = lines, "queue = part.queue AND state = part.state", {"queues", "states"}
        rest = [text.replace("id < ", "id ~<~ ") for name, text in filters.items() if name not in answered]
        return (
            f"SELECT one.* FROM ({parts}) AS part CROSS JOIN LATERAL "  # noqa: S608 - fixed text
            f"({self[statement]} WHERE {' AND '.join([each, *rest])} ORDER BY id USING ~>~ {limit}) AS one "
            f"ORDER BY id DESC {limit}"
        )


def _groups(filters: Mapping[str, str]) -> str:
    return f"SELECT id FROM unnest{filters['groups'].removeprefix('child_of = ANY')} AS id"  # noqa: S608 - fixed text


def _tenants(filters: Mapping[str, str]) -> str:
    names = f"unnest{filters['tenants'].removeprefix('tenant = ANY')}"
    states = f"unnest(ARRAY{[str(state) for state in State]}) AS state"
    only = f" WHERE {filters['states']}" if "states" in filters else ""
    return f"SELECT name, state FROM {names} AS name, {states}{only}"  # noqa: S608 - fixed text
