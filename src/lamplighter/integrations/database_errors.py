"""PostgreSQL's errors as sentences that say what to do. None of them shows a password or a value."""

from __future__ import annotations

import asyncio

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from lamplighter.core.errors import StoreDamaged, StoreError, StoreUnavailable

IN_EACH_OTHERS_WAY = ("40001", "40P01")  # serialization failure, deadlock

_MANY = "has no connection left: raise max_connections, or give the store URL fewer connections="
_NO_TABLES = "has no tables of Lamplighter: run `lamplighter migrate` first"
_HINTS: dict[str, tuple[type[StoreError], str]] = {
    "08": (StoreUnavailable, "broke the connection off: see its log, and try again"),
    "28": (StoreUnavailable, "refuses this user: correct the name and the password in the URL, or pg_hba.conf"),
    "3D000": (StoreUnavailable, "has no database of that name: create it, or correct the URL"),
    "25006": (StoreUnavailable, "is read-only: point the URL at the primary (target_session_attrs=primary)"),
    "26000": (StoreUnavailable, "is behind a pooler that forgets statements: put pooler=transaction into the URL"),
    "42P05": (StoreUnavailable, "is behind a pooler that mixes statements: put pooler=transaction into the URL"),
    "40001": (StoreUnavailable, "had too many transactions in each other's way: try again"),
    "40P01": (StoreUnavailable, "had too many transactions in each other's way: try again"),
    "42501": (StoreUnavailable, "lets this user not do that: grant it the schema and the tables in it"),
    "53100": (StoreUnavailable, "cannot grow, the disk is full: free some space; nothing stored was lost"),
    "53200": (StoreUnavailable, "is out of memory: ask for less at once, or add memory"),
    "53300": (StoreUnavailable, _MANY),
    "53": (StoreUnavailable, "is short of resources: see its log"),
    "55P03": (StoreUnavailable, "has the row locked by another transaction: find it in pg_stat_activity, or wait"),
    "57014": (StoreUnavailable, "took too long, so the statement was cancelled: see what it waits for, or try again"),
    "57P": (StoreUnavailable, "is starting, stopping or restarting: try again"),
    "58": (StoreUnavailable, "cannot read or write its files: check its disk and its log"),
    "3F000": (StoreDamaged, _NO_TABLES),
    "42P01": (StoreDamaged, _NO_TABLES),
    "42703": (StoreDamaged, "has tables of another version: run `lamplighter migrate`, or upgrade this Lamplighter"),
    "XX001": (StoreDamaged, "is corrupt: stop all workers and restore it from a backup"),
    "XX002": (StoreDamaged, "has a corrupt index: stop all workers and REINDEX it"),
}


def explain(error: Exception, where: str) -> Exception:
    """The same error as one sentence that says what to do; errors that are not the database's stay as they are."""
    found = _found(error)
    if found is None:
        return error
    kind, hint = found
    return kind(f"the database {where} {hint}.")


def code(error: BaseException) -> str:
    """PostgreSQL's SQLSTATE; empty when the error is not its own."""
    return str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")


def _found(error: Exception) -> tuple[type[StoreError], str] | None:
    if isinstance(error, PoolTimeout):
        return StoreUnavailable, "has all our connections in use: wait, or give the URL more connections="
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return StoreUnavailable, "does not answer: see that it runs and can be reached, or raise patience= in the URL"
    if isinstance(error, OSError):
        return StoreUnavailable, f"cannot be reached ({error.strerror or type(error).__name__}): see that it runs there"
    state = code(error)
    for length in (5, 3, 2):
        if found := _HINTS.get(state[:length]):
            return found
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return _HINTS["08"]
    return None
