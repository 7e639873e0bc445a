"""Stores that keep themselves, Redis and what is in memory: something is to be said of them, and nothing to do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit

from lamplighter.core.secret import redact_url
from lamplighter.families.upkeep.finding import Finding, Size, UpkeepError
from lamplighter.families.upkeep.turn import Turn
from lamplighter.store.open import schema_of

BY_ITSELF = "A Redis server keeps itself: expired jobs go by themselves, and nothing is to be done here."
IN_MEMORY = "memory:// ends with its process: there is nothing to keep."


class ElsewhereDatabase:
    """A store that is no database of ours to keep (see `kept.Database`)."""

    tasks = ("check",)

    def __init__(self, url: str) -> None:
        self.url = redact_url(url)
        self._store = url

    @asynccontextmanager
    async def opened(self, lock_timeout: timedelta) -> AsyncIterator[ElsewhereSession]:  # noqa: ARG002 - nobody waits
        yield ElsewhereSession(self.url, self._store)


class ElsewhereSession:
    """Looks at its settings, and does nothing (see `kept.Session`)."""

    def __init__(self, url: str, store: str) -> None:
        self._url = url
        self._store = store

    async def find(self) -> list[Finding]:
        schema = schema_of(self._store)
        doubts = [] if schema is None else await schema.doubts()
        says = " ".join([IN_MEMORY if schema is None else BY_ITSELF, *doubts])
        subject = urlsplit(self._store).scheme
        return [
            Finding(task="check", database=self._url, subject=subject, is_due=False, is_held=bool(doubts), says=says)
        ]

    async def sizes(self) -> list[Size]:
        return []

    async def hold(self) -> None:
        pass

    async def steps(self, finding: Finding, turn: Turn) -> AsyncIterator[str]:  # noqa: ARG002 - see below
        raise UpkeepError(f"there is nothing to do for {finding.database}.")
        yield  # type: ignore[unreachable]  # which makes it a generator, as the others are

    async def weigh(self, finding: Finding) -> int | None:  # noqa: ARG002 - it has no size that is ours
        return None
