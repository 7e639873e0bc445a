"""What jobs log: lines, as stores and engine exchange them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from msgspec import Struct

LogLevel = Literal["debug", "info", "warning", "error"]


class LogLine(Struct, frozen=True, kw_only=True):
    """A line that a handler logged. `fence` and `n` are its place: the attempt, and how many lines that had until then.

    `fields`: a JSON object of what it was logged with.
    """

    n: int
    at: datetime
    level: LogLevel
    message: str
    fields: str = "{}"
    fence: int = 0

    @property
    def place(self) -> LogPlace:
        """Where it stands among the lines of its job."""
        return LogPlace(self.fence, self.n)


class LogPlace(NamedTuple):
    """A place among the lines of a job; the default is before all of them."""

    fence: int = 0
    n: int = 0


class Logged(NamedTuple):
    """What one attempt logged, in order of `n`. The lines belong to its fence, whatever theirs is."""

    id: str
    fence: int
    lines: Sequence[LogLine]
