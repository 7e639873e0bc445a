"""The program in a process of its own, as a person or a script would call it.

Most of what a call costs is Python reading modules. So calls are forked from a process that has read them; what Python
itself reads when it starts (its own variables, how it is run) gets the installed program, as does what is left running.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from tests.cli.forked import forked

PROGRAM = str(Path(sys.executable).with_name("lamplighter"))
SOON = 60  # seconds that anything may take on a machine under load
NOTHING: Mapping[str, str] = MappingProxyType({})


class Answer(NamedTuple):
    """What a call came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The object in the last line."""
        return json.loads(self.out.splitlines()[-1])

    @property
    def sentence(self) -> str:
        """The one sentence that an error is."""
        [line] = self.err.splitlines()
        assert line.startswith("Error: ")
        assert line.endswith((".", "?"))
        return line.removeprefix("Error: ")


class Program:
    """Calls the program in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *args: str, environ: Mapping[str, str] = NOTHING, stdin: str = "", **how: Any) -> Answer:
        """Run it to its end."""
        if not how and not any(name.startswith("PYTHON") for name in environ):
            return Answer(*forked(self.folder, args, {**environment(), **environ}, stdin, timeout=SOON))
        ended = subprocess.run(
            [PROGRAM, *args],
            cwd=self.folder,
            env={**environment(), **environ},
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=SOON,
            check=False,
            **how,
        )
        return Answer(ended.returncode, ended.stdout, ended.stderr)

    def start(self, *args: str, environ: Mapping[str, str] = NOTHING) -> subprocess.Popen[str]:
        """Start it, to be read line by line."""
        return subprocess.Popen(
            [PROGRAM, *args],
            cwd=self.folder,
            env={**environment(), **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )


def environment() -> dict[str, str]:
    """Ours, without settings for Lamplighter or terminals."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LAMPLIGHTER_", "_LAMPLIGHTER", "TTY_", "FORCE_")) and name not in {"COLUMNS", "LINES"}
    }


def read_until(process: subprocess.Popen[str], word: str) -> str:
    """The next line of its stdout that has the word in it. Waits as long as the test may."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if word in line:
            return line
    raise AssertionError(f"it ended without saying {word!r}, but {seen}")


def end(process: subprocess.Popen[str]) -> Answer:
    """What it says until its end, which comes by itself."""
    out, err = process.communicate(timeout=SOON)
    return Answer(process.returncode, out, err)
