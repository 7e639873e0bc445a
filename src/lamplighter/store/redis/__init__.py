"""The Redis store, for many machines and the highest rates: Redis 6.2 or newer, or Valkey; a cluster, or Sentinel."""

from __future__ import annotations

from lamplighter.store.redis.store import RedisStore

__all__ = ["RedisStore"]
