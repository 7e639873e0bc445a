"""What the pages of the dashboard show, and what their buttons do."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

import pytest
from tests.families.running import TENANT
from tests.web.board import OTHER, PAGES, Board, Counting, buttons, running_board

from lamplighter import group
from lamplighter.core.model import State, Where

NASTY = "<script>alert('x')</script>"


async def test_the_overview_counts_each_queue_and_all_of_them(board: Board) -> None:
    await board.fail("inbox", "outbox")
    await board.app.enqueue(board.jobs.greet.draft(str(number)) for number in range(3))
    page = await board.page()
    assert re.findall(r"<dt>(Waiting|Failed)</dt><dd>(\d+)</dd>", page) == [("Waiting", "3"), ("Failed", "2")]
    assert "No worker is alive, and 3 jobs wait" in page
    assert "folder &#39;outbox&#39; has no owner" in page


async def test_the_overview_says_which_queues_are_paused(board: Board) -> None:
    await board.app.pause("mail")
    assert "Queue mail is paused" in await board.page()


async def test_what_waits_longest_is_told_exactly_unless_too_much_waits(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    await board.app.enqueue(board.jobs.greet.draft(str(number)) for number in range(3))
    assert re.search(r"oldest\s+<time", await board.page())
    monkeypatch.setattr("lamplighter.web.pages.overview.IN_LINE", 2)
    assert re.search(r"oldest\s+over\s+<time", await board.page())


async def test_an_empty_store_is_told_what_to_do(board: Board) -> None:
    assert "Enqueue one" in await board.page()
    assert "Start one: `lamplighter work" in await board.page("/workers")


async def test_a_queue_is_paused_and_goes_on(board: Board) -> None:
    await board.app.enqueue([board.jobs.greet.using(tenant=OTHER).draft("Ada")])
    assert OTHER in await board.page("/queues/mail")
    answer = await board.post("/queues/mail/pause")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/queues/queues/mail?did=paused")
    assert "Paused: no worker takes jobs" in await board.page("/queues/mail", did="paused")
    assert [one.paused for one in await board.app.store.stats() if one.queue == "mail"] == [True]
    await board.post("/queues/mail/resume")
    assert [one.paused for one in await board.app.store.stats() if one.queue == "mail"] == [False]


async def test_the_address_brings_no_words_of_its_own(board: Board) -> None:
    assert "NASTY" not in await board.page("/queues", did="NASTY")


async def test_jobs_are_found_by_filters_in_the_address(board: Board) -> None:
    [failed] = await board.fail("inbox")
    [waiting] = await board.app.enqueue([board.jobs.greet.using(tenant=OTHER).draft("Ada")])
    for query in ({"queue": "exports"}, {"state": "failed"}, {"name": "export"}, {"tenant": TENANT}):
        page = await board.page("/jobs", **query)
        assert (failed.id in page, waiting.id in page) == (True, False), query
    both = await board.page("/jobs", queue="", name="", state="", tenant="")
    assert both.index(waiting.id) < both.index(failed.id)
    assert "No such jobs" in await board.page("/jobs", name="greet", state="failed")


async def test_jobs_are_found_by_what_they_were_given(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox, outbox = await board.fail("inbox", "outbox")
    [waiting] = await board.app.enqueue([board.jobs.greet.draft("inbox")])
    page = await board.page("/jobs", args="folder=inbox")
    assert (inbox.id in page, outbox.id in page, waiting.id in page) == (True, False, False)
    assert "Looked at the arguments of 3 jobs that match the rest, the newest first: all of them" in page
    page = await board.page("/jobs", args="inbox", state="failed")
    assert (inbox.id in page, waiting.id in page) == (True, False)
    monkeypatch.setattr("lamplighter.app.search.MOST", 1)
    page = await board.page("/jobs", args="inbox", state="failed")
    assert "No such jobs" in page
    [older] = re.findall(r'rel="next" href="[^"]*args=inbox[^"]*before=([^"&]+)', page)
    assert inbox.id in await board.page("/jobs", args="inbox", state="failed", before=older)


async def test_a_long_list_goes_on_by_the_last_id(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamplighter.web.pages.jobs.PAGE", 2)
    handles = await board.app.enqueue(board.jobs.greet.draft(str(number)) for number in range(5))
    newest_first = [one.id for one in reversed(handles)]
    seen: list[str] = []
    page = await board.page("/jobs", queue="mail")
    for _ in range(3):
        seen += re.findall(r'id="job-([^"]+)"', page)
        if (older := re.search(r'rel="next" href="[^"]*before=([^"&]+)', page)) is None:
            break
        page = await board.page("/jobs", queue="mail", before=older[1])
    assert seen == newest_first


async def test_a_failed_job_shows_its_traceback_and_is_retried(board: Board) -> None:
    [failed] = await board.fail("inbox")
    path = f"/jobs/{failed.id}"
    page = await board.page(path, "operator")
    assert '<span class="error">ValueError: folder &#39;inbox&#39; has no owner</span>' in page
    assert re.search(r'<span class="frame">[^<]*board\.py', page)
    board.jobs.broken = False
    answer = await board.post(f"{path}/retry")
    assert answer.headers["Location"].endswith(f"{path}?did=retried")
    await board.app.work(until_idle=True)
    assert "&#34;exported inbox&#34;" in await board.page(path)


async def test_a_scheduled_job_says_why_it_waits_and_is_promoted(board: Board) -> None:
    [handle] = await board.app.enqueue([board.jobs.greet.using(delay=timedelta(hours=3)).draft("Ada")])
    page = await board.page(f"/jobs/{handle.id}", "operator")
    assert "Why it waits" in page
    assert re.search(r'<ol class="why"><li>[^<]+', page)
    answer = await board.post(f"/jobs/{handle.id}/retry")
    assert answer.headers["Location"].endswith("?did=promoted")
    assert (await board.see(handle.id)).state is State.QUEUED


async def test_a_waiting_job_is_cancelled_once(board: Board) -> None:
    [handle] = await board.app.enqueue([board.jobs.greet.draft("Ada")])
    assert (await board.post(f"/jobs/{handle.id}/cancel")).headers["Location"].endswith("?did=cancelled")
    assert (await board.post(f"/jobs/{handle.id}/cancel")).headers["Location"].endswith("?did=nothing")
    assert (await board.see(handle.id)).state is State.CANCELLED


async def test_a_running_job_shows_its_worker_and_progress(board: Board) -> None:
    [handle] = await board.app.enqueue([board.jobs.crawl.draft("https://example.org")])
    async with board.app.worker() as worker:
        async with asyncio.timeout(30):
            while not (await board.see(handle.id)).progress:  # noqa: ASYNC110 - the store is another's to write
                await asyncio.sleep(0.02)
        page = await board.page(f"/jobs/{handle.id}")
        assert "40 of 100: forty of a hundred pages" in page
        assert re.search(r'<progress max="100[.0]*" value="40[.0]*"', page)
        page = await board.page("/workers")
        assert handle.id in page
        assert worker.name in re.sub("<wbr>", "", page)
        board.jobs.gate.set()
        await handle.result(timeout=30)


async def test_children_are_shown_with_their_parent(board: Board) -> None:
    flow = group([board.jobs.greet.draft("Ada"), board.jobs.greet.draft("Bea")], then=board.jobs.greet.draft("Cem"))
    handle = await board.app.enqueue_flow(flow)
    page = await board.page(f"/jobs/{handle.id}")
    children = re.findall(r'id="job-([^"]+)"', page)
    assert "0 of 2 have ended" in page
    assert len(children) == 2
    assert f'href="/admin/queues/jobs/{handle.id}"' in await board.page(f"/jobs/{children[0]}")


async def test_a_job_shows_the_tree_that_it_stands_in(board: Board) -> None:
    names, jobs = ("Ada", "Bea"), board.jobs
    inner = group([jobs.greet.draft(name) for name in names], then=jobs.export.draft("inner"))
    root = await board.app.enqueue_flow(group([inner, jobs.greet.draft("Cem")], then=jobs.crawl.draft("all")))
    [middle] = await board.app.store.page(Where(names=("export",)), limit=9)
    leaves = [one.id for one in await board.app.store.page(Where(groups=(middle.id,)), limit=9)]
    of_root, of_middle, of_leaf = [await board.page(f"/jobs/{id_}") for id_ in (root.id, middle.id, leaves[0])]

    def tree(page: str) -> list[str]:
        return re.findall(
            r'href="/admin/queues/jobs/([^"]+)"', page.partition('<ul class="tree">')[2].partition("</section>")[0]
        )

    assert set(tree(of_root)) >= {middle.id, *leaves}
    assert tree(of_middle) == [root.id, *leaves]
    assert tree(of_leaf) == [root.id, middle.id]
    plain = await board.app.enqueue([jobs.greet.draft("Dan")])
    assert 'class="tree"' not in await board.page(f"/jobs/{plain[0].id}")


async def test_the_timeline_says_when_it_began_and_how_long_it_was_in_line(board: Board) -> None:
    [handle] = await board.app.enqueue([board.jobs.greet.using(delay=0.01).draft("Ada")])
    async with board.app.worker():
        await handle.result(timeout=30)
    timeline = (await board.page(f"/jobs/{handle.id}")).partition('<ol class="timeline">')[2].partition("</ol>")[0]
    assert re.findall(r"<b>([^<]+)</b>", timeline) == ["Created", "Due", "Attempt 1 began", "Done"]
    assert re.search(r", after [\d.]+ m?s in line", timeline)


async def test_what_jobs_bring_is_text_and_never_markup(board: Board) -> None:
    [failed] = await board.fail(NASTY, tenant=NASTY)
    for path in (*PAGES, f"/jobs/{failed.id}"):
        assert NASTY not in await board.page(path, "operator"), path
    assert "&lt;script&gt;" in await board.page(f"/jobs/{failed.id}")


async def test_a_breaker_is_opened_and_closed_by_hand(board: Board) -> None:
    await board.post("/limits/provider%3Alantern/open")
    page = await board.page("/limits", "operator")
    assert "by hand" in page
    assert "The breaker of provider:lantern is open" in await board.page()
    [close] = buttons(page)
    await board.post(close.removeprefix("/admin/queues"))
    assert [one.state for one in await board.app.gates.look("provider:lantern")] == ["closed"]


async def test_schedules_show_when_they_fire_next(board: Board) -> None:
    await board.app.work(until_idle=True)
    page = await board.page("/crons")
    assert "0 7 * * 1-5 Europe/Berlin" in page
    assert re.search(r'title="[\d-]+ \d\d:00:00 UTC">in ', page)


async def test_a_schedule_is_run_now_paused_and_goes_on(board: Board) -> None:
    at, told = "/crons/greet.weekdays", "/admin/queues/crons/greet.weekdays"
    assert buttons(await board.page("/crons", "operator")) == [f"{told}/run", f"{told}/pause"]
    run = await board.post(f"{at}/run")
    job = await board.see(run.headers["Location"].rpartition("/")[2].partition("?")[0])
    assert (run.status_code, job.name, job.state) == (303, "greet", State.QUEUED)

    assert (await board.post(f"{at}/pause")).headers["Location"].endswith("/crons?did=cron-paused")
    paused = await board.page("/crons", "operator")
    assert "paused" in paused
    assert buttons(paused) == [f"{told}/run", f"{told}/resume"]
    await board.post(f"{at}/resume")
    assert buttons(await board.page("/crons", "operator")) == [f"{told}/run", f"{told}/pause"]


async def test_a_worker_is_drained(board: Board) -> None:
    async with board.app.worker() as worker:
        while not (seen := buttons(await board.page("/workers", "operator"))):
            pass  # it tells of itself from a thread of its own
        assert seen == [f"/admin/queues/workers/{worker.name}/drain"]
        assert (await board.post(f"/workers/{worker.name}/drain")).headers["Location"].endswith("/workers?did=draining")
        await worker.stopped()


async def test_tenants_show_their_weight_and_what_waits(board: Board) -> None:
    await board.app.weigh(OTHER, 3)
    await board.app.enqueue(board.jobs.greet.using(tenant=OTHER).draft(str(number)) for number in range(4))
    page = await board.page("/tenants")
    assert re.findall(r'data-label="(?:In line|Weight)" class="n">\s*(?:<span>)?(\d+)', page) == ["4", "3"]


@pytest.mark.parametrize("path", PAGES)
async def test_each_page_asks_the_store_a_bounded_number_of_questions(
    sqlite: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_board(sqlite) as board:
        few = await _asked(board, path, monkeypatch, 3)
        many = await _asked(board, path, monkeypatch, 200)
        assert few == many
        assert 1 <= sum(many.values()) <= 12


async def _asked(board: Board, path: str, monkeypatch: pytest.MonkeyPatch, jobs: int) -> dict[str, int]:
    """What a page asks when so many jobs have failed and so many wait."""
    await board.fail(*(f"inbox-{number}" for number in range(jobs)))
    await board.app.enqueue(board.jobs.greet.draft(str(number)) for number in range(jobs))
    await board.app.pause("mail")
    counting = Counting(board.app.store)
    with monkeypatch.context() as patched:
        patched.setattr(board.app, "store", counting)
        patched.setattr(board.app.gates, "_store", counting)
        patched.setattr(board.app.crons, "_store", counting)
        await board.page(path)
    return {name: count for name, count in counting.asked.items() if name != "stats" or path != "/history"}
