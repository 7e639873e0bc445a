"""What upkeep finds of a PostgreSQL database, in words: what is past its bounds, and what is done about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple

import asyncpg

from lamplighter.core.duration import rough_duration
from lamplighter.families.upkeep.finding import Finding
from lamplighter.families.upkeep.postgres.sight import Index, Sight, Table

FEW = 1000  # rows: fewer that are dead, or have changed, are not worth the trouble
DEAD = 0.2  # of the rows that live
CHANGED = 0.1  # likewise
NOT_OWNED = "nothing is done: this role does not own it"


class Bounds(NamedTuple):
    """Past which something is done: the share of a table or index that it could do without, and how many bytes."""

    wasted: float
    least: int
    oldest: timedelta

    def is_past(self, size: int, wasted: int) -> bool:
        return wasted >= self.least and wasted > self.wasted * size


def findings(
    database: str, sight: Sight, transactions: Sequence[asyncpg.Record], hidden: int, bounds: Bounds
) -> list[Finding]:
    """Everything, in the order in which it is done."""
    wait = _wait(transactions)
    return [
        *_transactions(database, transactions, hidden, bounds),
        *(_vacuum(database, one, wait) for one in sight.tables),
        *(_analyze(database, one) for one in sight.tables),
        *(_compact(database, one, bounds, wait) for one in sight.tables),
        *(_reindex(database, one, bounds, wait) for one in sight.indexes),
    ]


def _wait(transactions: Sequence[asyncpg.Record]) -> str | None:
    """Why nothing can be freed: whoever began before sees rows that are dead to all others."""
    if not transactions:
        return None
    oldest = transactions[0]
    return f"nothing is done while the {oldest['what']} is open, for {_age(oldest['age'])} now"


def _transactions(
    database: str, transactions: Sequence[asyncpg.Record], hidden: int, bounds: Bounds
) -> Iterator[Finding]:
    for one in transactions:
        who = f" by {one['who']}" if one["who"] else ""
        yield Finding(
            task="transactions",
            database=database,
            subject=one["what"],
            is_due=False,
            is_held=True,
            says=f"Open for {_age(one['age'])}{who} ({one['state']}), which keeps dead rows from being removed: "
            "commit it, roll it back, or end its process with pg_terminate_backend.",
            figures={"seconds": round(one["age"])},
        )
    if not transactions:
        unseen = f" {hidden} sessions of others are hidden from this role: GRANT pg_read_all_stats." if hidden else ""
        yield Finding(
            task="transactions",
            database=database,
            subject="all",
            is_due=False,
            says=f"None is open for more than {rough_duration(bounds.oldest)}.{unseen}",
            figures={"hidden": hidden},
        )


def _vacuum(database: str, table: Table, wait: str | None) -> Finding:
    is_past, can = table.dead > max(FEW, DEAD * table.rows), table.is_owned and wait is None
    return Finding(
        task="vacuum",
        database=database,
        subject=table.full_name,
        is_due=is_past and can,
        is_held=is_past and not can,
        says=f"{table.dead:,} dead rows beside {table.rows:,.0f} that live: "
        f"{_then(is_past, 'they are removed', table.is_owned, wait)}.",
        size=table.bytes,
        figures={"dead": table.dead, "rows": round(table.rows)},
    )


def _analyze(database: str, table: Table) -> Finding:
    is_past = table.is_unknown or table.changed > max(FEW, CHANGED * table.rows)
    found = "Never looked at" if table.is_unknown else f"{table.changed:,} rows have changed since it was looked at"
    return Finding(
        task="analyze",
        database=database,
        subject=table.full_name,
        is_due=is_past and table.is_owned,
        is_held=is_past and not table.is_owned,
        says=f"{found}: {_then(is_past, 'samples are taken anew', table.is_owned, None)}.",
        size=table.bytes,
        figures={"changed": table.changed, "rows": round(table.rows)},
    )


def _compact(database: str, table: Table, bounds: Bounds, wait: str | None) -> Finding:
    is_past = bounds.is_past(table.bytes, table.wasted)
    hindrance = f"nothing is done: {table.hindrance}" if table.hindrance else wait
    then = _then(is_past, "its rows are moved ahead, and its end is given back", table.is_owned, hindrance)
    can = table.is_owned and hindrance is None
    return Finding(
        task="compact",
        database=database,
        subject=table.full_name,
        is_due=is_past and can,
        is_held=is_past and not can,
        says=f"{_waste(table.bytes, table.wasted, table.how)}: {then}.",
        size=table.bytes,
        wasted=table.wasted,
        figures={"bytes": table.bytes, "fresh": table.fresh, "by": table.how},
    )


def _reindex(database: str, index: Index, bounds: Bounds, wait: str | None) -> Finding:
    if index.is_left:
        is_past, found, do = True, "A REINDEX that was broken off left it", "it is dropped"
    else:
        is_past = bounds.is_past(index.bytes, index.wasted)
        found, do = _waste(index.bytes, index.wasted, index.how), "it is built anew, beside the old one"
    hindrance = wait if index.is_left or index.hindrance is None else f"nothing is done: {index.hindrance}"
    can = index.is_owned and hindrance is None
    return Finding(
        task="reindex",
        database=database,
        subject=index.full_name,
        is_due=is_past and can,
        is_held=is_past and not can,
        says=f"{found}: {_then(is_past, do, index.is_owned, hindrance)}.",
        size=index.bytes,
        wasted=index.bytes if index.is_left else index.wasted,
        figures={
            "bytes": index.bytes,
            "fresh": index.fresh,
            "by": index.how,
            "table": index.table,
            "left": int(index.is_left),
        },
    )


def _then(is_past: bool, do: str, is_owned: bool, hindrance: str | None) -> str:  # noqa: FBT001 - as they come
    """What is done, or why not."""
    if not is_past:
        return "within bounds"
    return (hindrance if is_owned else NOT_OWNED) or do


def _waste(size: int, wasted: int, how: str) -> str:
    if how == "unknown":
        return "Nobody knows yet what a fresh one would take"
    share = wasted / size if size else 0
    return f"{share:.0%} of {size / 1e6:,.1f} MB could be given back, by {'an ' * (how == 'estimate')}{how}"


def _age(seconds: float) -> str:
    return rough_duration(timedelta(seconds=seconds))
