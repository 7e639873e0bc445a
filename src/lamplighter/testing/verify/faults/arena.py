"""What a fault may reach, and where it is written down."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Literal

from msgspec import Struct

from lamplighter.testing.verify.crew import Crew, Member
from lamplighter.testing.verify.history import Fault
from lamplighter.testing.verify.places.place import Place

Lane = Literal["workers", "store"]  # faults of one lane wait for each other


class Arena:
    """One run, as its faults see it. `add_blocking` enqueues a job that holds up its worker's event loop."""

    def __init__(
        self,
        place: Place,
        crew: Crew,
        dice: random.Random,
        *,
        lease: float,
        add_blocking: Callable[[], Awaitable[None]],
    ) -> None:
        self.place = place
        self.crew = crew
        self.dice = dice
        self.lease = lease
        self.add_blocking = add_blocking
        self.faults: list[Fault] = []

    @contextmanager
    def fault(self, kind: str, *hit: Member, excuses: bool = True, loses: float = 0.0) -> Iterator[None]:
        """The fault lasts as long as the block; it hit these processes, or all."""
        at = time.monotonic()
        try:
            yield
        finally:
            self.faults.append(
                Fault(
                    kind=kind,
                    at=at,
                    until=time.monotonic(),
                    hit=tuple(member.name for member in hit),
                    excuses=excuses,
                    loses=loses,
                )
            )

    @asynccontextmanager
    async def extra_worker(self, offset: float) -> AsyncIterator[Member]:
        """One more worker, whose wall clock is off by so many seconds."""
        member = await self.crew.start("worker", offset=offset)
        await member.ready()
        try:
            yield member
        finally:
            await self.crew.dismiss(member)


class Kind(Struct, frozen=True, kw_only=True):
    """One kind of fault. `missing`: why a place does not allow it; empty if it does."""

    name: str
    says: str
    lane: Lane
    act: Callable[[Arena], Awaitable[None]]
    missing: Callable[[Place], str]


def everywhere(_: Place) -> str:
    """Nothing is missing, wherever it is."""
    return ""
