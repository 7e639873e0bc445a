"""`lamplighter upkeep`: look, do, back up."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from tests.cli.program import Program
from tests.cli.shop import Shop

from lamplighter.integrations.storage import migrate
from lamplighter.integrations.storage.database import Database


@pytest.fixture
async def filled(cli: Program, shop: Shop) -> Program:
    """With jobs, and the service's tables."""
    await shop.greet.enqueue("Ada")
    (cli.folder / "lamplighter.toml").write_text('store = "sqlite:///shop.db"\n')
    async with Database(f"sqlite:///{cli.folder}/shop.db") as database:
        await migrate.upgrade(database)
    return cli


def test_it_looks_then_does_what_it_said_and_tells_of_it(filled: Program) -> None:
    told = filled("upkeep", "--json").json
    due = {(one["task"], one["subject"]) for one in told["findings"] if one["is_due"]}
    assert due == {("check", "shop.db")}
    refused = filled("upkeep", "run", "--json")
    assert refused.code == 2
    assert refused.sentence.startswith("the window never opens, for upkeep_window is not set: add --now")
    done = filled("upkeep", "run", "--now", "--json").json["runs"]
    assert {(one["task"], one["subject"]) for one in done} == due
    assert {one["outcome"] for one in done} == {"done"}
    assert filled("upkeep", "history", "--json").json["runs"] == done
    audited = filled("integrations", "audit", "--json").json["records"]
    assert [(one["action"], one["result"]) for one in audited] == [("upkeep.run", "success"), ("upkeep.run", "failure")]


def test_a_backup_is_made_and_verified_and_one_that_is_broken_is_told(filled: Program) -> None:
    assert "is good: 1 jobs" in filled("upkeep", "backup", "--to", "shelf").out
    [backup] = (filled.folder / "shelf").iterdir()
    assert filled("upkeep", "verify", str(backup), "--json").json["jobs"] == 1
    with closing(sqlite3.connect(backup, isolation_level=None)) as connection:
        connection.execute("DELETE FROM lamp_counts")
    broken = filled("upkeep", "verify", str(backup))
    assert broken.code == 1
    assert "does not hold the jobs that it says" in broken.sentence


def test_sizes_are_told_once_they_were_measured(filled: Program) -> None:
    names = [one["name"] for one in filled("upkeep", "sizes", "--measure", "--json").json["sizes"]]
    assert "shop.db" in names


def test_what_cannot_be_is_refused(filled: Program) -> None:
    assert "--for soon is no time" in filled("upkeep", "run", "--now", "--for", "soon").sentence
