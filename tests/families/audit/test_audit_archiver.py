"""Archiving and destroying, by somebody who is killed: nothing is lost, nothing doubled, and the chain verifies."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bench.audit import measure, options_of
from sqlalchemy import select
from tests.families.audit.logs import NOW, OLD, SETTINGS, Killed, Log, mortal, states, us

from lamplighter.families.audit.archiver import Archiver
from lamplighter.families.audit.folder import Folder
from lamplighter.families.audit.restoring import Restoring
from lamplighter.families.audit.storage import ArchiveDown
from lamplighter.integrations.auditing.chain import Content
from lamplighter.integrations.storage.audit_tables import audit_archives
from lamplighter.integrations.storage.tables import audit

DAY = timedelta(days=1)


async def fill(log: Log) -> list[Content]:
    """Of two tenants and three days, one of them young; returns what the table has then."""
    for ago in (OLD, OLD - DAY, DAY):
        await log.write(about=["a", "b", "c", "d"], ago=ago)
        await log.write("integration.revoked", tenant=None, ago=ago)
    await log.seal()
    return await log.live()


async def found(log: Log) -> list[Content]:
    """What there is, wherever; twice what is in two places."""
    return sorted([*await log.live(), *await log.archived()], key=lambda one: str(one["id"]))


async def killed_at_each_step(
    log: Log, act: Callable[[Log], Awaitable[object]], check: Callable[[], Awaitable[None]]
) -> int:
    """Do it as somebody who dies at the first step, at the second, and so on, until somebody does not; how often."""
    step = 0
    while True:
        step += 1
        try:
            await act(mortal(log, 1 + step % 7, after=step % 2 == 0))
        except Killed:
            await check()
            continue
        return step


async def test_what_is_old_enough_goes_into_an_object_for_each_chain_and_day(log: Log) -> None:
    before = await fill(log)
    moved = await log.archive()
    assert (moved.records, moved.objects, moved.failed, moved.is_done) == (10, 4, 0, True)
    assert [path.relative_to(log.folder).as_posix() for path in log.objects()] == [
        "audit/v1/tenant=_/day=2026-02-21/000000000001-000000000001.jsonl.zst",
        "audit/v1/tenant=_/day=2026-02-22/000000000002-000000000002.jsonl.zst",
        "audit/v1/tenant=t-1/day=2026-02-21/000000000001-000000000004.jsonl.zst",
        "audit/v1/tenant=t-1/day=2026-02-22/000000000005-000000000008.jsonl.zst",
    ]
    assert len(await log.live()) == 5
    assert await found(log) == before
    assert await log.is_whole()
    assert (await log.archive()).records == 0


async def test_an_archiver_that_is_killed_at_any_step_loses_and_doubles_nothing(log: Log) -> None:
    before = await fill(log)

    async def check() -> None:
        there = await found(log)
        assert {str(one["id"]) for one in before} <= {str(one["id"]) for one in there}, "nothing is lost, at no moment"
        assert await log.is_whole()

    assert await killed_at_each_step(log, lambda dying: dying.archive(), check) > 5
    assert await found(log) == before, "and no row is in both"
    assert set(await states(log)) == {"archived"}
    assert len(log.objects()) == 4
    assert await log.is_whole()


async def test_a_destroyer_that_is_killed_at_any_step_destroys_what_is_due_and_nothing_else(log: Log) -> None:
    await fill(log)
    await log.archive()
    year = timedelta(days=400)
    later = year - OLD + DAY / 2

    async def check() -> None:
        assert await log.is_whole()

    assert await killed_at_each_step(log, lambda dying: dying.destroy(later), check) >= 3
    left = await log.archived()
    assert {one["at"] for one in left} == {us(OLD - DAY)}
    assert len(log.objects()) == 2
    await log.seal()
    assert await log.is_whole()
    verdict = await log.verify()
    assert verdict.destroyed == 4
    rows = [one for one in await log.live() if one["action"] == "audit-archive.destroyed"]
    assert len(rows) == 2, "destroying is on record"


async def test_an_object_of_somebody_else_is_not_written_over_and_is_told_of(in_file: Log) -> None:
    before = await fill(in_file)
    await in_file.archive()
    paths = in_file.objects()
    contents = [path.read_bytes() for path in paths]
    await in_file.write(about=["e"], ago=OLD)
    await in_file.seal()
    taken = in_file.folder / "audit/v1/tenant=t-1/day=2026-02-21/000000000013-000000000013.jsonl.zst"
    taken.write_bytes(b"of somebody else")
    assert (await in_file.archive()).failed == 1
    failure = (await in_file.chain()).failure or ""
    assert failure.startswith("another object lies in file://")
    assert "move it away" in failure
    assert taken.read_bytes() == b"of somebody else"
    taken.unlink()
    assert (await in_file.archive()).failed == 0
    assert (await in_file.chain()).failure is None
    assert len(await found(in_file)) == len(before) + 1
    assert [path.read_bytes() for path in paths] == contents


async def test_a_database_from_a_backup_finds_its_own_objects_again(in_file: Log) -> None:
    before = await fill(in_file)
    backup = await in_file.database.read(lambda one: [dict(row._mapping) for row in one.execute(select(audit))])
    await in_file.archive()
    contents = [path.read_bytes() for path in in_file.objects()]

    def restore(connection: Any) -> None:
        connection.execute(audit.delete())
        connection.execute(audit_archives.delete())
        connection.execute(audit.insert(), backup)

    await in_file.database.write(restore)
    assert (await in_file.archive()).records == 10
    assert [path.read_bytes() for path in in_file.objects()] == contents
    assert await found(in_file) == before


async def test_a_folder_that_is_not_mounted_is_not_made(in_file: Log, tmp_path: Path) -> None:
    before = await fill(in_file)
    nowhere = Folder(tmp_path / "nowhere")
    with pytest.raises(ArchiveDown, match="mount or make it"):
        await Archiver(in_file.database, nowhere, SETTINGS, clock=lambda: NOW).run()
    assert "mount or make it" in ((await in_file.chain("")).failure or "")
    assert not (tmp_path / "nowhere").exists()
    assert await in_file.live() == before


async def test_copies_that_are_restored_are_found_once_and_go_again(log: Log) -> None:
    before = await fill(log)
    await log.archive()
    archive = next(one for one in await log.archives() if one.chain == "t-1")
    now = NOW
    restoring = Restoring(log.database, log.storage, clock=lambda: now, batch=3)
    for step in range(1, 4):
        dying = mortal(log, step, after=True)
        with pytest.raises(Killed):
            await Restoring(dying.database, dying.storage, clock=lambda: now, batch=3).restore(archive, DAY)
    assert await restoring.restore(archive, 7 * DAY) == 4
    await log.seal()
    assert len([one for one in await log.live() if one["at"] == us(OLD)]) == 4
    assert await log.is_whole()
    assert (await log.archive()).records == 0, "they are archived already"
    assert await restoring.give_back() == 0
    now += 8 * DAY
    assert await restoring.give_back() == 4
    mine = [one for one in await found(log) if not str(one["action"]).startswith("audit-archive.")]
    assert mine == before


async def test_a_process_that_is_killed_again_and_again_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """The bench, small."""
    options: argparse.Namespace = options_of(["--records", "1500", "--kills", "3", "--tenants", "2", "--days", "3"])
    assert await measure(f"sqlite:///{tmp_path}/audit.db", tmp_path, options, lambda _what, _done, _total: None)
