"""Exporting: all that is known of a time, of one chain after the other, as JSON lines or Parquet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import msgspec
from sqlalchemy import Connection, Row, func, select

from lamplighter.core.clock import from_us, to_us
from lamplighter.core.errors import ConfigError
from lamplighter.families.audit import objects
from lamplighter.families.audit.archive import Archive, archives_by
from lamplighter.families.audit.storage import Storage
from lamplighter.integrations.auditing.chain import Content, Sealed, sealed, stored
from lamplighter.integrations.storage.audit_tables import audit_archives, audit_chains
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.tables import audit

READ = 1000  # rows in one read
GROUP = 20_000  # records in one part of a Parquet file

_row, _archive = audit.c, audit_archives.c


class Exported(NamedTuple):
    """How many records were written; and whether these are all, since none moved into an archive meanwhile."""

    records: int
    is_whole: bool


class Writer(Protocol):
    """Takes records, and is closed at the end."""

    def write(self, records: Sequence[dict[str, Any]]) -> None: ...
    def close(self) -> None: ...


class JsonLines:
    """A line for each."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        self._file.write(msgspec.json.Encoder().encode_lines(records))

    def close(self) -> None:
        self._file.flush()


class Parquet:
    """A table; `details` is JSON in it. Raises ConfigError without the extra."""

    def __init__(self, file: BinaryIO | Path) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415 - of an extra
            from pyarrow import parquet  # noqa: PLC0415
        except ImportError as error:
            raise ConfigError("Parquet needs pyarrow: install lamplighter[audit-parquet].") from error
        text = pa.string()
        columns = [(name, text) for name in ("id", "tenant_id", "user_id", "action", "resource_type", "resource_id")]
        columns += [("details", text), ("result", text), ("error_message", text)]
        columns += [("at", pa.timestamp("us", tz="UTC")), ("seq", pa.int64()), ("hash", text)]
        self._schema = pa.schema(columns)
        self._table = pa.Table
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._waiting: list[dict[str, Any]] = []

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        self._waiting += [one | {"details": msgspec.json.encode(one["details"]).decode()} for one in records]
        if len(self._waiting) >= GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(self._table.from_pylist(self._waiting, schema=self._schema))
        self._waiting = []


async def export(
    database: Database,
    storage: Storage | None,
    writer: Writer,
    *,
    chains: Sequence[str],
    since: datetime | None = None,
    until: datetime | None = None,
) -> Exported:
    """Write all records of these chains and that time, those in archives first. Raises ArchiveError."""
    written, moves = 0, await database.read(_moves)
    for chain in chains:
        async for some in _all(database, storage, chain, since, until):
            records = [_told(one) for one in some if one.content is not None and _is_within(one.content, since, until)]
            writer.write(records)
            written += len(records)
    return Exported(written, await database.read(_moves) == moves)


def _moves(connection: Connection) -> int:
    """Counts what has been taken out of live tables."""
    return int(connection.scalar(select(func.sum(audit_chains.c.moves))) or 0)


async def export_archive(storage: Storage, archive: Archive, writer: Writer) -> int:
    """The same of what is left in one archive."""
    written = 0
    async for some in await objects.read(storage, archive):
        records = [_told(one) for one in some if one.content is not None]
        writer.write(records)
        written += len(records)
    return written


async def _all(
    database: Database, storage: Storage | None, chain: str, since: datetime | None, until: datetime | None
) -> AsyncIterator[list[Sealed]]:
    """Those of archives, then those of the live table that are no copies."""
    within = [] if since is None else [_archive.last_at >= to_us(since)]
    within += [] if until is None else [_archive.first_at < to_us(until)]
    read_back = select(audit_archives).where(
        _archive.chain == chain, _archive.state.in_(("written", "archived")), *within
    )
    moving: set[int] = set()  # what is in an archive, and may still be in the table: of one archive at most
    for archive in await archives_by(database, read_back.order_by(_archive.first_seq)):
        if storage is None:
            raise ConfigError("archives cannot be read: set audit_archive to where they are.")
        async for some in await objects.read(storage, archive):
            moving |= {one.seq for one in some} if archive.state == "written" else set()
            yield some
    after = 0
    while rows := await database.read(partial(_live, chain=chain, after=after)):
        yield [sealed(row) for row in rows if row.seq not in moving]
        after = rows[-1].seq


def _live(connection: Connection, *, chain: str, after: int) -> Sequence[Row[Any]]:
    of_chain = stored().where(_row.chain == chain, _row.seq > after, _row.restored_until.is_(None))
    return connection.execute(of_chain.order_by(_row.seq).limit(READ)).all()


def _is_within(content: Content, since: datetime | None, until: datetime | None) -> bool:
    at = from_us(content["at"])
    return (since is None or at >= since) and (until is None or at < until)


def _told(one: Sealed) -> dict[str, Any]:
    content = one.content or {}
    return {**content, "at": from_us(content["at"]), "seq": one.seq, "hash": one.hash}
