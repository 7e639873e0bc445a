"""What was destroyed of a chain when its time was over: where it was, and what comes after it is linked to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from lamplighter.core.clock import to_us
from lamplighter.integrations.auditing.chain import Run
from lamplighter.integrations.storage.audit_tables import audit_chains, audit_gaps

_gap, _chain = audit_gaps.c, audit_chains.c


def take_out(connection: Connection, chain: str) -> None:
    """Say that records go from the live table: whoever has read them meanwhile, to archive them, has to read anew.

    It keeps the chain to this transaction until its end.
    """
    connection.execute(update(audit_chains).where(_chain.chain == chain).values(moves=_chain.moves + 1))


def destroyed(connection: Connection, chain: str, runs: Iterable[Run], now: datetime) -> None:
    """Note that these are gone. Whoever calls has the chain to itself (`take_out`)."""
    for run in runs:
        _note(connection, chain, run, to_us(now))


def _note(connection: Connection, chain: str, run: Run, at: int) -> None:
    """A run next to others becomes one with them: what goes by age stays one row."""
    of_chain = _gap.chain == chain
    after = connection.execute(select(audit_gaps).where(of_chain, _gap.first_seq == run.last + 1)).first()
    if after is not None:
        connection.execute(delete(audit_gaps).where(of_chain, _gap.first_seq == after.first_seq))
        run = Run(run.first, after.last_seq, after.last_hash)
    longer = update(audit_gaps).where(of_chain, _gap.last_seq == run.first - 1)
    if not connection.execute(longer.values(last_seq=run.last, last_hash=run.last_hash, at=at)).rowcount:
        values = {"chain": chain, "first_seq": run.first, "last_seq": run.last, "last_hash": run.last_hash, "at": at}
        connection.execute(insert(audit_gaps), [values])
