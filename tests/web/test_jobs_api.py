"""Finding jobs and seeing one, over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.families.running import TENANT
from tests.web.errands import Errands
from tests.web.site import OTHER, told

from lamplighter import group

NOT_FOUND = (404, "job/not-found")


async def some_jobs(errands: Errands) -> list[str]:
    """One of each of two tenants that is done, one that failed, and one for later: their ids."""
    ids = [await errands.enqueue("greet", {"name": who}, tenant=who) for who in (TENANT, OTHER)]
    ids.append(await errands.enqueue("charge", {"card": "4111"}, tenant=TENANT))
    await errands.app.work(until_idle=True)
    return [*ids, await errands.enqueue("wait", {}, delay=3600)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [3, 2, 1, 0]),
        ("state=done&state=failed", [2, 1, 0]),
        ("queue=money", [2]),
        ("name=greet&name=wait", [3, 1, 0]),
        (f"tenant={OTHER}", [1]),
        (f"tenant={TENANT}&state=done", [0]),
        ("parent=nobody", []),
    ],
)
async def test_filters_narrow_the_list(errands_anywhere: Errands, query: str, expected: list[int]) -> None:
    ids = await some_jobs(errands_anywhere)
    found = await errands_anywhere.data("viewer", "GET", f"/jobs?{query}")
    assert [job["id"] for job in found] == [ids[number] for number in expected]


async def test_pages_follow_each_other(errands: Errands) -> None:
    ids = await some_jobs(errands)
    first = (await errands.ask("viewer", "GET", "/jobs?limit=3")).json()
    rest = (await errands.ask("viewer", "GET", f"/jobs?limit=3&before={first['next']}")).json()
    assert [job["id"] for job in first["data"] + rest["data"]] == ids[::-1]
    assert rest["next"] is None


@pytest.mark.parametrize(
    "query", ["state=over", "queue=", "queue=a%00b", f"tenant={'x' * 201}", "limit=0", "limit=501"]
)
async def test_a_filter_that_cannot_be_is_refused(errands: Errands, query: str) -> None:
    assert told(await errands.ask("viewer", "GET", f"/jobs?{query}")) == (400, "validation/invalid-input")


async def test_a_tenant_finds_its_own_jobs_only(errands: Errands) -> None:
    mine, other, failed, nobodys = await some_jobs(errands)
    assert [job["id"] for job in await errands.data("owner", "GET", "/jobs")] == [failed, mine]
    assert (await errands.ask("owner", "GET", f"/jobs?tenant={OTHER}")).status_code == 403
    assert (await errands.ask("nosy", "GET", "/jobs")).status_code == 403
    for id_ in (other, nobodys):
        for path in ("", "/why", "/children", "/result"):
            assert told(await errands.ask("owner", "GET", f"/jobs/{id_}{path}")) == NOT_FOUND


async def test_a_job_is_shown_with_its_failures_and_its_life(errands: Errands) -> None:
    _, _, failed, later = await some_jobs(errands)
    job = await errands.data("viewer", "GET", f"/jobs/{failed}")
    [failure] = job["failedAttempts"]
    assert (failure["attempt"], failure["kind"], failure["error"]) == (1, "error", "ValueError")
    assert failure["message"] == "the card 4111 is declined"
    assert "in charge" in failure["traceback"]
    assert [moment["what"] for moment in job["timeline"]] == ["created", "started", "attempt-failed", "failed"]
    assert [moment["attempt"] for moment in job["timeline"]] == [None, 1, 1, None]
    assert (job["args"], job["failures"], job["children"], job["limits"]) == ({"card": "4111"}, 1, None, [])
    scheduled = await errands.data("viewer", "GET", f"/jobs/{later}")
    assert [moment["what"] for moment in scheduled["timeline"]] == ["created", "due"]


async def test_the_key_of_a_job_is_shown(errands: Errands) -> None:
    id_ = await errands.enqueue("report", {"month": 5}, tenant=TENANT)
    assert (await errands.data("viewer", "GET", f"/jobs/{id_}"))["uniqueKey"] == "report:5"
    assert (await errands.data("owner", "GET", f"/jobs/{id_}"))["uniqueKey"] is None


async def test_a_tenant_learns_that_its_job_failed_but_not_how_it_is_made(errands: Errands) -> None:
    _, _, failed, _ = await some_jobs(errands)
    answer = await errands.ask("owner", "GET", f"/jobs/{failed}")
    job = told(answer)[1]
    [failure] = job["failedAttempts"]
    assert (failure["kind"], failure["error"], failure["message"], failure["traceback"]) == ("error", None, None, None)
    assert (job["args"], job["worker"], job["reason"]) == (None, None, None)
    result = await errands.ask("owner", "GET", f"/jobs/{failed}/result")
    assert told(result) == (409, "job/failed")
    for text in (answer.text, result.text, (await errands.ask("owner", "GET", f"/jobs/{failed}/why")).text):
        assert "declined" not in text
        assert "Traceback" not in text


async def test_what_is_in_the_way_of_a_job_is_told_in_sentences(errands: Errands) -> None:
    id_ = await errands.enqueue("greet", {"name": "Ada"}, tenant=TENANT)
    await errands.data("operator", "GET", f"/jobs/{id_}/why")
    assert (await errands.ask("operator", "POST", "/queues/default/pause")).status_code == 204
    seen = await errands.data("viewer", "GET", f"/jobs/{id_}/why")
    assert (seen["id"], seen["state"]) == (id_, "queued")
    kinds = {blocker["kind"]: blocker for blocker in seen["blockers"]}
    assert kinds.keys() == {"paused", "no_worker"}
    assert kinds["paused"]["says"].startswith("its queue default is paused")
    assert kinds["no_worker"]["figures"]["silentFor"] is None
    own = await errands.data("owner", "GET", f"/jobs/{id_}/why")
    assert [blocker["kind"] for blocker in own["blockers"]] == ["waits"]


async def test_a_tenant_is_told_what_it_can_do_about_its_job(errands: Errands) -> None:
    _, _, failed, _ = await some_jobs(errands)
    later = await errands.enqueue("greet", {"name": "Ada"}, who="owner", delay=60)
    for id_, kind in ((failed, "ended"), (later, "scheduled")):
        blocker, *others = (await errands.data("owner", "GET", f"/jobs/{id_}/why"))["blockers"]
        assert blocker["kind"] == kind
        assert blocker["figures"] == {}
        assert [other["kind"] for other in others] == ["waits"][: len(others)], "there is no worker"


async def test_the_children_of_a_job_are_paged(errands_anywhere: Errands) -> None:
    errands = errands_anywhere
    greetings = [errands.greet.using(tenant=TENANT).draft(f"Ada {n}") for n in range(5)]
    foreign = errands.greet.using(tenant=OTHER).draft("Bea")
    parent = await errands.app.enqueue_flow(
        group([*greetings, foreign], errands.greet.using(tenant=TENANT).draft("all"))
    )
    job = await errands.data("owner", "GET", f"/jobs/{parent.id}")
    assert (job["state"], job["children"]["total"], job["children"]["added"]) == ("held", 6, 6)
    first = (await errands.ask("viewer", "GET", f"/jobs/{parent.id}/children?limit=4")).json()
    rest = (await errands.ask("viewer", "GET", f"/jobs/{parent.id}/children?limit=4&before={first['next']}")).json()
    assert [len(first["data"]), len(rest["data"])] == [4, 2]
    assert {child["parent"] for child in first["data"] + rest["data"]} == {parent.id}
    own = await errands.data("owner", "GET", f"/jobs/{parent.id}/children")
    assert [child["tenant"] for child in own] == [TENANT] * 5
    assert await errands.data("viewer", "GET", f"/jobs/{parent.id}/children?state=done") == []


async def test_a_result_can_be_waited_for(errands_anywhere: Errands) -> None:
    errands = errands_anywhere
    id_ = await errands.enqueue("wait", {})
    async with errands.app.worker():
        await errands.began.wait()
        waiting = asyncio.create_task(errands.ask("viewer", "GET", f"/jobs/{id_}/result?timeout=60"))
        soon = await errands.ask("viewer", "GET", f"/jobs/{id_}/result")
        assert told(soon) == (202, {"id": id_, "state": "running", "result": None, "progress": None})
        assert told(await errands.ask("viewer", "GET", f"/jobs/{id_}/result?timeout=0.05"))[0] == 202
        errands.door.set()
        assert told(await waiting)[1]["result"] == "the door is open"


async def test_what_has_no_result_has_a_reason(errands: Errands) -> None:
    failed = await errands.enqueue("charge", {"card": "4111"})
    await errands.app.work(until_idle=True)
    cancelled = await errands.enqueue("wait", {})
    await errands.data("operator", "POST", f"/jobs/{cancelled}/cancel")
    for id_, expected in ((failed, (409, "job/failed")), (cancelled, (409, "job/cancelled"))):
        answer = await errands.ask("viewer", "GET", f"/jobs/{id_}/result")
        assert told(answer) == expected
        assert "declined" in answer.text or "is cancelled" in answer.text


async def test_a_result_that_is_not_kept_is_not_there(errands: Errands) -> None:
    id_ = await errands.enqueue("wait", {})
    waiting = asyncio.create_task(errands.ask("viewer", "GET", f"/jobs/{id_}/result?timeout=60"))
    async with asyncio.timeout(60):
        while not errands.app._results._watches:  # noqa: ASYNC110 - nothing else tells that it has come so far
            await asyncio.sleep(0.01)
    assert (await errands.ask("operator", "DELETE", f"/jobs/{id_}")).status_code == 204
    assert told(await waiting) == NOT_FOUND


@pytest.mark.parametrize("timeout", ["-1", "61", "nan", "inf"])
async def test_nobody_waits_for_ever(errands: Errands, timeout: str) -> None:
    id_ = await errands.enqueue("wait", {})
    answer = await errands.ask("viewer", "GET", f"/jobs/{id_}/result?timeout={timeout}")
    assert told(answer) == (400, "validation/invalid-input")


async def test_jobs_are_searched_by_their_arguments_among_those_that_match(errands_anywhere: Errands) -> None:
    errands = errands_anywhere
    ids = [await errands.enqueue("greet", {"name": f"Ada {n}"}, queue="ab"[n % 2]) for n in range(6)]
    answer = await errands.ask("viewer", "GET", "/jobs/search", params={"args": "name=Ada 4"})
    found = answer.json()
    assert ([one["id"] for one in found["data"]], found["next"], found["lookedAt"]) == ([ids[4]], None, 6)
    query: dict[str, Any] = {"args": "Ada", "queue": "a", "limit": 2}
    found = (await errands.ask("viewer", "GET", "/jobs/search", params=query)).json()
    assert ([one["id"] for one in found["data"]], found["next"]) == ([ids[4], ids[2]], ids[2])
    found = (await errands.ask("viewer", "GET", "/jobs/search", params={**query, "before": ids[2]})).json()
    assert ([one["id"] for one in found["data"]], found["next"]) == ([ids[0]], None)


async def test_a_tenant_cannot_search_what_it_does_not_see(errands: Errands) -> None:
    await errands.enqueue("greet", {"name": "Ada"}, tenant=TENANT)
    answer = await errands.ask("owner", "GET", "/jobs/search", params={"args": "Ada"})
    assert told(answer) == (403, "auth/insufficient-permissions")
