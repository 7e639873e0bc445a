"""What the docs say is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lamplighter.core.config import load

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?://)([^)#]+)")
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def run(*command: str, cwd: Path = ROOT) -> str:
    """What Python prints."""
    ran = subprocess.run([sys.executable, *command], check=False, cwd=cwd, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_readmes_code_runs(tmp_path: Path) -> None:
    [code] = BLOCK.findall((ROOT / "README.md").read_text())
    assert run("-c", code, cwd=tmp_path) == "Good evening, Ada\n"


def test_the_test_that_the_docs_show_passes(tmp_path: Path) -> None:
    _, code = BLOCK.findall((ROOT / "docs/howto/test-your-jobs.md").read_text())
    (tmp_path / "test_page.py").write_text(code)
    options = ("-p", "no:cacheprovider", "-o", "asyncio_mode=auto")
    assert "1 passed" in run("-m", "pytest", "-q", *options, "test_page.py", cwd=tmp_path)


def test_the_outbox_that_the_docs_show_works(tmp_path: Path, redis_prefix_url: str) -> None:
    _, code = BLOCK.findall((ROOT / "docs/howto/transactions.md").read_text())
    assert "redis://localhost:6379" in code
    assert (
        run("-c", code.replace("redis://localhost:6379", redis_prefix_url), cwd=tmp_path) == "A receipt for order 1\n"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_on_a_page_compiles(page: Path) -> None:
    for code in BLOCK.findall(page.read_text()):
        wrapped = "async def page():\n" + "\n".join(f"    {line}" for line in code.splitlines())
        compile(wrapped.replace("from __future__", "# from __future__"), page.name, "exec")


def test_every_setting_is_described_with_its_default() -> None:
    described = dict(
        re.findall(r"^\| `(\w+)` \| `?([^|`]+)`? \|", (ROOT / "docs/reference/settings.md").read_text(), re.MULTILINE)
    )
    in_force = {row.key: row.value for row in load(environ={}, cwd=Path("/nonexistent")).describe()}
    assert described.keys() == in_force.keys()
    told = {key: value.strip() for key, value in described.items() if in_force[key] != "not set"}
    assert told == {key: value for key, value in in_force.items() if value != "not set"}


def test_every_command_is_in_the_reference() -> None:
    commands = set(re.findall(r"^\s{2}([a-z]+)\s{2,}", run("-m", "lamplighter.cli.main", "--help"), re.MULTILINE))
    described = set(re.findall(r"`([a-z]+)(?: [^`]*)?`", (ROOT / "docs/reference/command-line.md").read_text()))
    assert commands
    assert commands <= described
