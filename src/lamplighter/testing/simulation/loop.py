"""An event loop on virtual time, for any number of simulated processes.

When nothing is ready it jumps to the next timer, so that minutes pass in milliseconds. What is ready belongs to the
process in whose context it was made: processes take turns by the dice, each keeps its own order, and one that is
frozen has no turns at all.
"""

from __future__ import annotations

import asyncio
import random
import threading
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from heapq import heappop, heappush
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")

PROCESS: ContextVar[str] = ContextVar("lamplighter_simulated_process", default="world")

MOST_TURNS = 200_000  # of one run: one that takes more spins


class Standstill(Exception):
    """Nothing will ever happen any more, or time does not get on: whoever is waited for is waited for in vain."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs what `run_until_complete` is given, without waiting and without a thread."""

    def __init__(self, dice: random.Random, *, most_turns: int = MOST_TURNS) -> None:
        super().__init__()
        self.turns = 0
        self.errors: list[str] = []
        """What asyncio had to say of tasks whose errors nobody saw."""
        self._dice = dice
        self._most_turns = most_turns
        self._now = 0.0
        self._orders = count()
        self._timers: list[tuple[float, int, str, asyncio.TimerHandle]] = []
        self._lines: dict[str, deque[asyncio.Handle]] = {}
        self._ready_processes: list[str] = []
        self._frozen: set[str] = set()
        self._is_to_stop = False

    def time(self) -> float:
        """Seconds since the run began."""
        return self._now

    def spawn(self, process: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin some work of a process: whatever comes of it belongs to that process too."""
        context = copy_context()
        context.run(PROCESS.set, process)
        return self.create_task(work, context=context)

    def freeze(self, process: str) -> None:
        """Give a process no more turns."""
        self._frozen.add(process)
        if process in self._ready_processes:
            self._ready_processes.remove(process)

    def thaw(self, process: str) -> None:
        """Let it go on with all that has become ready meanwhile."""
        self._frozen.discard(process)
        if self._lines.get(process) and process not in self._ready_processes:
            self._ready_processes.append(process)

    def call_soon(  # type: ignore[override]  # typed with a TypeVarTuple there: callers are checked by asyncio's own
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        context = context or copy_context()
        handle = asyncio.Handle(callback, args, self, context)
        self._put(context.get(PROCESS, "world"), handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + max(0.0, delay), callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        context = context or copy_context()
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heappush(self._timers, (when, next(self._orders), context.get(PROCESS, "world"), handle))
        return handle

    def run_forever(self) -> None:
        """Take turns until stopped.

        Raises:
            Standstill: there is nothing left to wait for.
        """
        self._thread_id: int | None = threading.get_ident()  # asyncio's sign that a loop runs
        events._set_running_loop(self)
        try:
            while not self._is_to_stop:
                self._turn()
        finally:
            self._is_to_stop = False
            self._thread_id = None
            events._set_running_loop(None)

    def stop(self) -> None:
        self._is_to_stop = True

    def close(self) -> None:
        """Drop what was still to be done."""
        self._lines.clear()
        self._timers.clear()
        super().close()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(f"{context.get('message')} ({context.get('exception') or context.get('task')!r})")

    def _turn(self) -> None:
        self.turns += 1
        if self.turns > self._most_turns:
            raise Standstill(f"at {self._now:.3f} s the run had taken {self._most_turns:,} turns: something spins.")
        if not self._ready_processes:
            self._jump()
            return
        process = self._ready_processes[int(self._dice.random() * len(self._ready_processes))]
        line = self._lines[process]
        handle = line.popleft()
        if not line:
            self._ready_processes.remove(process)
        if not handle.cancelled():
            handle._run()

    def _jump(self) -> None:
        if not self._timers:
            raise Standstill(f"at {self._now:.3f} s nothing was left that could happen.")
        self._now = max(self._now, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self._now:
            _, _, process, handle = heappop(self._timers)
            if not handle.cancelled():
                self._put(process, handle)

    def _put(self, process: str, handle: asyncio.Handle) -> None:
        line = self._lines.setdefault(process, deque())
        if not line and process not in self._frozen:
            self._ready_processes.append(process)
        line.append(handle)
