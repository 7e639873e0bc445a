"""Readers that do what a parser does whom a file has got the better of."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

from lamplighter.families.files.extraction.document import Document, Found
from lamplighter.families.files.extraction.wire import LENGTH


def read(document: Document, found: Found) -> None:
    """As the file's text says."""
    word = document.file.read().decode().split()[0]
    globals()[f"_{word}"](document, found)


READERS = {"text/*": f"{__name__}:read"}


def _well(document: Document, found: Found) -> None:
    found.add(f"{os.getpid()}")


def _never_ends(document: Document, found: Found) -> None:
    """And has started another program, which has to go with it; the file's name is among its arguments."""
    with contextlib.suppress(OSError):  # where it may start none
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", document.name])
    while True:
        time.sleep(3600)


def _eats_memory(document: Document, found: Found) -> None:
    eaten = []
    while True:
        eaten.append(bytes(1024 * 1024))


def _is_killed(document: Document, found: Found) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _crashes(document: Document, found: Found) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _leaves(document: Document, found: Found) -> None:
    os._exit(3)


def _says_too_much(document: Document, found: Found) -> None:
    os.write(_socket(), LENGTH.pack(2**31) + bytes(100_000))
    time.sleep(3600)


def _talks_nonsense(document: Document, found: Found) -> None:
    os.write(_socket(), LENGTH.pack(4) + b"\xc1\xc1\xc1\xc1")
    time.sleep(3600)


def _tells_nul(document: Document, found: Found) -> None:
    found.add("a\0b\ud800c\u202ed  \n \n e")
    found.title = "t\0" + "x" * 10_000
    found.details = {f"k{n}": float("nan") if n % 2 else "v\0" for n in range(10_000)}
    found.pages, found.created_at = -5, "0001-01-01"


def _writes(document: Document, found: Found) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with open(os.readlink(f"/proc/self/fd/{document.file.fileno()}") + ".written", "wb") as file:
        file.write(b"x")


def _looks_around(document: Document, found: Found) -> None:
    found.add(" ".join(sorted(os.environ)) + f" {os.getsid(0) == os.getpid()}")


def _socket() -> int:
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                return int(name)
    raise LookupError
