"""What was done is shown: on pages, to charts, and by the API."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from tests.web.board import Board
from tests.web.site import Site

from lamplighter import Ctx
from lamplighter.core.model import Record
from lamplighter.observe.history.slot import ALL, Levels, Tally, write
from lamplighter.observe.history.steps import MINUTES, TENS, record_of


async def test_the_overview_tells_what_was_done_in_a_table(board: Board) -> None:
    assert "Nothing was written down yet" in await board.page()
    await board.fail("inbox", "outbox")
    page = await board.page(span="24h")
    assert re.findall(r'data-label="(Done|Failed)" class="n">(\d+)', page) == [("Done", "0"), ("Failed", "2")]
    assert '<a href="/admin/queues/?span=24h" aria-current="true">' in page


async def test_the_page_of_a_queue_tells_what_was_done_in_it(board: Board) -> None:
    await board.app.enqueue([board.jobs.greet.draft("Ada")])
    await board.fail("inbox")
    assert re.findall(r'data-label="(?:Done|Failed)" class="n">(\d+)', await board.page("/queues/mail")) == ["1", "0"]
    assert 'data-history="/admin/queues/history?span=15m&amp;queue=exports"' in await board.page("/queues/exports")


async def test_charts_get_rates_and_see_gaps(board: Board) -> None:
    store, now = board.app.store, board.app.clock()
    last = TENS.begin(now.timestamp()) - 10
    for begin in (last - 200, last - 190, last):
        slot = {ALL: Tally(done=2, took={6: 2}, late={0: 2}, levels=Levels(waiting=4), until=begin + 10)}
        await store.put(record_of(TENS, begin, write(slot)))
    told = (await board.ask("viewer", "/history?span=15m")).json()["data"]
    assert told["at"] == [last - 200, last - 190, last - 180, last]
    assert told["done"] == [12, 12, None, 12]
    assert told["waiting"] == [4, 4, None, 4]
    assert told["run_p50"][0] == pytest.approx(0.075)
    assert set(map(len, told.values())) == {4}


@pytest.mark.parametrize("query", ["span=1y", "queue=", "queue=" + "x" * 300])
async def test_what_cannot_be_is_refused(board: Board, query: str) -> None:
    assert (await board.ask("viewer", f"/history?{query}")).status_code == 400


async def test_the_api_tells_the_same_of_one_queue_or_all(site: Site) -> None:
    app = site.inside.app

    @app.job(queue="mail")
    async def send(ctx: Ctx[None]) -> None: ...

    await app.enqueue([send.draft(), send.draft()])
    async with app.worker(queues=["mail"]) as worker:
        await app.until_idle(worker)
    told = (await site.ask("viewer", "GET", "/history?queue=mail&range=24h")).json()["data"]
    assert told["step"] == 300
    assert sum(point["done"] for point in told["points"]) == 2
    assert told["points"][0]["runP95"] > 0
    everything = (await site.ask("viewer", "GET", "/history")).json()["data"]
    assert sum(point["done"] for point in everything["points"]) >= 2
    assert (await site.ask("viewer", "GET", "/history?range=1y")).status_code == 400
    assert (await site.ask("owner", "GET", "/history")).status_code == 403


async def test_a_day_is_read_in_steps_that_are_no_more_than_a_chart_shows(board: Board) -> None:
    store, now = board.app.store, board.app.clock()
    first = MINUTES.begin((now - timedelta(hours=24)).timestamp())
    for minute in range(0, 24 * 60, 7):
        begin = first + 60 * minute
        await store.put(record_of(MINUTES, begin, write({ALL: Tally(done=1, until=begin + 60)})))
    await store.put(Record(kind=MINUTES.kind, name="nonsense", value="nonsense"))
    told = (await board.ask("viewer", "/history?span=24h")).json()["data"]
    assert 200 <= len(told["at"]) <= 289
