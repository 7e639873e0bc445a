"""The recovery journal, with processes that are really killed and disks that are really full."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamplighter.integrations.refreshing.journal import Journal, JournalError
from lamplighter.integrations.vault import Vault, VaultError, new_key

KEY = new_key()
SOURCE = Path(__file__).parents[2] / "src"

# Records what it is told, says so, and waits to be killed. A limit on the size of files stands for a full disk.
OWNER = """
import resource, sys
from pathlib import Path
from lamplighter.integrations.refreshing.journal import Journal, JournalError
from lamplighter.integrations.vault import Vault
folder, key, limit = sys.argv[1:]
journal = Journal(Path(folder), Vault.from_text(key))
journal.settle(journal.record("i-0", 1, b"settled"))
kept, done = journal.record("i-1", 7, b"rotated"), journal.record("i-2", 8, b"committed")
journal.settle(done)
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    try:
        journal.record("i-3", 9, b"x" * int(limit))
    except JournalError as error:
        print(error)
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def owner(folder: Path, limit: int = 0) -> Iterator[subprocess.Popen[str]]:
    """A process that owns a journal file with one open entry, killed with SIGKILL at the end."""
    command = [sys.executable, "-c", OWNER, str(folder), KEY, str(limit)]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    lines = []
    while (line := process.stdout.readline().strip()) != "ready":
        assert line, "the owner died early"
        lines.append(line)
    return lines


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal", Vault.from_text(KEY)) as journal:
        yield journal


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_a_killed_process_leaves_its_open_entry_to_the_living(journal: Journal, tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    with owner(folder) as process:
        said(process)
        assert journal.orphans() == []  # its owner lives
    assert process.returncode == -9
    (orphan,) = journal.orphans()
    assert (orphan.integration_id, orphan.token_version, orphan.payload) == ("i-1", 7, b"rotated")
    assert len(journal.orphans()) == 1  # until it is discarded
    journal.discard(orphan)
    assert journal.orphans() == []
    assert len(files(folder)) == 1


def test_an_orphan_is_given_to_one_process_only(journal: Journal, tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    with owner(folder) as process:
        said(process)
    with Journal(folder, Vault.from_text(KEY)) as other:
        assert len(other.orphans()) == 1
        assert journal.orphans() == []
    assert len(journal.orphans()) == 1  # the other one closed without a replay


def test_a_torn_last_line_spoils_only_itself(journal: Journal, tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    with owner(folder) as process:
        said(process)
    (left,) = [path for path in files(folder) if path.name.startswith(f"{process.pid}-")]
    with left.open("ab") as file:
        file.write(b'\n{"number":9,"integration_id":"i-9","token_ver')
    assert [orphan.payload for orphan in journal.orphans()] == [b"rotated"]


def test_a_full_disk_is_one_clear_error_and_loses_no_other_entry(journal: Journal, tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    with owner(folder, limit=4096) as process:
        (sentence,) = said(process)
    assert "free some space" in sentence
    assert [orphan.payload for orphan in journal.orphans()] == [b"rotated"]


def test_a_record_after_a_torn_one_is_kept(tmp_path: Path) -> None:
    first = Journal(tmp_path, Vault.from_text(KEY))
    first.record("i-1", 1, b"one")
    (path,) = files(tmp_path)
    with path.open("ab") as file:
        file.write(b'\n{"number":2,"integ')
    first.record("i-3", 3, b"three")
    first.close()
    with Journal(tmp_path, Vault.from_text(KEY)) as second:
        assert [orphan.payload for orphan in second.orphans()] == [b"one", b"three"]


def test_the_file_is_empty_when_nothing_is_open(journal: Journal, tmp_path: Path) -> None:
    (path,) = files(tmp_path / "journal")
    first, second = journal.record("i-1", 1, b"one"), journal.record("i-2", 1, b"two")
    journal.settle(first)
    assert path.stat().st_size > 0
    journal.settle(second)
    assert path.stat().st_size == 0
    journal.settle(second)  # twice is once


def test_what_is_written_down_is_private(journal: Journal, tmp_path: Path) -> None:
    entry = journal.record("i-1", 1, b"refresh-token")
    entry.sync()
    (path,) = files(tmp_path / "journal")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert b"refresh-token" not in path.read_bytes()
    assert "refresh-token" not in repr(entry)


def test_an_entry_under_a_lost_key_does_not_hide_the_others(tmp_path: Path) -> None:
    for key, payload in ((new_key(), b"lost"), (KEY, b"kept")):
        writer = Journal(tmp_path, Vault.from_text(key))
        writer.record(f"i-{payload.decode()}", 1, payload)
        writer.close()
    with Journal(tmp_path, Vault.from_text(KEY)) as journal:
        orphans = {orphan.integration_id: orphan for orphan in journal.orphans()}
        assert orphans["i-kept"].payload == b"kept"
        with pytest.raises(VaultError):
            _ = orphans["i-lost"].payload


def test_a_closed_journal_leaves_nothing_behind_and_takes_nothing_more(tmp_path: Path) -> None:
    journal = Journal(tmp_path, Vault.from_text(KEY))
    entry = journal.record("i-1", 1, b"one")
    journal.settle(entry)
    journal.close()
    assert files(tmp_path) == []
    with pytest.raises(JournalError):
        journal.record("i-1", 2, b"two")


def test_a_late_settle_does_not_empty_the_file_that_got_its_descriptor(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", Vault.from_text(KEY))
    entry = journal.record("i-1", 1, b"one")
    journal.close()
    bystander = tmp_path / "bystander"
    bystander.write_text("precious")
    with bystander.open("r+"):
        journal.settle(entry)
    assert bystander.read_text() == "precious"


def test_a_folder_that_cannot_be_used_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="make it writable"):
        Journal(tmp_path / "file" / "journal", Vault.from_text(KEY))


@given(payload=st.binary(max_size=2000))
def test_any_payload_comes_back(payload: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    with Journal(tmp_path_factory.mktemp("journal"), Vault.from_text(KEY)) as journal:
        assert journal.record("i-1", 1, payload).payload == payload


def test_a_file_under_constant_load_is_followed_by_another_and_removed_when_settled(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lamplighter.integrations.refreshing.journal.LARGEST", 2000)
    folder = tmp_path / "journal"
    last = journal.record("i-0", 1, b"x" * 100)
    for number in range(1, 200):  # there is always an open entry
        entry = journal.record(f"i-{number}", 1, b"x" * 100)
        journal.settle(last)
        last = entry
        assert sum(path.stat().st_size for path in files(folder)) < 5000
    with Journal(folder, Vault.from_text(KEY)) as other:
        assert other.orphans() == []
    journal.settle(last)
    assert len(files(folder)) == 1
