"""What an installation without extras can do, and what it says where it cannot."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.cli.program import Program
from tests.cli.shop import Shop

INTEGRATIONS = ("aiosmtplib", "alembic", "authlib", "cryptography", "css_inline", "httpx2", "jinja2", "sqlalchemy")
ALL = (*INTEGRATIONS, "authlib", "starlette", "uvicorn", "uvloop")

HIDING = """
import sys
class Hiding:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hiding())
"""


def without(cli: Program, hidden: Sequence[str]) -> dict[str, str]:
    """The environment in which those packages are not installed."""
    folder = cli.folder / "hiding"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HIDING.format(hidden=tuple(hidden)))
    return {"PYTHONPATH": str(folder)}


async def test_jobs_need_no_extra(cli: Program, shop: Shop) -> None:
    environ = without(cli, ALL)
    await shop.greet.enqueue("Ada")
    assert cli("--help", environ=environ).code == 0
    assert cli("work", "shop:app", "--until-idle", "--json", environ=environ).json["done"] == 1
    assert len(cli("jobs", "--json", environ=environ).json["jobs"]) == 1
    assert cli("migrate", "--json", environ=environ).json["pending"] == []
    assert cli("config", environ=environ).code == 0


@pytest.mark.parametrize("missing", [*INTEGRATIONS, "starlette", "uvicorn", "authlib"])
def test_up_says_what_to_install(cli: Program, missing: str) -> None:
    answer = cli("up", "--for", "1", "--json", environ=without(cli, [missing]))
    assert (answer.code, answer.json) == (2, {"error": answer.sentence})
    assert answer.sentence == f"lamplighter up needs {missing}: run `pip install 'lamplighter[demo]'`."


@pytest.mark.parametrize("command", ["list", "new-key", "reencrypt", "refresh i-1"])
def test_integrations_say_what_to_install(cli: Program, command: str) -> None:
    answer = cli("integrations", *command.split(), "--json", environ=without(cli, ["httpx2", "sqlalchemy"]))
    assert (answer.code, answer.json) == (2, {"error": answer.sentence})
    assert (
        answer.sentence
        == "lamplighter integrations needs httpx2 and sqlalchemy: run `pip install 'lamplighter[integrations]'`."
    )


@pytest.mark.parametrize("command", ["web shop:app", "keys list", "admin set-password"])
@pytest.mark.parametrize("missing", ["argon2", "fastapi", "joserfc", "uvicorn"])
def test_what_serves_the_api_says_what_to_install(cli: Program, command: str, missing: str) -> None:
    answer = cli(*command.split(), "--json", environ=without(cli, [missing]))
    assert (answer.code, answer.json) == (2, {"error": answer.sentence})
    assert (
        answer.sentence
        == f"lamplighter {command.split(maxsplit=1)[0]} needs {missing}: run `pip install 'lamplighter[web]'`."
    )
