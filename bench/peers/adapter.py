"""A peer's process from our side: told what to do, asked what came of it, ended with all its children."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench.peers.environments import CannotRun

from lamplighter.testing.servers.base import children

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds that anything may take beyond what it is told to
RECORD = struct.Struct("<dd")


class Began(NamedTuple):
    """A job: when it was sent, or due, and when it began, in seconds since 1970."""

    sent: float
    at: float


class Records:
    """The file in which jobs of all processes write down that they began."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def count(self) -> int:
        """How many did so far."""
        return self.path.stat().st_size // RECORD.size

    def since(self, first: int) -> list[Began]:
        """All but the first so many, in the order in which they began."""
        data = self.path.read_bytes()[first * RECORD.size :]
        whole = len(data) // RECORD.size * RECORD.size
        return sorted((Began(*one) for one in RECORD.iter_unpack(data[:whole])), key=lambda began: began.at)

    def wait_for(self, count: int, seconds: float) -> bool:
        """Whether there are so many within so many seconds."""
        deadline = time.monotonic() + seconds
        while self.count() < count:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True


class Adapter:
    """One process of a peer. What it says on stderr goes into a file, and its end into the error if it fails."""

    def __init__(self, command: Sequence[str], url: str, records: Path, extra: Mapping[str, str]) -> None:
        self._log = records.with_name("stderr.log")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, url, str(records)],
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **extra},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self.hello: dict[str, Any] = {}

    def greet(self) -> None:
        """Wait until it has said what it is."""
        self.hello = self._answer(PATIENCE)

    def tell(self, do: str, *, seconds: float = 0.0, **order: object) -> dict[str, Any]:
        """Its answer to an order that may take so many seconds.

        Raises:
            CannotRun: it ended, or did not answer in time.
        """
        assert self._process.stdin
        line = json.dumps({"do": do, **({"seconds": seconds} if seconds else {}), **order})
        with contextlib.suppress(BrokenPipeError):  # that it ended is what the missing answer says
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        return self._answer(seconds + PATIENCE)

    def memory_mb(self) -> float:
        """What it and its children hold in memory."""
        return sum(_resident_mb(pid) for pid in self._family())

    def close(self) -> None:
        """End it, and whatever it started."""
        for pid in self._family():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.communicate()

    def _family(self) -> list[int]:
        family = [self._process.pid]
        for pid in family:
            family += children(pid)
        return family

    def _answer(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline() if selector.select(seconds) else None
        if line is None:
            raise CannotRun(f"it did not answer within {seconds:.0f} s; it said: {self._last_words()}.")
        if not line:
            raise CannotRun(f"it ended; it said: {self._last_words()}.")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        return (self._log.read_text(errors="replace").strip().splitlines() or ["nothing"])[-1][:300]


@contextmanager
def adapter(command: Sequence[str], url: str, records: Path, extra: Mapping[str, str]) -> Iterator[Adapter]:
    """One for as long as the block lasts."""
    started = Adapter(command, url, records, extra)
    try:
        started.greet()
        yield started
    finally:
        started.close()


def _resident_mb(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024
