"""What the engine knows of a kind of job: its function and how to run it."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal

from msgspec import Struct

from lamplighter.core.codec import Codec
from lamplighter.core.errors import ConfigError, UnknownJob
from lamplighter.core.retry import RetryPolicy

Runs = Literal["loop", "thread", "process"]


class Definition(Struct, frozen=True, kw_only=True):
    """One registered job. Times are seconds in `timeout`; `memory_mb` bounds a process job's address space.

    `max_crashes`: after so many workers that vanished while they ran a job, that job has failed.
    """

    name: str
    queue: str
    function: Callable[..., Any]
    codec: Codec
    runs: Runs
    retry: RetryPolicy
    timeout: float | None
    keep_done: timedelta | None
    keep_failed: timedelta | None
    memory_mb: int | None = None
    max_crashes: int = 3


class Registry:
    """The jobs of one app, by name."""

    def __init__(self) -> None:
        self._by_name: dict[str, Definition] = {}

    def add(self, definition: Definition) -> None:
        """Register one.

        Raises:
            ConfigError: the name is taken, or a process job is not a function at the top of a module.
        """
        if definition.name in self._by_name:
            raise ConfigError(f"two jobs are named {definition.name!r}: give one of them another name=.")
        if definition.runs == "process" and "<locals>" in definition.function.__qualname__:
            raise ConfigError(
                f"job {definition.name!r} runs in a process of its own: define it at the top of a module."
            )
        self._by_name[definition.name] = definition

    def find(self, name: str) -> Definition | None:
        """The job of that name, if this app has it."""
        return self._by_name.get(name)

    def get(self, name: str) -> Definition:
        """The job of that name.

        Raises:
            UnknownJob: this app has no such job.
        """
        if definition := self._by_name.get(name):
            return definition
        near = difflib.get_close_matches(name, self._by_name, n=1)
        raise UnknownJob(f"there is no job {name!r} in this app" + (f": did you mean {near[0]!r}?" if near else "."))

    @property
    def queues(self) -> list[str]:
        """Every queue that a registered job goes to by default."""
        return sorted({definition.queue for definition in self._by_name.values()})

    def __len__(self) -> int:
        return len(self._by_name)


def how_it_runs(function: Callable[..., Any], *, process: bool) -> Runs:
    """`async def` on the event loop, `def` in a thread, and either in a process of its own when asked."""
    if process:
        return "process"
    return "loop" if inspect.iscoroutinefunction(function) else "thread"
