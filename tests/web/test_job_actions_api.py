"""Running a job again or early, cancelling and forgetting it, over HTTP."""

from __future__ import annotations

import pytest
from tests.families.running import TENANT
from tests.web.errands import Errands
from tests.web.site import OTHER, told

from lamplighter import group

NOT_POSSIBLE = (409, "job/not-possible")
VERBS = [("POST", "/retry"), ("POST", "/promote"), ("POST", "/cancel"), ("DELETE", "")]


async def in_state(errands: Errands, state: str) -> str:
    """The id of a job in that state."""
    match state:
        case "queued":
            return await errands.enqueue("wait", {})
        case "scheduled":
            return await errands.enqueue("wait", {}, delay=3600)
        case "held":
            flow = group([errands.greet.using(delay=3600).draft("Ada")], errands.greet.draft("all"))
            return (await errands.app.enqueue_flow(flow)).id
        case "done" | "failed":
            name, args = ("greet", {"name": "Ada"}) if state == "done" else ("charge", {"card": "4111"})
            id_ = await errands.enqueue(name, args)
            await errands.app.work(until_idle=True)
            return id_
        case _:
            id_ = await errands.enqueue("wait", {})
            await errands.app.cancel(id_)
            return id_


@pytest.mark.parametrize(
    ("verb", "state", "after"),
    [
        ("retry", "failed", "queued"),
        ("retry", "done", "queued"),
        ("retry", "cancelled", "queued"),
        ("retry", "scheduled", "queued"),
        ("promote", "scheduled", "queued"),
        ("cancel", "queued", "cancelled"),
        ("cancel", "scheduled", "cancelled"),
        ("cancel", "held", "cancelled"),
    ],
)
async def test_what_applies_is_done_and_shown(errands: Errands, verb: str, state: str, after: str) -> None:
    id_ = await in_state(errands, state)
    job = await errands.data("operator", "POST", f"/jobs/{id_}/{verb}")
    assert (job["id"], job["state"]) == (id_, after)
    assert (await errands.states())[id_] == after


@pytest.mark.parametrize(
    ("verb", "state", "says"),
    [
        ("retry", "queued", "it is in line already"),
        ("retry", "held", "until its children have ended"),
        ("promote", "queued", "it is in line already"),
        ("promote", "failed", "retry it"),
        ("cancel", "done", "there is nothing to cancel"),
        ("cancel", "cancelled", "there is nothing to cancel"),
    ],
)
async def test_what_does_not_apply_is_refused_and_changes_nothing(
    errands: Errands, verb: str, state: str, says: str
) -> None:
    id_ = await in_state(errands, state)
    answer = await errands.ask("operator", "POST", f"/jobs/{id_}/{verb}")
    assert told(answer) == NOT_POSSIBLE
    assert says in answer.json()["error"]["message"]
    assert (await errands.states())[id_] == state


async def test_a_running_job_is_asked_to_stop_and_else_left_alone(errands: Errands) -> None:
    id_ = await errands.enqueue("wait", {})
    async with errands.app.worker():
        await errands.began.wait()
        for method, path in (("POST", "/retry"), ("POST", "/promote"), ("DELETE", "")):
            answer = await errands.ask("operator", method, f"/jobs/{id_}{path}")
            assert told(answer) == NOT_POSSIBLE
            assert answer.json()["error"]["message"].startswith("it runs")
        job = await errands.data("operator", "POST", f"/jobs/{id_}/cancel")
        assert (job["state"], job["stopping"]) == ("running", True)
        answer = await errands.ask("viewer", "GET", f"/jobs/{id_}/result?timeout=60")
        assert told(answer) == (409, "job/cancelled")


@pytest.mark.parametrize("state", ["queued", "scheduled", "held"])
async def test_what_waits_is_forgotten_at_once(errands: Errands, state: str) -> None:
    id_ = await in_state(errands, state)
    assert (await errands.ask("operator", "DELETE", f"/jobs/{id_}")).status_code == 204
    assert id_ not in await errands.states()


@pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
async def test_what_has_ended_is_forgotten_with_its_failures(errands: Errands, state: str) -> None:
    id_ = await in_state(errands, state)
    assert (await errands.ask("operator", "DELETE", f"/jobs/{id_}")).status_code == 204
    assert await errands.states() == {}
    assert await errands.app.store.failures(id_) == []
    assert told(await errands.ask("operator", "DELETE", f"/jobs/{id_}")) == (404, "job/not-found")


async def test_a_child_that_is_waited_for_with_others_cannot_be_deleted(errands: Errands) -> None:
    flow = group([errands.greet.draft("Ada"), errands.greet.using(delay=3600).draft("Bea")], errands.greet.draft("all"))
    parent = await errands.app.enqueue_flow(flow)
    await errands.app.work(until_idle=True)
    [child] = await errands.data("viewer", "GET", f"/jobs/{parent.id}/children?state=done")
    answer = await errands.ask("operator", "DELETE", f"/jobs/{child['id']}")
    assert told(answer) == NOT_POSSIBLE
    assert "delete it when that has ended too" in answer.json()["error"]["message"]


async def test_a_tree_is_cancelled_from_its_root(errands: Errands) -> None:
    inner = group([errands.greet.draft("Ada"), errands.greet.draft("Bea")], errands.greet.draft("both"))
    root = await errands.app.enqueue_flow(group([inner, errands.greet.draft("Cem")], errands.greet.draft("all")))
    await errands.data("operator", "POST", f"/jobs/{root.id}/cancel?tree=true")
    assert list((await errands.states()).values()) == ["cancelled"] * 5
    assert told(await errands.ask("operator", "POST", f"/jobs/{root.id}/cancel?tree=true")) == NOT_POSSIBLE


async def test_a_tenant_cancels_of_a_tree_what_is_its_own(errands: Errands) -> None:
    mine, foreign = (errands.greet.using(tenant=one) for one in (TENANT, OTHER))
    root = await errands.app.enqueue_flow(group([mine.draft("Ada"), foreign.draft("Bea")], mine.draft("all")))
    await errands.data("owner", "POST", f"/jobs/{root.id}/cancel?tree=true")
    jobs = await errands.data("viewer", "GET", "/jobs")
    assert {(job["tenant"], job["state"]) for job in jobs} == {(TENANT, "cancelled"), (OTHER, "queued")}


@pytest.mark.parametrize(("method", "path"), VERBS)
async def test_a_tenant_tends_its_own_jobs_only(errands: Errands, method: str, path: str) -> None:
    id_ = await errands.enqueue("greet", {"name": "Ada"}, tenant=OTHER, delay=60)
    assert told(await errands.ask("owner", method, f"/jobs/{id_}{path}")) == (404, "job/not-found")
    assert told(await errands.ask("viewer", method, f"/jobs/{id_}{path}")) == (403, "auth/insufficient-permissions")
    assert await errands.states() == {id_: "scheduled"}
    assert (await errands.ask("stranger", method, f"/jobs/{id_}{path}")).is_success
