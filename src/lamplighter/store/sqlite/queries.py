"""The statements of `queries.sql` and `flow_control.sql`, by name."""

from __future__ import annotations

from lamplighter.store.named_sql import load

SQL = load(__package__) | load(__package__, "flow_control.sql")

_FILTERS = {
    "ids": "id IN (SELECT value FROM json_each(:ids))",
    "queues": "queue IN (SELECT value FROM json_each(:queues))",
    "names": "name IN (SELECT value FROM json_each(:names))",
    "tenants": "tenant IN (SELECT value FROM json_each(:tenants))",
    "states": "state IN (SELECT value FROM json_each(:states))",
    "groups": "child_of IN (SELECT value FROM json_each(:groups))",
    "group": "child_of = :group",
    "tenant": "tenant = :tenant",
    "queue": "queue = :queue",
    "state": "state = :state",
    "running": "state = 'running'",
    "before": "id < :before",
}


def view(table: str, filters: list[str]) -> str:
    """The newest jobs of a table that pass the named filters. Binds the filters' values by name, and :limit."""
    where = " WHERE " + " AND ".join(_FILTERS[name] for name in filters) if filters else ""
    order = "+id" if "running" in filters else "id"  # few: rather sorted than looked for in the order of all ids
    return f"{SQL[table]}{where} ORDER BY {order} DESC LIMIT max(:limit, 0)"
