"""What package-lock.json locks, installed once per checkout however many workers ask."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
STAMP = HERE / "node_modules" / ".made-from"  # npm removes node_modules first: what was left half-made has no stamp
NPM_CI = ["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
# npm's own patience outlasts a test's timeout, which would end the worker without saying why.
IMPATIENT = ["--fetch-timeout=20000", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
RUNS_HERE = "process.exit(typeof URL.parse === 'function' ? 0 : 1)"  # the newest thing in Node that any of them uses


def install_once() -> None:
    """Skips the test where there is no Node; fails it where npm cannot install."""
    _need_node()
    with (HERE / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two npm at once would write over each other
        made_from = _checksum()
        if not STAMP.exists() or STAMP.read_text() != made_from:
            _install()
            STAMP.write_text(made_from)


def _need_node() -> None:
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"NOT TESTED AGAINST A REAL PROVIDER: {program} is not on PATH. Install Node.js 22 or newer.")
    if subprocess.run(["node", "--eval", RUNS_HERE], check=False).returncode:
        pytest.skip("NOT TESTED AGAINST A REAL PROVIDER: this node is too old. Install Node.js 22 or newer.")


def _checksum() -> str:
    locked = (HERE / "package.json").read_bytes() + (HERE / "package-lock.json").read_bytes()
    return hashlib.sha256(locked).hexdigest()


def _install() -> None:
    npm = subprocess.run([*NPM_CI, *IMPATIENT], cwd=HERE, capture_output=True, text=True, check=False)
    if npm.returncode:
        pytest.fail(
            "`npm ci` in tests/counterparts could not install the servers that tests are clients of: check that the "
            f"npm registry can be reached, and try again. npm said:\n{npm.stderr[-2000:]}",
            pytrace=False,
        )
