"""What is seen of a database: tables and indexes, how large they are, and how large they would be if fresh."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import asyncpg
import msgspec

from lamplighter.families.upkeep.postgres.estimate import Column, index_bytes, table_bytes
from lamplighter.families.upkeep.postgres.server import Server

MANY = 1000  # rows: with as many, what is not known of a table matters
MOST_READ = 250_000_000  # bytes of an index that pgstattuple may read: it reads all of one

How: TypeAlias = Literal["pgstattuple", "estimate", "unknown"]


class Table(NamedTuple):
    """A table. `fresh`: bytes of a new one with the same rows, by `how`. `hindrance`: why no row of it is moved."""

    oid: int
    schema: str
    name: str
    bytes: int
    fresh: int
    how: How
    rows: float
    dead: int
    changed: int
    is_unknown: bool
    is_owned: bool
    hindrance: str | None

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def wasted(self) -> int:
        return max(0, self.bytes - self.fresh)


class Index(NamedTuple):
    """A B-tree, likewise. `is_left`: a REINDEX that was broken off left it behind, of no use to anybody."""

    oid: int
    schema: str
    name: str
    table: str
    bytes: int
    fresh: int
    how: How
    is_owned: bool
    is_left: bool
    hindrance: str | None

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def wasted(self) -> int:
        return max(0, self.bytes - self.fresh)


class Sight(NamedTuple):
    """All of them."""

    tables: Sequence[Table]
    indexes: Sequence[Index]


async def look(server: Server) -> Sight:
    """See what is looked after, in catalogs and statistics; with pgstattuple also in pages that were changed lately."""
    extension = [row["schema"] for row in await server.ask("extension")]
    exact = _Exact(server, extension[0]) if extension else None
    tables = [await _table(row, exact) for row in await server.tables("tables")]
    indexes = [await _index(row, exact) for row in await server.tables("indexes")]
    return Sight(tables, indexes)


class _Exact:
    """What pgstattuple tells."""

    def __init__(self, server: Server, schema: str) -> None:
        self._server = server
        self._schema = schema

    async def free(self, oid: int) -> float:
        """Of a table: bytes that are free in its pages, or taken by dead rows."""
        row = await self._server.connection.fetchrow(
            "SELECT approx_free_space + dead_tuple_len AS free "  # noqa: S608 - quoted by the server
            f"FROM {self._schema}.pgstattuple_approx($1::bigint::oid)",
            oid,
        )
        assert row is not None, "it is a function of one row"
        return float(row["free"])

    async def density(self, oid: int) -> float:
        """Of an index: the share of its leaves that is full."""
        found = await self._server.connection.fetchval(
            f"SELECT avg_leaf_density FROM {self._schema}.pgstatindex($1::bigint::oid::regclass)",  # noqa: S608 - as above
            oid,
        )
        return 1.0 if math.isnan(found) else float(found) / 100  # one without a row has no leaf


async def _table(row: asyncpg.Record, exact: _Exact | None) -> Table:
    columns = [Column(*one) for one in _columns(row)]
    fresh, how = table_bytes(row["rows"], columns, fillfactor=row["fillfactor"]), "estimate"
    if exact is not None and row["bytes"]:
        kept_free = 1 - row["fillfactor"] / 100
        fresh, how = int((row["bytes"] - await exact.free(row["oid"])) / (1 - kept_free)), "pgstattuple"
    elif row["unknown"] or not row["rows"]:
        fresh, how = row["bytes"], "unknown"
    return Table(
        oid=row["oid"],
        schema=row["schema"],
        name=row["name"],
        bytes=row["bytes"],
        fresh=min(fresh, row["bytes"]),
        how=how,  # type: ignore[arg-type]  # one of them
        rows=row["rows"],
        dead=row["dead"] or 0,
        changed=row["changed"] or 0,
        is_unknown=row["bytes"] > 0 and (row["unknown"] or (row["analyzed"] is None and row["rows"] > MANY)),
        is_owned=row["owned"],
        hindrance=_hindrance(row),
    )


async def _index(row: asyncpg.Record, exact: _Exact | None) -> Index:
    columns = [(Column(*one[:4]), one[4]) for one in _columns(row)]
    rows = row["rows"] if row["partial"] else max(row["rows"], row["table_rows"])
    fresh, how = index_bytes(rows, columns, fillfactor=row["fillfactor"], unique=row["unique"]), "estimate"
    if exact is not None and row["valid"] and rows and row["bytes"] <= MOST_READ:
        fresh = int(row["bytes"] * await exact.density(row["oid"]) / (row["fillfactor"] / 100))
        how = "pgstattuple"
    elif row["unknown"] or not rows:
        fresh, how = row["bytes"], "unknown"
    is_left = not row["valid"] and _is_left_behind(row["name"]) and not row["building"]
    return Index(
        oid=row["oid"],
        schema=row["schema"],
        name=row["name"],
        table=f"{row['schema']}.{row['table']}",
        bytes=row["bytes"],
        fresh=min(fresh, row["bytes"]),
        how=how,  # type: ignore[arg-type]  # one of them
        is_owned=row["owned"],
        is_left=is_left,
        hindrance=_hindrance_of_index(row),
    )


def _columns(row: asyncpg.Record) -> list[list[Any]]:
    found: list[list[Any]] = msgspec.json.decode(row["columns"] or "[]")
    return found


def _is_left_behind(name: str) -> bool:
    """As REINDEX CONCURRENTLY calls its new index until it is done, and the old one afterwards."""
    stem = name.rstrip("0123456789")
    return stem.endswith(("_ccnew", "_ccold"))


def _hindrance(row: asyncpg.Record) -> str | None:
    if row["triggered"]:
        return "it has triggers that would fire"
    if row["ruled"]:
        return "it has rules that would change what is done"
    if row["guarded"]:
        return "its row-level security holds for its owner too"
    return None


def _hindrance_of_index(row: asyncpg.Record) -> str | None:
    if row["building"]:
        return "an index of its table is being built"
    if row["exclusion"]:
        return "one of an exclusion constraint cannot be built beside the old one"
    return None if row["valid"] else "it is not valid: a CREATE INDEX CONCURRENTLY of its owner's has failed"
