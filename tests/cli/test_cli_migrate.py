from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.program import Answer, Program
from tests.cli.shop import Shop
from tests.services import STORES

ROOT = Path(__file__).parents[2]


def states(answer: Answer) -> set[str]:
    return {step["state"] for step in answer.json["steps"]}


def test_check_says_what_is_missing_and_makes_nothing(cli: Program) -> None:
    answer = cli("migrate", "--check", "--json")
    assert (answer.code, answer.json["pending"]) == (1, ["jobs", "integrations"])
    assert states(answer) == {"pending"}
    first, *_, last = cli("migrate", "--check").out.splitlines()[1:]
    assert first.split() == ["jobs", "1", "pre", "first", "pending"]
    assert last == "Run `lamplighter migrate` to take what is pending."
    assert list(cli.folder.iterdir()) == []


def test_migrate_makes_the_tables_once(cli: Program) -> None:
    first, again = cli("migrate", "--json"), cli("migrate", "--json")
    assert (first.code, states(first), first.json["pending"]) == (0, {"taken now"}, [])
    assert (again.code, states(again), again.json["pending"]) == (0, {"taken before"}, [])
    assert cli("migrate", "--check", "--json").code == 0
    assert cli("jobs", "--json").json == {"jobs": [], "next": None}


async def test_tables_that_came_later_are_pending_in_a_file_that_has_jobs(cli: Program, shop: Shop) -> None:
    assert cli("migrate", "--check", "--json").json["pending"] == ["integrations"]


def test_a_file_of_the_first_version_is_upgraded_in_two_phases(cli: Program) -> None:
    with closing(sqlite3.connect(cli.folder / "lamplighter.db")) as connection:
        connection.executescript((ROOT / "tests/store/schemas/sqlite_001.sql").read_text())
    assert "lacks schema steps 2, 4, 5, 7, 8 and 9 of this version: run `lamplighter migrate`." in cli("jobs").sentence
    assert cli("migrate", "--check").code == 1
    said = cli("migrate")
    assert said.code == 0
    assert [line.split()[-1] for line in said.out.splitlines()[1:4]] == ["before", "now", "pending"]
    assert said.out.endswith("Once no worker of older code is left, run `lamplighter migrate --post`.\n")
    assert (cli("migrate", "--check").code, cli("migrate", "--check", "--post").code) == (0, 1)
    assert cli("jobs", "--json").code == 0
    after = cli("migrate", "--post", "--json")
    assert (after.code, after.json["pending"]) == (0, [])
    assert [step["state"] for step in after.json["steps"]][:3] == ["taken before", "taken before", "taken now"]


def test_a_schema_of_postgresql_is_migrated_alike(cli: Program, postgres_schema_url: str) -> None:
    def migrate(*options: str) -> Answer:
        return cli("migrate", "--store", postgres_schema_url, "--json", *options)

    before = migrate("--check")
    assert (before.code, states(before), before.json["pending"]) == (1, {"pending"}, ["jobs", "integrations"])
    assert migrate("--check").code == 1, "to look makes nothing"
    taken, again = migrate(), migrate("--post")
    assert (taken.code, states(taken), taken.json["pending"]) == (0, {"taken now"}, [])
    assert (again.code, states(again)) == (0, {"taken before"})
    assert migrate("--check", "--post").code == 0
    assert cli("jobs", "--store", postgres_schema_url, "--json").json == {"jobs": [], "next": None}


def test_a_database_that_is_away_is_told_in_one_sentence(cli: Program) -> None:
    answer = cli("migrate", "--store", "postgresql://app:s3cret@127.0.0.1:1/shop", "--json")
    assert answer.code != 0
    assert "cannot be reached: see that it is up" in answer.sentence
    assert "s3cret" not in answer.out + answer.err


def test_check_leaves_somebody_elses_database_as_it_is(cli: Program) -> None:
    path = cli.folder / "theirs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    before = path.read_bytes()
    assert cli("migrate", "--check", "--store", "sqlite:///theirs.db").code == 1
    assert path.read_bytes() == before
    assert [file.name for file in cli.folder.iterdir()] == ["theirs.db"]


def test_integrations_may_be_in_a_file_of_their_own(cli: Program) -> None:
    (cli.folder / "lamplighter.toml").write_text('store = "sqlite:///jobs.db"\ndatabase = "sqlite:///service.db"\n')
    assert cli("migrate").code == 0
    assert {file.name for file in cli.folder.glob("*.db")} == {"jobs.db", "service.db"}
    assert cli("migrate", "--check").code == 0


@pytest.mark.parametrize("name", ["postgres", "redis", "redis cluster"])
def test_a_store_on_a_server_is_made_once(cli: Program, request: pytest.FixtureRequest, name: str) -> None:
    url = request.getfixturevalue(STORES[name])
    codes = [cli("migrate", *options, "--store", url).code for options in (["--check"], [], ["--check", "--post"])]
    assert codes == [1, 0, 0]
    assert cli("jobs", "--store", url, "--json").json == {"jobs": [], "next": None}


def test_a_store_without_tables_has_nothing_to_migrate(cli: Program) -> None:
    answer = cli("migrate", "--check", "--store", "memory://", "--json")
    assert (answer.code, answer.json) == (0, {"steps": [], "pending": []})
    assert cli("migrate", "--store", "memory://").out == "There are no tables here, so there is nothing to migrate.\n"


@pytest.mark.parametrize("url", ["sqlite://", "redsi://x", "sqlite:///a.db?patience=long"])
def test_a_wrong_url_is_refused(cli: Program, url: str) -> None:
    answer = cli("migrate", "--store", url, "--json")
    assert (answer.code, answer.json) == (2, {"error": answer.sentence})
