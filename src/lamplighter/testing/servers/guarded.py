"""A process that cannot outlive this one, however this one ends."""

from __future__ import annotations

import json
import selectors
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

GUARD = Path(__file__).with_name("guard.py")


class User(NamedTuple):
    """Whom a server runs as; None is whoever we are."""

    uid: int | None = None
    gid: int | None = None


OURSELVES = User()


class Guarded:
    """Starts one program after another, each after the last has ended, behind a guard of its own.

    `last` ends a program that still runs when this is closed or this process ends; `folders` are removed then.
    """

    def __init__(self, folders: Sequence[Path], *, last: signal.Signals = signal.SIGKILL) -> None:
        self.pid = 0
        self._folders = folders
        self.code: int | None = 0
        self._guard = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", str(GUARD), str(int(last)), *map(str, folders)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            start_new_session=True,  # Ctrl-C in the terminal is for us, and we then end it in order
        )

    def start(self, argv: Sequence[str], log: Path, user: User = OURSELVES) -> None:
        """Start it; what it writes to standard output and error is added to `log`."""
        assert self.ended(0), "it runs already: stop() or kill() it first."
        order = {"argv": list(argv), "user": user.uid, "group": user.gid, "log": str(log)}
        assert self._guard.stdin
        self._guard.stdin.write(json.dumps(order).encode() + b"\n")
        self.pid, self.code = self._hear("pid"), None

    def ended(self, seconds: float) -> bool:
        """Whether it has ended, or does within so many seconds."""
        if self.code is None and self._says_something(seconds):
            self.code = self._hear("exit")
        return self.code is not None

    def close(self) -> None:
        """End it, and remove the folders."""
        self._guard.communicate()
        for folder in self._folders:  # the guard has removed it, unless it was killed itself
            shutil.rmtree(folder, ignore_errors=True)

    def _says_something(self, seconds: float) -> bool:
        assert self._guard.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(self._guard.stdout, selectors.EVENT_READ)
            return bool(selector.select(seconds))

    def _hear(self, word: str) -> int:
        assert self._guard.stdout
        line = self._guard.stdout.readline().split()
        assert line[:1] == [word.encode()], f"the guard said {line}: what it wrote to standard error says why."
        return int(line[1])
