"""Verifying: is each chain what was sealed, from its first record to its head?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Row, func, select, update

from lamplighter.core.clock import Clock, maybe_from_us, to_us, utcnow
from lamplighter.core.errors import ConfigError
from lamplighter.families.audit.archive import chain_named, name_of
from lamplighter.families.audit.storage import Storage
from lamplighter.families.audit.walk import Broken, Walk
from lamplighter.integrations.auditing.sealing import Head
from lamplighter.integrations.storage.audit_tables import audit_chains
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.tables import audit

PAGE = 200  # chains in one read

_chain = audit_chains.c

Step = Callable[[str, float, float], None]


class Verdict(Struct, frozen=True, kw_only=True):
    """What came of one chain. `what` and `says`: what is wrong at `seq`; None: nothing is."""

    chain: str
    places: int
    destroyed: int = 0
    seq: int | None = None
    what: str | None = None
    says: str | None = None

    @property
    def id(self) -> str:
        """The chain, as pages are gone on with."""
        return self.chain


class Chain(Struct, frozen=True, kw_only=True):
    """A chain as it is now. `broken`: what was wrong when it was verified; `failure`: what keeps it from archiving."""

    chain: str
    seq: int
    hash: str
    verified_at: datetime | None
    verified_seq: int | None
    broken: str | None
    failing_since: datetime | None
    failure: str | None

    @property
    def id(self) -> str:
        """As pages are gone on with."""
        return self.chain


class Verifying:
    """Walks along chains, and notes what came of that."""

    def __init__(self, database: Database, storage: Storage | None, *, clock: Clock = utcnow) -> None:
        self._database = database
        self._storage = storage
        self._clock = clock

    async def chains(
        self, *, limit: int = 100, after: str | None = None, only: Sequence[str] | None = None
    ) -> list[Chain]:
        """By their names, of these if they are given."""
        statement = select(audit_chains).order_by(_chain.chain).limit(limit)
        statement = statement if after is None else statement.where(_chain.chain > after)
        statement = statement if only is None else statement.where(_chain.chain.in_(only))
        return [_chain_of(row) for row in await self._database.read(lambda one: one.execute(statement).all())]

    async def unsealed(self) -> int:
        """How many records have no place yet; more than a few: nobody seals."""
        waiting = select(func.count()).select_from(audit).where(audit.c.seq.is_(None))
        return await self._database.read(lambda connection: connection.scalar(waiting) or 0)

    async def verify(
        self, chain: Chain, *, heads: Sequence[Head] = (), step: Step = lambda _what, _done, _total: None
    ) -> Verdict:
        """Walk along one, and note what came of it. `heads`: that somebody noted elsewhere. Raises ArchiveDown."""
        head = Head(chain.chain, chain.seq, chain.hash)
        told = partial(step, f"verifying {name_of(chain.chain)}")
        walk = Walk(self._database, self._storage, head, heads=heads, step=lambda done: told(done, max(chain.seq, 1)))
        try:
            walked = await walk.run()
        except Broken as broken:
            verdict = Verdict(chain=chain.chain, places=chain.seq, seq=broken.seq, what=broken.what, says=broken.says)
        else:
            verdict = Verdict(chain=chain.chain, places=walked.places, destroyed=walked.destroyed)
        await self._database.write(partial(_note, verdict=verdict, now=self._clock()))
        return verdict


def read_head(written: str) -> Head:
    """TENANT:SEQ:HASH, as `chains` shows it; "_" is the chain of what concerns no single tenant. Raises ConfigError."""
    name, _, rest = written.rpartition(":")
    name, _, seq = name.rpartition(":")
    if not name or not seq.isdecimal() or not 0 < int(seq) < 2**63 or len(rest) != 64:
        raise ConfigError(f"{written!r:.60} is no head: give TENANT:SEQ:HASH, as `lamplighter audit chains` shows it.")
    return Head(chain_named(name), int(seq), rest)


def write_head(chain: Chain) -> str:
    """What `read_head` reads."""
    return f"{name_of(chain.chain)}:{chain.seq}:{chain.hash}"


def _note(connection: Connection, *, verdict: Verdict, now: datetime) -> None:
    broken = None if verdict.what is None else f"{verdict.what} at {verdict.seq}: {verdict.says}"
    values: dict[str, Any] = {"verified_at": to_us(now), "verified_seq": verdict.places, "broken": broken}
    connection.execute(update(audit_chains).where(_chain.chain == verdict.chain).values(**values))


def _chain_of(row: Row[Any]) -> Chain:
    return Chain(
        chain=row.chain,
        seq=row.seq,
        hash=row.hash,
        verified_at=maybe_from_us(row.verified_at),
        verified_seq=row.verified_seq,
        broken=row.broken,
        failing_since=maybe_from_us(row.failing_since),
        failure=row.failure,
    )
