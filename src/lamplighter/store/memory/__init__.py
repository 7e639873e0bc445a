"""The memory store, without a database: for tests, trials, and as the oracle for other stores."""

from __future__ import annotations

from lamplighter.store.memory.store import MemoryStore

__all__ = ["MemoryStore"]
