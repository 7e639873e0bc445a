"""What happened, for whoever listens in this process. Events carry ids and names, never arguments or results."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Literal

from msgspec import Struct

EventKind = Literal[
    "enqueued",
    "started",
    "done",
    "retried",
    "snoozed",
    "failed",
    "cancelled",
    "released",
    "lost",
    "rescued",
    "fired",
    "breaker_opened",
    "breaker_closed",
]

_log = logging.getLogger("lamplighter.events")


class Event(Struct, frozen=True, kw_only=True):
    """One thing that happened to one job, or to the breaker of one key of a limit (`key`; `job` is empty then).

    `late_ms`: how long after its time the job was claimed.
    """

    kind: EventKind
    job: str
    at: datetime
    name: str = ""
    queue: str = ""
    tenant: str | None = None
    reason: str | None = None
    late_ms: float | None = None
    key: str = ""


Listener = Callable[[Event], None]


class Bus:
    """Hands each event to every listener, in the order they came. A listener that raises is logged and kept."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    @property
    def heard(self) -> bool:
        """Whether anyone listens: the hot path builds no event that nobody hears."""
        return bool(self._listeners)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Add a listener; call what is returned to take it away."""
        self._listeners.append(listener)

        def leave() -> None:
            with suppress(ValueError):  # it has left already
                self._listeners.remove(listener)

        return leave

    def emit(self, event: Event) -> None:
        """Tell every listener."""
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception:  # noqa: BLE001 - a listener may fail in any way
                _log.exception("A listener failed on a %s event of job %s.", event.kind, event.job)
