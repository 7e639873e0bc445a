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
    _refuse_other_file(connection, path)
    if connection.isolation_level is None and not connection.in_transaction:
        raise TransactionUnsupported("tx has not begun, so nothing could be rolled back: execute BEGIN first.")
    cursor = connection.cursor()
    cursor.row_factory = None  # the caller's may make something else of rows than the tuples we expect
    return cursor


def _refuse_other_file(connection: sqlite3.Connection, path: Path) -> None:
    [main] = [row[2] for row in connection.cursor().execute("PRAGMA database_list") if row[1] == "main"]
    if not main or not path.exists() or not os.path.samefile(main, path):
        raise TransactionUnsupported(
            f"tx is open on {main or 'memory'}, but the jobs are in {path}: use the same file."
        )


def _unwrap(tx: Any) -> sqlite3.Connection | None:
    if isinstance(tx, sqlite3.Connection):
        return tx
    if hasattr(tx, "sync_session") or hasattr(tx, "sync_connection"):
        return None  # SQLAlchemy's asynchronous ones: their statements run in a thread of their own
    wrapped = getattr(tx, "connection", None)
    if callable(wrapped) and hasattr(tx, "get_bind"):  # a SQLAlchemy session: its connection is a method
        wrapped = getattr(wrapped(), "connection", None)
    raw = getattr(wrapped, "dbapi_connection", None)
    return raw if isinstance(raw, sqlite3.Connection) else None
