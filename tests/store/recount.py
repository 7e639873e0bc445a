"""What the triggers of a SQLite file should have counted, counted anew."""

from __future__ import annotations

import sqlite3

PAIRS = {
    "counts": (
        "SELECT queue, state, n FROM lamp_counts WHERE n <> 0 ORDER BY 1, 2",
        """
        SELECT queue, state, count(*) FROM lamp_jobs GROUP BY 1, 2 UNION ALL
        SELECT queue, 'held', count(*) FROM lamp_held GROUP BY 1, 2 UNION ALL
        SELECT queue, state, count(*) FROM lamp_ended GROUP BY 1, 2 ORDER BY 1, 2
        """,
    ),
    "groups": ("SELECT id FROM lamp_groups WHERE held ORDER BY 1", "SELECT id FROM lamp_held ORDER BY 1"),
    "lines": (
        """
        SELECT queue, tenant, priority, waiting, queued, has_jobs FROM lamp_lines
        WHERE waiting <> 0 OR queued <> 0 OR has_jobs <> 0 ORDER BY 1, 2, 3
        """,
        """
        SELECT queue, coalesce(tenant, ''), priority, count(*), sum(state = 'queued' AND gate IS NULL),
               max(state = 'queued' AND gate IS NULL)
        FROM lamp_jobs WHERE state <> 'running' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        """,
    ),
    "gates": (
        "SELECT key, running FROM lamp_gates WHERE running <> 0 ORDER BY 1",
        "SELECT value, count(*) FROM lamp_jobs, json_each(limits) WHERE state = 'running' GROUP BY 1 ORDER BY 1",
    ),
    "waits": (
        "SELECT gate, queue, n, let_go FROM lamp_waits ORDER BY 1, 2",
        """
        SELECT coalesce(gate, let_go), queue, sum(gate IS NOT NULL), sum(gate IS NULL) FROM lamp_jobs
        WHERE state = 'queued' AND coalesce(gate, let_go) IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2
        """,
    ),
    "jobs that do not know that the oldest of their queue are dropped": (
        """
        SELECT j.id FROM lamp_jobs j JOIN lamp_records r ON r.kind = 'queue' AND r.name = j.queue
        WHERE json_extract(r.value, '$.drop') AND drops IS NOT 1
          AND coalesce(json_extract(r.value, '$.most'), json_extract(r.value, '$.most_per_tenant')) IS NOT NULL
        """,
        "SELECT 1 WHERE false",
    ),
}


def miscounted(connection: sqlite3.Connection) -> dict[str, object]:
    """What differs: as it is kept, and as it should be."""
    found = {name: [connection.execute(statement).fetchall() for statement in pair] for name, pair in PAIRS.items()}
    return {name: both for name, both in found.items() if both[0] != both[1]}
