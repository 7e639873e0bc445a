"""Archives: which objects there are, of what, and how far each is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, Literal, TypeAlias

from msgspec import Struct
from sqlalchemy import Row, select

from lamplighter.core.clock import from_us, maybe_from_us
from lamplighter.integrations.storage.audit_tables import audit_archives
from lamplighter.integrations.storage.database import Database

State: TypeAlias = Literal["planned", "written", "archived", "destroyed"]
"""planned: it is written next. written: read back, too; its records go from the live table. archived: they are gone.
destroyed: its object is to go."""

LONGEST_NAME = 120  # characters of a tenant in a key
_PLAIN = re.compile(r"[A-Za-z0-9.-]")

_archive = audit_archives.c


class Next(Struct, frozen=True, kw_only=True):
    """The generation that is being written."""

    key: str
    digest: str
    size: int
    destroyed: int
    actions: Mapping[str, tuple[int, int]]


class Archive(Struct, frozen=True, kw_only=True):
    """An object of records of one chain and day (UTC). `actions`: of each, how many are left, and the last one's
    moment."""

    id: str
    chain: str
    day: str
    key: str
    generation: int
    state: State
    count: int
    destroyed: int
    first_seq: int
    last_seq: int
    first_at: datetime
    last_at: datetime
    digest: str
    size: int
    actions: Mapping[str, tuple[int, int]]
    next: Next | None
    leftover: str | None
    restored_until: datetime | None
    created_at: datetime


class Archives:
    """What is archived."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, id_: str) -> Archive | None:
        """One of them."""
        found = await archives_by(self._database, select(audit_archives).where(_archive.id == id_))
        return found[0] if found else None

    async def page(
        self, *, chain: str | None = None, day: str | None = None, limit: int = 100, before: str | None = None
    ) -> list[Archive]:
        """The latest written first, of one chain or day if asked for."""
        statement = select(audit_archives).order_by(_archive.id.desc()).limit(limit)
        statement = statement if chain is None else statement.where(_archive.chain == chain)
        statement = statement if day is None else statement.where(_archive.day == day)
        statement = statement if before is None else statement.where(_archive.id < before)
        return await archives_by(self._database, statement)


async def archives_by(database: Database, statement: Any) -> list[Archive]:
    """What a select of whole rows finds."""
    rows: Sequence[Row[Any]] = await database.read(lambda connection: connection.execute(statement).all())
    return [archive_of(row) for row in rows]


def archive_of(row: Row[Any]) -> Archive:
    """A whole row."""
    return Archive(
        **{
            **row._mapping,
            "actions": {name: (n, last) for name, (n, last) in row.actions.items()},
            "next": None if row.next is None else Next(**row.next),
            "first_at": from_us(row.first_at),
            "last_at": from_us(row.last_at),
            "restored_until": maybe_from_us(row.restored_until),
            "created_at": from_us(row.created_at),
        }
    )


def key_of(chain: str, day: str, first_seq: int, last_seq: int, generation: int = 1) -> str:
    """Where an object is: the same for the same records. Programs that know folders such as day=... can query them."""
    again = "" if generation == 1 else f".g{generation}"
    return f"audit/v1/tenant={_written(chain)}/day={day}/{first_seq:012}-{last_seq:012}{again}.jsonl.zst"


def _written(chain: str) -> str:
    """A name that is a folder's everywhere; "_" is what concerns no single tenant. No two tenants have the same."""
    if chain == "":
        return "_"
    written = "".join(one if _PLAIN.fullmatch(one) else f"={one.encode().hex().upper()}=" for one in chain)
    written = written if written.strip(".") else written.replace(".", "=2E=")
    if len(written) <= LONGEST_NAME:
        return written
    return f"{written[:LONGEST_NAME]}=={blake2b(chain.encode(), digest_size=8).hexdigest()}"


def chain_named(name: str) -> str:
    """The chain that people name by its tenant, or by "_"."""
    return "" if name == "_" else name


def name_of(chain: str) -> str:
    """What people call a chain."""
    return chain or "_"


def as_of(moment: datetime) -> str:
    """The day that a moment is in."""
    return f"{moment:%Y-%m-%d}"
