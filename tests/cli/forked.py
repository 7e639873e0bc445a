"""Calls of the program, each forked from one process that has read its modules already."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

STREAMS = ("stdin", "stdout", "stderr")
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.cli.everything"])


def forked(
    folder: Path, args: Sequence[str], environ: Mapping[str, str], stdin: str, *, timeout: float
) -> tuple[int, str, str]:
    """What `lamplighter ARGS` in the folder comes to: its exit code, what it wrote to stdout and to stderr."""
    with TemporaryDirectory() as kept:
        files = [Path(kept, name) for name in STREAMS]
        files[0].write_text(stdin, encoding="utf-8")
        child = _FORKS.Process(target=_call, args=(str(folder), ["lamplighter", *args], dict(environ), files))
        child.start()
        child.join(timeout)
        if child.exitcode is None:
            child.kill()
            raise TimeoutError(f"lamplighter {' '.join(args)} took more than {timeout} s")
        out, err = (file.read_text(encoding="utf-8") for file in files[1:])
        return child.exitcode, out, err


def _call(folder: str, argv: list[str], environ: dict[str, str], files: Sequence[Path]) -> NoReturn:
    """Become what the shell would have started."""
    from lamplighter.cli.main import main

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    for number, (file, mode) in enumerate(zip(files, "rww", strict=True)):
        os.dup2(os.open(file, os.O_RDONLY if mode == "r" else os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
        setattr(sys, STREAMS[number], open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    sys.argv[:] = argv
    sys.path[0] = ""
    main()
