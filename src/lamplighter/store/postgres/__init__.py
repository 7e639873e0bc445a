"""The store for many machines whose data is in PostgreSQL: jobs can be added in the same transaction as your rows."""

from __future__ import annotations

from lamplighter.store.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
