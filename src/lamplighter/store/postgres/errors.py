"""PostgreSQL's errors as sentences that say what to do."""

from __future__ import annotations

import ssl

import asyncpg

from lamplighter.core.errors import StoreDamaged, StoreError, StoreUnavailable, TooLarge, TransactionUnsupported

_Kind = type[StoreError] | type[TooLarge]

_AGAIN = "met another transaction that changed the same: the same call may succeed now"
_AWAY = "is shutting down or starting up: wait for it, or see its log"
_REFUSED = "refuses the user or its password: correct the store URL, or pg_hba.conf"
_NO_TABLES = "has no tables of Lamplighter, or others than this version needs: run `lamplighter migrate`"
_NO_MEMORY = "has too little memory for this: ask for less at once, or give it more"

_HINTS: dict[str, tuple[_Kind, str]] = {
    "LAMP1": (
        TransactionUnsupported,
        "is not where this transaction is open: use one in the same database",
    ),
    "22P05": (StoreError, "cannot hold this text in its encoding: make the database with ENCODING 'UTF8'"),
    "25006": (StoreUnavailable, "takes no writes, as a standby does: point the store URL at the primary"),
    "25P02": (StoreUnavailable, "refuses more in a transaction that has failed: roll back and try again"),
    "28000": (StoreUnavailable, _REFUSED),
    "28P01": (StoreUnavailable, _REFUSED),
    "3D000": (StoreUnavailable, "does not exist: create it, for example with createdb, or correct the store URL"),
    "3F000": (StoreDamaged, _NO_TABLES),
    "40001": (StoreUnavailable, _AGAIN),
    "40P01": (StoreUnavailable, _AGAIN),
    "42501": (StoreUnavailable, "does not let this user do that: GRANT it, or name another user in the store URL"),
    "42703": (StoreDamaged, _NO_TABLES),
    "42883": (StoreDamaged, _NO_TABLES),
    "42P01": (StoreDamaged, _NO_TABLES),
    "53100": (StoreUnavailable, "cannot grow, its disk is full: free some space; nothing stored was lost"),
    "53200": (StoreUnavailable, _NO_MEMORY),
    "53300": (
        StoreUnavailable,
        "has no connection left: raise its max_connections, lower `connections` in the store URL, or use PgBouncer",
    ),
    "54000": (TooLarge, "cannot take so much in one call: add fewer jobs at once"),
    "55P03": (StoreUnavailable, "holds rows for another transaction that does not end: commit it or roll it back"),
    "57014": (StoreUnavailable, "was not done in time: see what holds it up in pg_stat_activity"),
    "57P01": (StoreUnavailable, _AWAY),
    "57P02": (StoreUnavailable, _AWAY),
    "57P03": (StoreUnavailable, _AWAY),
}
_CLASSES: dict[str, tuple[_Kind, str]] = {
    "08": (StoreUnavailable, "was lost in mid-sentence: the same call may succeed now"),
    "53": (StoreUnavailable, "is short of something it needs: see its log"),
    "58": (StoreUnavailable, "cannot read or write its files: see its log"),
    "XX": (StoreDamaged, "reports damage in its own tables: see its log before anything else"),
}


def explain(error: BaseException, shown: str) -> BaseException:
    """The same error as one sentence that says what to do; errors that are not PostgreSQL's stay as they are."""
    found = _hint(error)
    if found is None:
        return error
    kind, hint = found
    explained = kind(f"the database {shown} {hint}.")
    explained.__cause__ = error
    return explained


def is_answer(error: BaseException) -> bool:
    """Whether the server itself said no: then the connection is as good as before."""
    return isinstance(error, asyncpg.PostgresError) and not isinstance(error, asyncpg.PostgresConnectionError)


def _hint(error: BaseException) -> tuple[_Kind, str] | None:
    if isinstance(error, TimeoutError):
        return StoreUnavailable, "did not answer in time: see that it is up, and what holds it in pg_stat_activity"
    if isinstance(error, ssl.SSLError):
        return StoreUnavailable, f"cannot be reached by TLS ({error.reason}): correct sslmode and sslrootcert"
    if isinstance(error, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError):
        return StoreUnavailable, "cannot be reached: see that it is up, and the host and port of the store URL"
    code = getattr(error, "sqlstate", None) or ""
    return _HINTS.get(code) or _CLASSES.get(code[:2])
