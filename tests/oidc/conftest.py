"""A certified OpenID provider for each test that asks for one: it starts in a third of a second."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

# `python -m pytest` finds `tests.` in the directory it runs in; plain `pytest` does not look there.
sys.path.append(str(Path(__file__).parents[2]))

from tests.oidc.oidc_server import OidcServer, running_server

from lamplighter.integrations.oauth import TokenClient

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
STAMP = MODULES / ".made-from"  # npm removes node_modules first, so what was left half-made has no stamp
NPM_CI = ["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
# npm's own patience outlasts a test's timeout, which would end the worker without saying why.
IMPATIENT = ["--fetch-timeout=20000", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
RUNS_HERE = "process.exit(typeof URL.parse === 'function' ? 0 : 1)"  # the newest thing in Node that oidc-provider uses


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """What package-lock.json locks, installed once per checkout however many workers ask."""
    _need_node()
    with (HERE / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two npm at once would write over each other
        made_from = _checksum()
        if not STAMP.exists() or STAMP.read_text() != made_from:
            _install()
            STAMP.write_text(made_from)
    return MODULES


@pytest.fixture
async def oidc(node_modules: Path) -> AsyncIterator[OidcServer]:
    """A provider that nobody has connected to yet."""
    async with running_server() as server:
        yield server


@pytest.fixture
async def client() -> AsyncIterator[TokenClient]:
    async with httpx2.AsyncClient(trust_env=False) as http:
        yield TokenClient(http, timeout=30)


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
            "`npm ci` in tests/oidc could not install the OpenID provider: check that the npm registry "
            f"can be reached, and try again. npm said:\n{npm.stderr[-2000:]}",
            pytrace=False,
        )
