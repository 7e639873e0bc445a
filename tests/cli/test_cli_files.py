"""A store's file that cannot be used: one sentence, code 3."""

from __future__ import annotations

import ctypes
import os
import sqlite3
from contextlib import closing

import pytest
from tests.cli.program import Answer, Program
from tests.cli.shop import Shop

LOOKS = [["jobs"], ["queues", "pause", "money"], ["integrations"], ["migrate"], ["migrate", "--check"]]


def refused(answer: Answer) -> str:
    assert answer.code == 3
    assert answer.json == {"error": answer.sentence}
    return answer.sentence


@pytest.mark.parametrize("args", LOOKS[:-1], ids=" ".join)
def test_a_folder_that_is_not_there(cli: Program, args: list[str]) -> None:
    sentence = refused(cli(*args, "--store", "sqlite:///nowhere/jobs.db", "--json"))
    assert "nowhere does not exist: create it" in sentence
    assert list(cli.folder.iterdir()) == []


@pytest.mark.parametrize("args", LOOKS, ids=" ".join)
def test_a_file_that_is_no_database(cli: Program, args: list[str]) -> None:
    (cli.folder / "letter.db").write_text("Dear reader, " * 1000)
    sentence = refused(cli(*args, "--store", "sqlite:///letter.db", "--json"))
    assert sentence.endswith("letter.db is not a SQLite database: point the store URL at another file.")


@pytest.mark.parametrize("args", LOOKS, ids=" ".join)
def test_a_folder_in_place_of_a_file(cli: Program, args: list[str]) -> None:
    (cli.folder / "jobs.db").mkdir()
    sentence = refused(cli(*args, "--store", "sqlite:///jobs.db", "--json"))
    assert sentence.endswith("jobs.db cannot be opened: give this user access to the file and its folder.")


async def test_a_corrupt_file(cli: Program, shop: Shop) -> None:
    await shop.greet.enqueue("Ada")
    with closing(sqlite3.connect(cli.folder / "shop.db")) as connection:
        connection.execute("VACUUM INTO 'torn.db'".replace("torn.db", str(cli.folder / "torn.db")))
    data = bytearray((cli.folder / "torn.db").read_bytes())
    data[100 : len(data)] = os.urandom(len(data) - 100)
    (cli.folder / "torn.db").write_bytes(data)
    sentence = refused(cli("jobs", "--store", "sqlite:///torn.db", "--json"))
    assert sentence.endswith("torn.db is corrupt: stop all workers and restore it from a backup.")


@pytest.mark.parametrize("args", [["jobs", "retry", "x"], ["integrations"], ["migrate", "--check"]], ids=" ".join)
def test_a_locked_file(cli: Program, args: list[str]) -> None:
    assert cli("migrate").code == 0
    with closing(sqlite3.connect(cli.folder / "lamplighter.db", isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")  # which keeps readers of a WAL file out too
        holder.execute("BEGIN EXCLUSIVE")
        answer = cli(*args, "--store", "sqlite:///lamplighter.db?patience=0.1", "--json")
    assert "is locked by another process: find it with `lsof`" in refused(answer)


def test_a_file_of_a_newer_lamplighter(cli: Program) -> None:
    assert cli("migrate").code == 0
    with closing(sqlite3.connect(cli.folder / "lamplighter.db", isolation_level=None)) as connection:
        connection.execute("INSERT INTO lamp_steps VALUES (99, 'post', 'of the future', 0)")
    for args in (["jobs"], ["migrate"], ["migrate", "--check"]):
        assert "was migrated for a newer Lamplighter alone: upgrade this one." in refused(cli(*args, "--json"))


def as_anybody() -> None:
    """Let the permissions of files count even for root, in the program that is started next."""
    if os.geteuid() == 0:
        for power in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            ctypes.CDLL(None).prctl(24, power, 0, 0, 0)  # PR_CAPBSET_DROP


def test_a_file_that_may_only_be_read(cli: Program) -> None:
    assert cli("migrate").code == 0
    os.chmod(cli.folder / "lamplighter.db", 0o444)
    os.chmod(cli.folder, 0o555)
    try:
        for args in (["jobs"], ["queues", "pause", "money"]):
            assert "give this user" in refused(cli(*args, "--json", preexec_fn=as_anybody))
    finally:
        os.chmod(cli.folder, 0o755)


def test_settings_that_may_not_be_read(cli: Program) -> None:
    (cli.folder / "lamplighter.toml").touch(mode=0o000)
    answer = cli("config", "--json", preexec_fn=as_anybody)
    assert (answer.code, answer.json) == (2, {"error": answer.sentence})
    assert "lamplighter.toml cannot be read (Permission denied): make it readable" in answer.sentence
