"""Each environment of peers, installed once from what it locks: nothing of theirs is in ours."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from bench.peers.subjects import place

STAMP = ".made-from"  # written last: without it, an environment was left half-made
NPM_CI = ("npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund")


class CannotRun(Exception):
    """A peer cannot be measured; the message is one sentence that says why."""


def ready(environment: str) -> None:
    """Make it, unless it is there as its lock says.

    Raises:
        CannotRun: it cannot be installed here.
    """
    if not environment:
        return
    made = place(environment)
    lock = made.with_name("package-lock.json" if environment == "node" else "requirements.txt")
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = made / STAMP
    if not stamp.exists() or stamp.read_text() != wanted:
        _make_node(made) if environment == "node" else _make_python(made, lock)
        stamp.write_text(wanted)


def _make_python(made: Path, lock: Path) -> None:
    """Without pip where uv is there: it is far faster."""
    if uv := shutil.which("uv"):
        _run(uv, "venv", "--clear", "--python", sys.executable, str(made))
        _run(uv, "pip", "install", "--python", str(made / "bin/python"), "--require-hashes", "-r", str(lock))
    else:
        _run(sys.executable, "-m", "venv", "--clear", str(made))
        _run(str(made / "bin/python"), "-m", "pip", "install", "--require-hashes", "-r", str(lock))


def _make_node(made: Path) -> None:
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise CannotRun(f"{program} is not on PATH: install Node.js 20 or newer.")
    _run(*NPM_CI, cwd=made.parent)


def _run(*command: str, cwd: Path | None = None) -> None:
    ran = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if ran.returncode:
        last = (ran.stdout.strip().splitlines() or ["it said nothing"])[-1]
        raise CannotRun(f"`{' '.join(command[:3])} ...` failed ({last}): check that the package index can be reached.")
