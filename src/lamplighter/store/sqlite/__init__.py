"""The embedded store: one file, durable, shared by several processes of one machine."""

from __future__ import annotations

from lamplighter.store.sqlite.connection import connect
from lamplighter.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore", "connect"]
