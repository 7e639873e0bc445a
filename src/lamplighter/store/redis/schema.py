"""What the keys and values under a prefix are like, as a number: that of the newest post step, 2 before there is any.

So who finds a greater number than it knows has to leave the prefix alone. What pre steps add is no hindrance to anyone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from lamplighter.core.secret import redact_url
from lamplighter.store.migrate import Choose, Step
from lamplighter.store.redis.check import NEWEST, doubts, number_of
from lamplighter.store.redis.link import Link
from lamplighter.store.redis.scripts import script
from lamplighter.store.redis.url import parse

STEPS = (Step(2, "pre", "first"),)


class RedisSchema:
    """The schema of one store (see `migrate.Schema`). No step has anything to do yet but to be noted."""

    steps = STEPS

    def __init__(self, url: str) -> None:
        self._place = parse(url)
        self._shown = redact_url(url)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The schema of the store of that URL."""
        return cls(url)

    @property
    def what(self) -> str:
        return f"the prefix {self._place.prefix} of the Redis server {self._shown}"

    async def taken(self) -> list[Step]:
        async with self._linked() as link:
            return self._up_to(await link.run(script("schema"), again=True))

    async def take(self, choose: Choose) -> list[Step]:
        async with self._linked() as link:
            steps = choose(self._up_to(await link.run(script("schema"), again=True)))
            if steps:
                await link.run(script("open"), NEWEST, again=True)
            return steps

    async def doubts(self) -> list[str]:
        async with self._linked() as link:
            return await doubts(link, self._shown)

    @asynccontextmanager
    async def _linked(self) -> AsyncIterator[Link]:
        link = Link(self._place)
        try:
            yield link
        finally:
            await link.close()

    def _up_to(self, number: bytes | None) -> list[Step]:
        found = 0 if number is None else number_of(number, self._shown)
        unknown = [Step(found, "post", "of a newer version")] if found > NEWEST else []
        return [step for step in STEPS if step.number <= found] + unknown
