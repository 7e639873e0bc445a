"""SQLite URLs: which file they mean, and what is said to who got one wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from lamplighter.core.errors import ConfigError, StoreUnavailable
from lamplighter.store.memory import MemoryStore
from lamplighter.store.open import open_store
from lamplighter.store.sqlite.url import Place, parse, show


def test_three_slashes_name_a_file_of_the_current_folder() -> None:
    assert parse("sqlite:///jobs.db") == Place(Path("jobs.db"))
    assert parse("sqlite:///var/jobs.db") == Place(Path("var/jobs.db"))


def test_four_slashes_name_a_file_from_the_root() -> None:
    assert parse("sqlite:////var/lib/jobs.db") == Place(Path("/var/lib/jobs.db"))


def test_options_follow_a_question_mark() -> None:
    place = parse("sqlite:///jobs.db?synchronous=NORMAL&patience=2.5")
    assert place == Place(Path("jobs.db"), synchronous="normal", patience=2.5)


@pytest.mark.parametrize("name", ["my jobs.db", "50%.db", "what?.db", "a#b.db", "lämp🪔.db", "plus+plus.db"])
def test_any_name_survives_the_way_into_a_url_and_back(name: str) -> None:
    assert parse(show(Path("/var") / name)).path == Path("/var") / name


def test_a_store_stays_on_its_file_when_the_process_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///jobs.db")
    monkeypatch.chdir("/")
    assert store.url == f"sqlite:///{tmp_path}/jobs.db"
    assert store.url.startswith("sqlite:////")


def test_memory_needs_no_more_than_its_scheme() -> None:
    assert isinstance(open_store("memory://"), MemoryStore)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("sqlite:///", "names no file: write sqlite:///relative.db or sqlite:////absolute/path.db."),
        ("sqlite://", "names no file"),
        ("sqlite:", "names no file"),
        ("sqlite:jobs.db", "names no file"),
        ("sqlite:/jobs.db", "names no file"),
        ("sqlite://jobs.db", "has a host in it, or a slash too few"),
        ("sqlite:///:memory:", "use memory:// instead"),
        ("sqlite:///jobs.db#1", "write %23"),
        ("sqlite:///jobs%00.db", "has %00 in its name"),
        ("sqlite:///jobs.db?synchronus=off", "unknown option 'synchronus': did you mean 'synchronous'?"),
        ("sqlite:///jobs.db?mode=ro", "unknown option 'mode': there are synchronous and patience."),
        ("sqlite:///jobs.db?synchronous=fast", "synchronous=fast in the store URL is not one of full, normal"),
        (
            "sqlite:///jobs.db?patience=soon",
            "patience=soon in the store URL is not a number of seconds from 0 to 3600.",
        ),
        ("sqlite:///jobs.db?patience=-1", "not a number of seconds from 0 to 3600"),
        ("sqlite:///jobs.db?patience=nan", "not a number of seconds from 0 to 3600"),
        ("sqlite:///jobs.db?patience=inf", "not a number of seconds from 0 to 3600"),
        ("sqlite:///jobs.db?patience=3601", "not a number of seconds from 0 to 3600"),
        ("sqlite:///jobs.db?patience=", "not a number of seconds from 0 to 3600"),
        ("memory://jobs", "memory:// takes nothing more"),
        ("sqllite:///jobs.db", "did you mean sqlite://?"),
        ("sqlite+aiosqlite:///jobs.db", "did you mean sqlite://?"),
        ("mysql://me:secret@host/jobs", "mysql:// has no store behind it"),
        ("jobs.db", "has no scheme"),
        ("//me:secret@host/jobs", "has no scheme"),
        ("", "has no scheme"),
        ("http://[secret", "cannot be read"),
    ],
)
def test_a_wrong_url_is_refused_with_what_to_write_instead(url: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        open_store(url)
    assert sentence in str(refused.value)
    assert "secret" not in str(refused.value)


async def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=f"The folder {tmp_path}/none does not exist: create it"):
        async with open_store(f"sqlite:///{tmp_path}/none/jobs.db"):
            pass


async def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        async with open_store(f"sqlite:///{tmp_path}"):
            pass
