"""What a job logged, over HTTP and on its page."""

from __future__ import annotations

import pytest
from tests.families.running import TENANT
from tests.web.board import Board
from tests.web.errands import Errands
from tests.web.site import OTHER, told

from lamplighter import Ctx


async def a_job_that_logged(errands: Errands, tenant: str = TENANT) -> str:
    """Its id: a clerk wrote three lines in one attempt."""
    id_ = await errands.enqueue("clerk", {}, tenant=tenant)
    await errands.app.work(until_idle=True)
    return id_


async def test_the_last_lines_of_a_job_are_shown(errands: Errands) -> None:
    id_ = await a_job_that_logged(errands)
    answer = (await errands.ask("viewer", "GET", f"/jobs/{id_}/logs?limit=2")).json()
    assert [(line["id"], line["message"]) for line in answer["data"]] == [("1.2", "line 2"), ("1.3", "line 3")]
    first = answer["data"][0]
    assert (first["attempt"], first["level"], first["fields"]) == (1, "info", {"files": 2})


async def test_who_follows_a_job_goes_on_after_the_last_line_that_is_known(errands: Errands) -> None:
    id_ = await a_job_that_logged(errands)
    for after, expected in (("0.0", ["1.1", "1.2", "1.3"]), ("1.2", ["1.3"]), ("1.3", [])):
        lines = await errands.data("viewer", "GET", f"/jobs/{id_}/logs?after={after}")
        assert [line["id"] for line in lines] == expected


@pytest.mark.parametrize("after", ["1", "1.", "x.y", "1.1.1", "-1.0", f"1.{'9' * 16}"])
async def test_a_place_that_cannot_be_is_refused(errands: Errands, after: str) -> None:
    id_ = await a_job_that_logged(errands)
    answer = await errands.ask("viewer", "GET", f"/jobs/{id_}/logs?after={after}")
    assert told(answer) == (400, "validation/invalid-input")


async def test_a_tenant_reads_what_its_own_jobs_logged_only(errands: Errands) -> None:
    mine, others = await a_job_that_logged(errands), await a_job_that_logged(errands, OTHER)
    assert len(await errands.data("owner", "GET", f"/jobs/{mine}/logs")) == 3
    assert told(await errands.ask("owner", "GET", f"/jobs/{others}/logs")) == (404, "job/not-found")


async def test_the_page_of_a_job_shows_what_it_logged_and_no_markup_of_it(board: Board) -> None:
    @board.app.job()
    async def clerk(ctx: Ctx[None]) -> None:
        ctx.log.warning("<b>late</b>", by="<i>ada</i>", minutes=3)

    handle = await clerk.enqueue()
    assert "Lines of the log" not in await board.page(f"/jobs/{handle.id}")
    await board.app.work(until_idle=True)
    page = await board.page(f"/jobs/{handle.id}")
    assert "&lt;b&gt;late&lt;/b&gt;" in page
    assert "by=&lt;i&gt;ada&lt;/i&gt;" in page
    assert "minutes=3" in page
