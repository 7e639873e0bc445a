"""Find the sqlite3 connection behind whatever a caller's transaction is wrapped in."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from lamplighter.core.errors import TransactionUnsupported


def cursor_of(tx: Any, path: Path) -> sqlite3.Cursor:
    """A cursor in the transaction of a sqlite3 connection, or of a synchronous SQLAlchemy connection or session.

    Raises:
        TransactionUnsupported: it is none of these, is open on another file, or would commit each statement by itself.
    """
    connection = _unwrap(tx)
    if connection is None:
        raise TransactionUnsupported(
            f"tx={type(tx).__name__} is no transaction on {path}: give a sqlite3 connection, or a synchronous "
            "SQLAlchemy connection or session, that is open on the same file."
        )
    cursor = connection.cursor()
    cursor.row_factory = None  # the caller's may make something else of rows than the tuples we expect
    _refuse_other_file(cursor, path)
    if connection.isolation_level is None and not connection.in_transaction:
        raise TransactionUnsupported("tx has not begun, so nothing could be rolled back: execute BEGIN first.")
    return cursor


def _refuse_other_file(cursor: sqlite3.Cursor, path: Path) -> None:
    [main] = [row[2] for row in cursor.execute("PRAGMA database_list") if row[1] == "main"]
    if not main or not path.exists() or not os.path.samefile(main, path):
        raise TransactionUnsupported(
            f"tx is open on {main or 'memory'}, but the jobs are in {path}: use the same file."
        )


def _unwrap(tx: Any) -> sqlite3.Connection | None:
    if isinstance(tx, sqlite3.Connection):
        return tx
    if hasattr(tx, "sync_session") or hasattr(tx, "sync_connection"):
        return None  # SQLAlchemy's asynchronous ones: their statements run in a thread of their own
    if hasattr(tx, "get_bind") and callable(getattr(tx, "connection", None)):
        tx = tx.connection()  # a SQLAlchemy session begins with this
    raw = getattr(getattr(tx, "connection", None), "dbapi_connection", None)
    if not isinstance(raw, sqlite3.Connection):
        return None
    if not tx.in_transaction():
        tx.begin()  # as its own `execute` would: its `commit` does nothing, and loses our jobs, unless it has begun
    return raw
