"""Sealing: records that have been committed get their places in the chains of their tenants.

That is done after the fact. Were it done where a record is written, whoever writes for a tenant would wait for all
others who do, and two who write for many tenants would wait for each other. So a record that was committed late has a
later place, and for the seconds until it is sealed nothing protects it but the database.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, Row, Text, select, update

from lamplighter.integrations.auditing.chain import SHARED, content_of, genesis, link, stored
from lamplighter.integrations.storage.audit_tables import audit_chains
from lamplighter.integrations.storage.database import Database, insert_into
from lamplighter.integrations.storage.many import Write
from lamplighter.integrations.storage.tables import audit

BATCH = 500  # records in one transaction: refreshes wait for no more

_chain = audit_chains.c
_PLACE = Write(
    {"id": Text(), "chain": Text(), "seq": BigInteger(), "hash": Text()},
    lambda given: (
        update(audit)
        .where(audit.c.id == given.c.id, audit.c.seq.is_(None))
        .values(chain=given.c.chain, seq=given.c.seq, hash=given.c.hash)
    ),
)


class Overtaken(Exception):
    """Another process did it first: what was done in this transaction is to be undone."""


class Head(NamedTuple):
    """The last record that is sealed of a chain."""

    chain: str
    seq: int
    hash: str


async def seal(database: Database, *, batch: int = BATCH) -> int:
    """Seal some records, the oldest first; returns how many. Safe in several processes at once."""
    try:
        return await database.write(lambda connection: seal_some(connection, batch))
    except Overtaken:
        return 0


def seal_some(connection: Connection, limit: int) -> int:
    """One transaction of it. Raises Overtaken."""
    rows = connection.execute(stored().where(audit.c.seq.is_(None)).order_by(audit.c.id).limit(limit)).all()
    chains: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        chains[row.tenant_id or SHARED].append(row)
    for chain in sorted(chains):  # in one order everywhere, or two could wait for each other
        _extend(connection, chain, chains[chain])
    return len(rows)


def head_of(connection: Connection, chain: str) -> Head:
    """Where a chain ends, which is begun if there is none."""
    begin = insert_into(connection, audit_chains).values(chain=chain, seq=0, hash=genesis(chain), moves=0)
    connection.execute(begin.on_conflict_do_nothing())
    return Head(*connection.execute(select(_chain.chain, _chain.seq, _chain.hash).where(_chain.chain == chain)).one())


def _extend(connection: Connection, chain: str, rows: Sequence[Row[Any]]) -> None:
    """The head first: whoever has it has the chain to itself until the end of the transaction."""
    before = head_of(connection, chain)
    seq, hash_, placed = before.seq, before.hash, []
    for row in rows:
        seq, hash_ = seq + 1, link(hash_, seq + 1, content_of(row))
        placed.append({"id": row.id, "chain": chain, "seq": seq, "hash": hash_})
    move = update(audit_chains).where(_chain.chain == chain, _chain.seq == before.seq).values(seq=seq, hash=hash_)
    if connection.execute(move).rowcount != 1 or _PLACE.run(connection, placed).rowcount != len(placed):
        raise Overtaken
