"""The page of failures: in which groups they are, and running a group again."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from tests.families.running import TENANT
from tests.web.board import OTHER, Board, buttons, running_board

from lamplighter import Ctx, exponential
from lamplighter.core.model import State, Where
from lamplighter.demo.settle import settle
from lamplighter.demo.world import World


def rows(page: str) -> dict[str, tuple[str, int]]:
    """The groups: by name, their fingerprint and how many jobs they have."""
    found = re.findall(r'id="group-([0-9a-f]{16})">(.*?)</tr>', page, re.DOTALL)
    plain = [(digest, re.sub(r"<wbr>", "", row)) for digest, row in found]
    names = [re.findall(r'class="name">(?:<a [^>]*>)?([^<]+)', row)[0].strip() for _, row in plain]
    counts = [int(re.findall(r'data-label="Jobs" class="n">\s*<span[^>]*>(\d+)', row)[0]) for _, row in plain]
    return {name: (digest, count) for name, (digest, _), count in zip(names, plain, counts, strict=True)}


async def until_over(board: Board) -> str:
    """The page of failures once nothing is under way."""
    async with asyncio.timeout(60):
        while 'class="state running"' in (page := await board.page("/failures", "operator")):  # noqa: ASYNC110 - as a person
            await asyncio.sleep(0.02)
    return page


async def test_failures_of_a_kind_are_one_group_and_run_again_together(board: Board) -> None:
    failed = await board.fail("inbox", "outbox", "7f3a9c2e11")
    page = await board.page("/failures", "operator")
    [(fingerprint, count)] = rows(page).values()
    assert count == 3
    assert "board.py in export" in page
    path = f"/failures/cause/{fingerprint}"
    assert f'href="/admin/queues{path}"' in page
    form = await board.page(path, "operator")
    assert "3 failed jobs run again" in form
    assert buttons(form) == [f"/admin/queues{path}/retry"]
    board.jobs.broken = False
    answer = await board.post(f"{path}/retry", per_second="")
    assert (answer.status_code, answer.headers["Location"]) == (
        303,
        "/admin/queues/failures?by=cause&did=under-way",
    )
    page = await until_over(board)
    assert "3 of 3" in page
    await board.app.work(until_idle=True)
    assert {(await board.see(one.id)).state for one in failed} == {State.DONE}
    assert (await board.post(f"{path}/retry")).status_code == 404


async def test_a_group_runs_again_at_a_pace_and_is_stopped(board: Board) -> None:
    failed = await board.fail(*(f"inbox-{n}" for n in range(30)))
    [(fingerprint, _)] = rows(await board.page("/failures", by="job")).values()
    await board.post(f"/failures/job/{fingerprint}/retry", per_second="1")
    page = await board.page("/failures", "operator", did="under-way")
    assert "how far it is shows here" in page
    assert "1 a second" in page
    assert re.search(r'<progress max="30" value="\d+"', page)
    [stop] = [path for path in buttons(page) if path.endswith("/stop")]
    assert buttons(await board.page("/failures", "viewer")) == []
    answer = await board.post(stop.removeprefix("/admin/queues"))
    assert answer.headers["Location"].endswith("/failures?did=stopping")
    page = await until_over(board)
    assert "it was stopped: start it again" in page
    states = [(await board.see(one.id)).state for one in failed]
    assert 0 < states.count(State.FAILED) < 30
    assert (await board.post(stop.removeprefix("/admin/queues"))).status_code == 409


@pytest.mark.parametrize("per_second", ["0", "10001", "1.5", "fast", "²"])
async def test_a_pace_that_cannot_be_is_refused(board: Board, per_second: str) -> None:
    [failed] = await board.fail("inbox")
    [(fingerprint, _)] = rows(await board.page("/failures")).values()
    answer = await board.post(f"/failures/cause/{fingerprint}/retry", per_second=per_second)
    assert (answer.status_code, "a whole number from 1 to 10,000" in answer.text) == (400, True)
    assert (await board.see(failed.id)).state is State.FAILED


async def test_all_that_failed_of_a_job_run_again_though_more_failed_than_were_looked_at(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lamplighter.web.pages.causes.LOOKED_AT", 2)
    monkeypatch.setattr("lamplighter.web.pages.failures.COUNTED", 3)
    failed = await board.fail(*(f"inbox-{n}" for n in range(5)), tenant=OTHER)
    [(fingerprint, count)] = rows(await board.page("/failures", by="job")).values()
    assert count == 2
    assert "At least 3 failed jobs run again" in await board.page(f"/failures/job/{fingerprint}", "operator")
    board.jobs.broken = False
    await board.post(f"/failures/job/{fingerprint}/retry")
    await until_over(board)
    assert {(await board.see(one.id)).state for one in failed} == {State.QUEUED}


async def test_failures_are_grouped_by_job_and_by_the_provider_that_they_are_about(sqlite: str, world: World) -> None:
    async with running_board(sqlite, integrating=True) as board:
        assert board.tokens is not None

        @board.app.job(retry=exponential(attempts=1))
        async def crawl_drive(ctx: Ctx[None], integration_id: str) -> None:
            raise RuntimeError("no such folder")

        @board.app.job(retry=exponential(attempts=1))
        async def fetch(ctx: Ctx[None], provider: str | None) -> None:
            raise RuntimeError("no answer")

        one = (await settle(board.tokens.service, world.url))[0]
        await board.fail("inbox", "outbox")
        drafts = [crawl_drive.draft(one.id), crawl_drive.draft("gone"), fetch.draft("lantern"), fetch.draft(None)]
        handles = await board.app.enqueue(drafts)
        async with board.app.worker(queues=["default"]):
            for handle in handles:
                await board.app.ended(handle.id, 60)
        by_job = rows(await board.page("/failures", by="job"))
        assert {name: count for name, (_, count) in by_job.items()} == {"crawl_drive": 2, "export": 2, "fetch": 2}
        by_provider = rows(await board.page("/failures", by="provider"))
        assert {name: count for name, (_, count) in by_provider.items()} == {
            "lantern": 3,
            one.provider_slug: 1,
            "about no provider": 2,
        }
        await board.post(f"/failures/provider/{by_provider['lantern'][0]}/retry")
        await until_over(board)
        failed = await board.app.store.page(Where(states=(State.FAILED,)), limit=9)
        assert sorted(json.loads(job.args).get("integration_id", "none") for job in failed) == sorted(
            [one.id, "gone", "none"]
        )
        log = re.sub("<wbr>", "", await board.page("/audit"))
        assert "failures.retry" in log


async def test_a_group_that_is_not_there_is_not_found(board: Board) -> None:
    await board.fail("inbox", tenant=TENANT)
    for path in ("/failures/cause/0123456789abcdef", "/failures/job/0123456789abcdef"):
        assert (await board.ask("operator", path)).status_code == 404
    assert (await board.ask("operator", "/failures/moon/0123456789abcdef")).status_code == 400
    assert (await board.ask("viewer", "/failures/cause/0123456789abcdef")).status_code == 403
