"""A schema as a whole: whether anything is in it, and its end."""

from __future__ import annotations

from lamplighter.store.postgres.connections import connect
from lamplighter.store.postgres.errors import explained
from lamplighter.store.postgres.url import Place, parse


async def is_fresh(url: str) -> bool:
    """Whether nothing is in the schema of that URL, or there is none. Raises StoreUnavailable."""
    place = parse(url)
    found = "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 LIMIT 1"
    return await _ask(place, found, place.schema) is None


async def forget(url: str) -> None:
    """Drop the schema of that URL with everything in it, whoever's it is. Raises StoreUnavailable."""
    place = parse(url)
    await _ask(place, f"DROP SCHEMA IF EXISTS {place.schema} CASCADE")  # a name that `parse` has checked


async def _ask(place: Place, statement: str, *values: str) -> object:
    with explained(place.shown):
        connection = await connect(place)
        try:
            return await connection.fetchval(statement, *values)
        finally:
            await connection.close()
