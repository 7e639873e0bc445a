"""Runs servers for another process, and ends them with it.

A program of its own, which `guarded.py` starts. It reads one JSON object per line, `{"argv", "user", "group", "log"}`,
starts that, and answers `pid N` at once and `exit CODE` when it ended. When its standard input ends, which the kernel
sees to however the other process ended, what runs is killed and the folders given as arguments are removed.

Nothing but the standard library, and no import of Lamplighter: it starts in a few milliseconds.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from typing import Any

PR_SET_PDEATHSIG = 1
PATIENCE = 5  # seconds between the gentler signal and SIGKILL

_C = ctypes.CDLL(None)


def main(last: str, *folders: str) -> None:
    """Serve until standard input ends. `last`: the number of the signal that ends a server."""
    process: subprocess.Popen[bytes] | None = None
    try:
        for line in sys.stdin:
            process = _start(json.loads(line))
    finally:
        if process:
            _end(process, int(last))
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _start(order: dict[str, Any]) -> subprocess.Popen[bytes]:
    who = {} if order["user"] is None else {"user": order["user"], "group": order["group"], "extra_groups": []}
    with open(order["log"], "ab") as log:
        process = subprocess.Popen(  # noqa: S603
            order["argv"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            preexec_fn=_die_with_us,  # noqa: PLW1509 - runs after the change of user, which would undo it
            **who,
        )
    _say(f"pid {process.pid}")
    threading.Thread(target=lambda: _say(f"exit {process.wait()}"), daemon=True).start()
    return process


def _die_with_us() -> None:
    """Should this program itself be killed, the kernel kills the server: on Linux alone."""
    if sys.platform == "linux":
        _C.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes], last: int) -> None:
    process.send_signal(last)
    process.send_signal(signal.SIGCONT)  # one that was stopped would not see the other
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # nobody is left to hear it
        os.write(sys.stdout.fileno(), f"{line}\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
