"""The list of notices that a tenant sees."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Select, text
from tests.integrations.support import Home, Timer
from tests.integrations.telling import connected, happens, noticed, telling

from lamplighter.integrations.notices import dispatch
from lamplighter.integrations.notices.notices import page_of
from lamplighter.integrations.service import Service


@pytest.fixture
def clock() -> Timer:
    return Timer()


@pytest.fixture
async def ours(home: Home, clock: Timer) -> AsyncIterator[Service]:
    async with telling(home, clock=clock) as opened:
        yield opened


async def test_a_tenant_sees_its_notices_the_newest_first_page_by_page(ours: Service, clock: Timer) -> None:
    ids = await connected(ours)
    for number in range(1, 6):
        clock.passes(60)
        await happens(ours, ids, at=clock.now, number=number)
    first = await ours.notices.page("t-1", limit=3)
    rest = await ours.notices.page("t-1", limit=3, before=first[-1].id)
    assert [one.id for one in first + rest] == list(reversed(await noticed(ours)))
    newest = first[0]
    assert (newest.event, newest.reason, newest.at) == ("integration.revoked", "invalid_grant", clock.now)
    assert (newest.integration_id, newest.provider_slug, newest.read_at) == ("lantern-t-1", "lantern", None)


async def test_no_tenant_sees_or_marks_what_is_another_s(ours: Service, clock: Timer) -> None:
    await happens(ours, await connected(ours, ["t-1", "t-2"]), at=clock.now)
    [hers] = await ours.notices.page("t-1")
    assert await ours.notices.mark_read("t-2", [hers.id]) == 0
    assert [one.tenant_id for one in await ours.notices.page("t-2")] == ["t-2"]
    assert await ours.notices.unread("t-1") == 1


async def test_what_was_read_is_marked_once_and_counts_no_more(ours: Service, clock: Timer) -> None:
    ids = await connected(ours)
    for number in (1, 2, 3):
        await happens(ours, ids, at=clock.now, number=number)
    newest, *older = await ours.notices.page("t-1")
    clock.passes(60)
    assert await ours.notices.mark_read("t-1", [newest.id]) == 1
    read_at = clock.now
    clock.passes(60)
    assert await ours.notices.mark_read("t-1", [newest.id]) == 0
    assert await ours.notices.unread("t-1") == 2
    assert await ours.notices.page("t-1", unread=True) == older
    assert (await ours.notices.page("t-1"))[0].read_at == read_at


STATEMENTS = pytest.mark.parametrize(("statement", "index"), [
    (dispatch._new, "lamp_notices_new_idx"),
    (dispatch._first_new, "lamp_notices_new_idx"),
    (page_of("t", unread=True, limit=10, before="i"), "lamp_notices_unread_idx"),
    (page_of("t", unread=False, limit=10, before="i"), "lamp_notices_tenant_id_id_idx"),
    (dispatch.next_topic(dispatch.Topic("r", "t")), "lamp_deliveries_waiting_idx"),
    (dispatch.open_after("i", 10), "lamp_messages_open_idx"),
])  # fmt: skip


@STATEMENTS
async def test_what_is_new_unread_waiting_or_open_is_found_by_its_index_alone(
    tmp_path: Path, statement: Select[Any], index: str
) -> None:
    def explain(connection: Connection) -> str:
        sql = str(statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
        return " ".join(row[-1] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {sql}")))

    async with telling(Home(tmp_path, f"sqlite:///{tmp_path}/lamplighter.db")) as ours:
        found = await ours.database.migrate(explain)
    assert index in found
    assert "TEMP B-TREE" not in found
