"""What happened, told outside the store: each process appends to a file of its own, one line for each thing.

A line is written with one call, so a process that is killed leaves whole lines only, and what it wrote stays written:
the kernel has it. Moments are of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Literal, Self

import msgspec
from msgspec import Struct

What = Literal[
    "claimed",  # by a worker: the store gave it this attempt
    "begin",  # by a handler
    "end",  # by a handler: its effect
    "finished",  # by a worker: the store accepted how the attempt ended (`detail`: the verb)
    "refused",  # by a worker: the store did not
    "stalled",  # by a worker: it, or a renewal of its leases, stood still since `since`
    "asked",  # by whoever adds a job
    "added",  # the store acknowledged a new job (`detail`: its unique key)
    "held",  # the store answered that the key is held, so there is no new job
    "withdrawn",  # the transaction that added it was rolled back
    "unwanted",  # an operator is about to cancel it
    "doubtful",  # the store answered with an error: the job may be there or not
]


class Line(Struct, frozen=True, array_like=True):
    """One thing that happened. `since`: when what took a while began; `number`: of the task, see `tasks.py`."""

    at: float
    real: float
    who: str
    what: What
    job: str = ""
    fence: int = 0
    number: int = -1
    step: int = 0
    since: float = 0.0
    detail: str = ""


class Journal:
    """The file that one process appends to."""

    def __init__(self, folder: Path, who: str) -> None:
        self.who = who
        self._file = os.open(folder / f"{who}.lines", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, *lines: Line) -> None:
        """Append these; they are there once this returns."""
        data = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
        while data:
            data = data[os.write(self._file, data) :]

    def line(
        self,
        what: What,
        job: str = "",
        fence: int = 0,
        *,
        number: int = -1,
        step: int = 0,
        since: float = 0.0,
        detail: str = "",
    ) -> Line:
        """A line about now."""
        return Line(self.passed(), self.real(), self.who, what, job, fence, number, step, since, detail)

    def passed(self) -> float:
        """The monotonic clock."""
        return time.monotonic()

    def real(self) -> float:
        """The wall clock, in seconds since 1970."""
        return time.time()

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


_decode = msgspec.json.Decoder(Line).decode


def read(folder: Path) -> list[Line]:
    """All lines of all processes, in the order of their moments. A last line that was cut off does not count."""
    lines = [
        _decode(text)
        for path in folder.glob("*.lines")
        for text in path.read_bytes().splitlines(keepends=True)
        if text.endswith(b"\n")
    ]
    return sorted(lines, key=lambda line: line.at)
