"""The pool of processes: what each may cost, how each is ended, and that nothing of them is left."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.engine.waits import alive, until_true
from tests.families.files.extraction import hostile_readers

from lamplighter.families.files.extraction.extracted import Extracted, ExtractionFailed, ExtractorDown
from lamplighter.families.files.extraction.extractor import Extractor
from lamplighter.families.files.extraction.limits import Limits

READERS = f"{hostile_readers.__name__}:READERS"
LIMITS = Limits(seconds=30, files_per_process=3)


class Shelf:
    """Files that say what their reader is to do."""

    def __init__(self, folder: Path, extractor: Extractor) -> None:
        self._folder = folder
        self._extractor = extractor

    async def read(self, word: str, name: str = "a.txt") -> Extracted:
        path = self._folder / word
        path.write_text(word)
        return await self._extractor.extract(path, name=name)


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    async with Extractor(processes=1, limits=LIMITS, readers=READERS) as extractor:
        yield Shelf(tmp_path, extractor)
    assert not children()


def children() -> list[int]:
    """Readers that this process started."""
    module = "lamplighter.families.files.extraction.child"
    return [pid for pid in _processes() if module in _arguments(pid) and _parent(pid) == os.getpid()]


def started(marker: str) -> list[int]:
    """What a reader that never ends has started."""
    return [pid for pid in _processes() if f"time.sleep(600)\0{marker}" in _arguments(pid)]


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _arguments(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


async def test_a_reader_that_fails_costs_its_file_only_and_says_why(shelf: Shelf) -> None:
    for word, reason in {
        "eats_memory": "its reader used more than 512 MB.",
        "is_killed": r"its reader was killed \(SIGKILL\)",
        "crashes": r"its reader crashed \(SIGSEGV\)",
        "leaves": r"its reader crashed \(exit code 3\)",
        "says_too_much": "its reader gave more than",
        "talks_nonsense": "its reader gave what is no answer",
        "writes": "cannot be opened or read",
    }.items():
        with pytest.raises(ExtractionFailed, match=reason):
            await shelf.read(word)
    assert (await shelf.read("well")).text.isdigit()


async def test_what_is_told_can_be_stored_and_shown(shelf: Shelf) -> None:
    found = await shelf.read("tells_nul")
    assert (found.text, found.pages, found.created_at) == ("ab\ufffdcd\ne", None, None)
    assert found.title == "t" + "x" * 499
    assert len(found.details) == 50
    assert set(found.details.values()) == {"v"}


async def test_a_process_reads_so_many_files_and_is_replaced(shelf: Shelf) -> None:
    pids = [(await shelf.read("well")).text for _ in range(4)]
    assert pids[0] == pids[1] == pids[2] != pids[3]


async def test_readers_have_a_session_of_their_own_and_nothing_of_the_environment(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMPLIGHTER_ENCRYPTION_KEYS", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "k")
    *names, leads = (await shelf.read("looks_around")).text.split()
    assert set(names) <= {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "PYTHONPATH", "PYTHONUTF8", "MALLOC_ARENA_MAX"}
    assert leads == "True"


async def test_a_reader_that_never_ends_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    marker = f"{tmp_path}-a.txt"
    async with Extractor(processes=1, limits=Limits(seconds=1), readers=READERS) as extractor:
        shelf = Shelf(tmp_path, extractor)
        with pytest.raises(ExtractionFailed, match="took more than 1 s"):
            await shelf.read("never_ends", marker)
        await until_true(lambda: not started(marker))


async def test_whoever_is_cancelled_takes_the_process_with_it_and_so_does_the_end_of_all(tmp_path: Path) -> None:
    marker = f"{tmp_path}-b.txt"
    async with Extractor(processes=2, limits=LIMITS, readers=READERS) as extractor:
        shelf = Shelf(tmp_path, extractor)
        task = asyncio.create_task(shelf.read("never_ends", marker))
        await until_true(lambda: bool(started(marker)))
        task.cancel()
        await asyncio.wait([task])
        await until_true(lambda: not started(marker))
        task = asyncio.create_task(shelf.read("never_ends", marker))
        await until_true(lambda: bool(started(marker)))
    with pytest.raises(ExtractionFailed):
        await task
    assert not children()
    await until_true(lambda: not started(marker))


WORKER = """
import asyncio, sys
from pathlib import Path
from lamplighter.families.files.extraction.extractor import Extractor

async def main(path, name, readers):
    async with Extractor(readers=readers) as extractor:
        await extractor.extract(Path(path), name=name)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_when_the_worker_is_killed_its_readers_end_and_all_that_they_started(tmp_path: Path) -> None:
    marker = f"{tmp_path}-c.txt"
    (tmp_path / "a").write_text("never_ends")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = (sys.executable, "-c", WORKER, str(tmp_path / "a"), marker, READERS)
    worker = await asyncio.create_subprocess_exec(*arguments, env=environment)
    try:
        await until_true(lambda: bool(started(marker)))
        (program,) = started(marker)
        reader = _parent(program)
    finally:
        worker.kill()
        await worker.wait()
    await until_true(lambda: not alive(reader) and not alive(program))


async def test_where_no_process_can_start_the_file_is_not_blamed(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    async with Extractor(processes=1, readers="nowhere:to_be_found") as extractor:
        with pytest.raises(ExtractorDown, match="lamplighter\\[files\\]"):
            await extractor.extract(tmp_path / "a", name="a")
    with pytest.raises(ExtractorDown, match="async with"):
        await extractor.extract(tmp_path / "a", name="a")
    assert not children()
