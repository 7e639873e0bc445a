"""What every process needs that we start and may have to kill: a group of its own, an end with its parent, a limit."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import threading
from collections.abc import Callable


def kill_group(pid: int) -> None:
    """Kill the process and all that it started, if it has made itself the leader of a group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.getpgid(pid) == pid:  # not before the child has a group of its own: until then it is in ours
            os.killpg(pid, signal.SIGKILL)


def end_with(wait_for_parent: Callable[[], object]) -> None:
    """A parent that was killed can kill nobody: so its children watch it, or they would run on beside their retries.

    Called by the leader of a group; `wait_for_parent` returns when the parent is no more.
    """

    def watch() -> None:
        wait_for_parent()
        os.killpg(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def limit_memory(megabytes: int) -> None:
    """Of this process's address space, for good."""
    most = megabytes * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def signal_that_ended(exit_code: int | None) -> str | None:
    """The signal's name; None: it ended by itself, or has not ended."""
    if exit_code is None or exit_code >= 0:
        return None
    try:
        return signal.Signals(-exit_code).name
    except ValueError:  # a real-time signal has none
        return f"signal {-exit_code}"
