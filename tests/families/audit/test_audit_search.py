"""Searching and exporting: the same records, wherever they lie."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.families.audit.logs import NOW, OLD, Log

from lamplighter.core.clock import from_us
from lamplighter.core.errors import ConfigError
from lamplighter.families.audit import search
from lamplighter.families.audit.exporting import JsonLines, Parquet, export
from lamplighter.families.audit.restoring import Restoring
from lamplighter.families.audit.search import Filter, Search

DAY = timedelta(days=1)
AGES = (DAY, 2 * DAY, OLD, OLD + DAY / 24, OLD + DAY, OLD + 3 * DAY)


async def fill(log: Log) -> None:
    """Records of two tenants, most of them archived, and some of those restored."""
    for ago in AGES:
        await log.write("queue.pause", about=["a", "b", "c"], ago=ago)
        await log.write("queue.resume", about=["a"], ago=ago)
        await log.write("integration.revoked", tenant="t-2", about=["x"], ago=ago)
    await log.seal()
    await log.archive()
    archive = next(one for one in await log.archives() if one.chain == "t-1")
    await Restoring(log.database, log.storage, clock=lambda: NOW).restore(archive, DAY)


async def all_of(log: Log, which: Filter, *, limit: int, archived: bool = True) -> list[str]:
    """Page by page."""
    found: list[str] = []
    before: str | None = ""
    while before is not None:
        page = await Search(log.database, log.storage).page(which, limit=limit, before=before, archived=archived)
        assert len(page.hits) <= limit
        found += [hit.record.id for hit in page.hits]
        before = page.next
    return found


moments = st.sampled_from([None, NOW - OLD - 2 * DAY, NOW - OLD, NOW - 2 * DAY])
filters = st.builds(
    Filter,
    chains=st.sampled_from([["t-1"], ["t-2"], [""]]),
    action=st.sampled_from([None, "queue.pause", "queue.*", "file.*"]),
    resource_id=st.sampled_from([None, "a", "x"]),
    since=moments,
    until=moments,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filters, st.integers(1, 7), st.integers(1, 5))
async def test_pages_hold_all_that_match_once_the_latest_first(
    in_file: Log, which: Filter, limit: int, objects_at_once: int
) -> None:
    if not await in_file.live():
        await fill(in_file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "OBJECTS", objects_at_once)
        patch.setattr(search, "LOOK", 3 + limit)
        found = await all_of(in_file, which, limit=limit)
    there = {str(one["id"]): one for one in [*await in_file.live(), *await in_file.archived()]}
    assert which.chains is not None
    matching = [
        one
        for one in there.values()
        if (one["tenant_id"] or "") in which.chains and which.is_of(one) and is_within(one["at"], which)
    ]
    assert found == [one["id"] for one in sorted(matching, key=lambda one: (one["at"], one["id"]), reverse=True)]


def is_within(at: int, which: Filter) -> bool:
    moment: datetime = from_us(at)
    return (which.since is None or moment >= which.since) and (which.until is None or moment < which.until)


async def test_the_table_alone_is_searched_of_all_tenants(log: Log) -> None:
    await fill(log)
    found = await all_of(log, Filter(action="queue.resume"), limit=2, archived=False)
    assert len(found) == 4, "of two moments, and two of the day that is restored"


async def test_archives_are_searched_of_one_tenant(in_file: Log) -> None:
    for chains in (None, ["t-1", "t-2"], []):
        with pytest.raises(ConfigError, match="one tenant at a time"):
            await Search(in_file.database, in_file.storage).page(Filter(chains=chains), archived=True)
    with pytest.raises(ConfigError, match="begin anew"):
        await Search(in_file.database, None).page(Filter(), before="nonsense")


async def test_a_search_says_in_which_archive_a_record_is(log: Log) -> None:
    await fill(log)
    page = await Search(log.database, log.storage).page(Filter(chains=["t-2"]), archived=True)
    live = [hit.archive_id is None for hit in page.hits]
    assert live == [True, True, False, False, False, False]


async def test_an_export_has_every_record_once_as_lines_or_as_a_table(log: Log, tmp_path: Path) -> None:
    await fill(log)
    file = io.BytesIO()
    done = await export(log.database, log.storage, JsonLines(file), chains=["t-1", "t-2"])
    lines = [msgspec.json.decode(line) for line in file.getvalue().splitlines()]
    assert (done.records, done.is_whole) == (len(lines), True)
    assert len({line["id"] for line in lines}) == len(lines) == 5 * len(AGES)
    path = tmp_path / "t-1.parquet"
    writer = Parquet(path)
    await export(log.database, log.storage, writer, chains=["t-1"], since=NOW - OLD, until=NOW)
    writer.close()
    table = pyarrow.parquet.read_table(path).to_pylist()
    assert len(table) == 12
    assert table[0]["at"] == NOW - OLD
    assert msgspec.json.decode(table[0]["details"]) == {"changes": {"é": [1, 2.5, None]}}
