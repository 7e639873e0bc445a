"""PostgreSQL's errors as sentences that say what to do."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import asyncpg

from lamplighter.core.errors import (
    ConfigError,
    LamplighterError,
    StoreDamaged,
    StoreError,
    StoreUnavailable,
    TooLarge,
    TransactionUnsupported,
)

_Kind = type[LamplighterError]

_AGAIN = "met another transaction that changed the same: the same call may succeed now"
_ALL_AGAIN = "met another transaction that changed the same: roll back, and run the whole transaction again"
_AWAY = "is shutting down or starting up: wait for it, or see its log"
_REFUSED = "refuses the user or its password: correct the store URL, or pg_hba.conf"
_NO_TABLES = "has no tables of Lamplighter, or others than this version needs: run `lamplighter migrate`"
_NO_MEMORY = "has too little memory for this: ask for less at once, or give it more"

_HINTS: dict[str, tuple[_Kind, str]] = {
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
_ELSEWHERE: tuple[_Kind, str] = (TransactionUnsupported, "is not where tx is open: use one in the same database")
_IN_TRANSACTION: dict[str, tuple[_Kind, str]] = {
    "LAMP1": _ELSEWHERE,
    "3F000": _ELSEWHERE,
    "42883": _ELSEWHERE,
    "42P01": _ELSEWHERE,
    "40001": (StoreUnavailable, _ALL_AGAIN),
    "40P01": (StoreUnavailable, _ALL_AGAIN),
    "42501": (StoreUnavailable, "does not let the user of tx do that: GRANT it, as to the user of the store URL"),
}
_CLASSES: dict[str, tuple[_Kind, str]] = {
    "08": (StoreUnavailable, "was lost in mid-sentence: the same call may succeed now"),
    "57": (StoreUnavailable, "was told to stop what it did for us: see its log"),
    "53": (StoreUnavailable, "is short of something it needs: see its log"),
    "58": (StoreUnavailable, "cannot read or write its files: see its log"),
    "XX": (StoreDamaged, "reports damage in its own tables: see its log before anything else"),
}


@contextmanager
def explained(shown: str) -> Iterator[None]:
    """What the server or its network has to say, as one sentence that says what to do; other errors stay as they are.

    Raises:
        StoreError: `StoreUnavailable` if the same call may succeed later.
        ConfigError: the driver cannot make sense of the store URL.
    """
    with _told(shown, _hint):
        yield


@contextmanager
def explained_in_transaction(shown: str) -> Iterator[None]:
    """The same for what the server says to a caller's transaction. What its driver says by itself stays as it is."""
    with _told(shown, _hint_in_transaction):
        yield


@contextmanager
def _told(shown: str, hint: Callable[[BaseException], tuple[_Kind, str] | None]) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if (told := _sentence(error, shown, hint)) is None:
            raise
        raise told from error


def explanation(error: BaseException, shown: str) -> LamplighterError | None:
    """What `explained` would raise for an error; None for one that it would leave as it is."""
    return _sentence(error, shown, _hint)


def _sentence(
    error: BaseException, shown: str, hint: Callable[[BaseException], tuple[_Kind, str] | None]
) -> LamplighterError | None:
    if (found := hint(error)) is None:
        return None
    kind, what_to_do = found
    return kind(f"the database {shown} {what_to_do}.")


def is_answer(error: BaseException) -> bool:
    """Whether the server itself said no: then the connection is as good as before."""
    return isinstance(error, asyncpg.PostgresError) and not isinstance(error, asyncpg.PostgresConnectionError)


def _hint(error: BaseException) -> tuple[_Kind, str] | None:
    match error:
        case TimeoutError():
            hint = "did not answer in time: see that it is up, and what holds it in pg_stat_activity"
        case ssl.SSLError():
            hint = f"cannot be reached by TLS ({error.reason}): correct sslmode and sslrootcert"
        case asyncpg.ClientConfigurationError():
            return ConfigError, f"cannot be looked for: {str(error.args[0]).rstrip('.')}; correct the store URL"
        case asyncpg.TargetServerAttributeNotMatched():
            hint = "has no server that is what target_session_attrs asks for: see that one is up"
        case asyncpg.DataError():
            return None  # a value that is none for its column
        case FileNotFoundError():
            hint = "cannot be looked for, a socket or a file of the store URL is not there: correct the path"
        case OSError() | asyncpg.InterfaceError() | asyncpg.InternalClientError():
            hint = "cannot be reached: see that it is up, and the host and port of the store URL"
        case _:
            return _of_code(getattr(error, "sqlstate", None) or "")
    return StoreUnavailable, hint


def _hint_in_transaction(error: BaseException) -> tuple[_Kind, str] | None:
    original = getattr(error, "orig", None) or error  # SQLAlchemy wraps the driver's error
    code = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None) or ""
    return _IN_TRANSACTION.get(code) or _of_code(code)


def _of_code(code: str) -> tuple[_Kind, str] | None:
    return _HINTS.get(code) or _CLASSES.get(code[:2])
