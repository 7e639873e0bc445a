"""The way between processes and the store: calls take time, are lost, arrive late, or their answers do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextvars import copy_context
from typing import TypeVar

from lamplighter.core.errors import StoreUnavailable
from lamplighter.engine.patience import LONGEST_PAUSE
from lamplighter.testing.simulation.chronicle import UNTOLD, Chronicle
from lamplighter.testing.simulation.loop import PROCESS
from lamplighter.testing.simulation.weather import CALM_LATENCY, PATIENCE, Fate, Weather, calm

T = TypeVar("T")

RENEWALS = {"put", "beat", "time"}  # calls without which leases run out


class Network:
    """Carries calls in the weather of a run, until it is `calm`."""

    def __init__(self, chronicle: Chronicle, weather: Weather, dice: random.Random) -> None:
        self.is_calm = False
        self.is_down = False
        self.cut: set[str] = set()
        """Processes that do not reach the store."""
        self.dead: set[str] = set()
        """Processes that are gone, but for the tidying up of the run itself."""
        self._chronicle = chronicle
        self._loop = chronicle.loop
        self._weather = weather
        self._dice = dice
        self._far_end = copy_context()
        self._far_end.run(PROCESS.set, "store")

    async def ask(self, who: str, what: str, act: Callable[[], T]) -> T:
        """The store's answer to one call of a process.

        Raises:
            StoreUnavailable: there was none in time. The call may have been carried out, or may be yet.
        """
        if who in self.dead:
            raise StoreUnavailable("this process is gone.")
        fate = self._fate(who)
        self._note(who, what, fate)
        answer: asyncio.Future[T] = self._loop.create_future()
        if fate.there is not None:
            back = fate.back if fate.is_heard else None
            self._loop.call_later(fate.there, self._arrive, act, answer, back, context=self._far_end)
        if fate.is_heard:
            return await answer
        await asyncio.sleep(fate.gives_up)
        raise StoreUnavailable("the simulated store did not answer.")

    def is_deaf(self) -> bool:
        """Whether a hint is lost on its way."""
        return not self.is_calm and self._dice.random() < self._weather.deaf

    def _fate(self, who: str) -> Fate:
        if self.is_down or who in self.cut:
            return Fate(None, None, self._dice.choice((CALM_LATENCY, PATIENCE)))
        return calm() if self.is_calm else self._weather.fate(self._dice)

    def _note(self, who: str, what: str, fate: Fate) -> None:
        """A renewal that fails or dawdles may cost leases; so may a claim whose answer dawdles."""
        takes = fate.takes
        if what == "finish" and not fate.is_heard:
            self._chronicle.fault(UNTOLD, who, lasts=takes + LONGEST_PAUSE, excuses=False)
        elif what not in RENEWALS | {"claim"}:
            return
        elif (what in RENEWALS and not fate.is_heard) or takes > self._weather.lease / 10:
            self._chronicle.fault(f"{what} fails or dawdles", who, lasts=takes + self._weather.lease / 3)

    def _arrive(self, act: Callable[[], T], answer: asyncio.Future[T], back: float | None) -> None:
        given: asyncio.Future[T] = self._loop.create_future()
        try:
            given.set_result(act())
        except Exception as error:  # noqa: BLE001 - it is the caller's
            given.set_exception(error)
            given.exception()  # seen: nobody may be left to whom it matters
        if back is not None:
            self._loop.call_later(back, _pass_on, given, answer)


def _pass_on(given: asyncio.Future[T], answer: asyncio.Future[T]) -> None:
    if answer.done():
        return  # whoever asked was cancelled meanwhile
    if (error := given.exception()) is not None:
        answer.set_exception(error)
    else:
        answer.set_result(given.result())
