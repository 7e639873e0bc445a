"""Enqueuing a job again with other arguments: over HTTP, and from its page."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.families.running import TENANT
from tests.web.board import Board, buttons
from tests.web.errands import Errands
from tests.web.site import OTHER, Site, told

from lamplighter.core.clock import to_us
from lamplighter.core.ids import new_id
from lamplighter.core.model import JobView, NewJob, State, Where

INVALID = (400, "validation/invalid-input")
FORBIDDEN = (403, "auth/insufficient-permissions")


async def seen(errands: Errands, id_: str) -> JobView:
    [found] = await errands.app.store.page(Where(ids=(id_,)), limit=1)
    return found


async def edit(errands: Errands, who: str, id_: str, **edited: Any) -> tuple[int, Any]:
    return told(await errands.ask(who, "POST", f"/jobs/{id_}/edit", edited))


async def test_an_edited_job_is_a_new_one_and_each_tells_of_the_other(errands_anywhere: Errands) -> None:
    errands = errands_anywhere
    old = await errands.enqueue("charge", {"card": "4111"}, tenant=TENANT, priority="high")
    await errands.app.work(until_idle=True)
    status, added = await edit(errands, "operator", old, args={"card": "4242"})
    assert (status, added["created"]) == (201, True)
    new = await seen(errands, added["id"])
    assert (new.name, new.queue, new.tenant, new.priority) == ("charge", "money", TENANT, 10)
    assert (json.loads(new.args), new.state, new.failures) == ({"card": "4242"}, State.QUEUED, 0)
    shown = await errands.data("viewer", "GET", f"/jobs/{new.id}")
    assert (shown["editedFrom"], shown["editedInto"]) == (old, [])
    shown = await errands.data("viewer", "GET", f"/jobs/{old}")
    assert (shown["editedFrom"], shown["editedInto"], shown["state"]) == (None, [new.id], "failed")
    assert shown["args"] == {"card": "4111"}


async def test_what_is_left_out_is_as_it_was_and_what_is_told_is_not(errands: Errands) -> None:
    old = await errands.enqueue("greet", {"name": "Ada"}, queue="slow", delay=3600)
    _, first = await edit(errands, "operator", old)
    _, second = await edit(errands, "operator", old, queue="quick", priority=7)
    new = await seen(errands, first["id"])
    assert (json.loads(new.args), new.queue, new.priority, new.state) == ({"name": "Ada"}, "slow", 0, State.QUEUED)
    new = await seen(errands, second["id"])
    assert (new.queue, new.priority) == ("quick", 7)
    shown = await errands.data("viewer", "GET", f"/jobs/{old}")
    assert sorted(shown["editedInto"]) == sorted([first["id"], second["id"]])


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({}, "also needs name"),
        ({"name": 7}, "Expected `str`, got `int` - at `$.name`"),
        ({"name": "Ada", "age": 7}, "unknown field `age`"),
    ],
)
async def test_arguments_that_do_not_fit_are_refused_in_one_sentence(
    errands: Errands, args: dict[str, object], says: str
) -> None:
    old = await errands.enqueue("greet", {"name": "Ada"})
    answer = await errands.ask("operator", "POST", f"/jobs/{old}/edit", {"args": args})
    assert told(answer) == INVALID
    assert says in answer.json()["error"]["message"]
    assert list(await errands.states()) == [old]


async def test_a_job_that_holds_the_key_stays_the_only_one(errands: Errands) -> None:
    old = await errands.enqueue("report", {"month": 5})
    status, added = await edit(errands, "operator", old, args={"month": 5, "style": "rich"})
    assert (status, added) == (200, {"id": old, "created": False, "replaced": True})
    shown = await errands.data("viewer", "GET", f"/jobs/{old}")
    assert (shown["editedFrom"], shown["editedInto"]) == (None, [])


async def test_a_tenant_edits_only_what_it_may_enqueue_and_not_how_it_is_run(errands: Errands) -> None:
    mine = await errands.enqueue("greet", {"name": "Ada"}, tenant=TENANT, queue="quick", priority="urgent")
    foreign = await errands.enqueue("greet", {"name": "Ada"}, tenant=OTHER)
    closed = await errands.enqueue("charge", {"card": "4111"}, tenant=TENANT)
    assert (await edit(errands, "owner", foreign))[0] == 404
    assert await edit(errands, "owner", closed) == FORBIDDEN
    assert await edit(errands, "owner", mine, priority="urgent") == FORBIDDEN
    status, added = await edit(errands, "owner", mine, args={"name": "Bea"})
    new = await seen(errands, added["id"])
    assert (status, new.tenant, new.queue, new.priority) == (201, TENANT, "default", 0)
    assert await edit(errands, "viewer", mine) == FORBIDDEN


async def test_a_job_that_the_app_does_not_have_cannot_be_edited(site: Site) -> None:
    now = site.inside.app.clock()
    job = NewJob(id=new_id(to_us(now)), name="dust", queue="dust", run_at=now)
    await site.inside.app.store.add([job], now=now)
    answer = await site.ask("operator", "POST", f"/jobs/{job.id}/edit", {})
    assert told(answer) == (404, "job/unknown-name")
    [record] = await site.records("job.edit")
    assert (record.resource_id, record.result) == (job.id, "failure")


async def test_the_page_of_a_job_leads_to_a_form_that_makes_the_new_one(board: Board) -> None:
    [failed] = await board.fail("inbox")
    path = f"/jobs/{failed.id}"
    assert f'href="/admin/queues{path}/edit"' in await board.page(path, "operator")
    assert f"{path}/edit" not in await board.page(path, "viewer")
    form = await board.page(f"{path}/edit", "operator")
    assert buttons(form) == [f"/admin/queues{path}/edit"]
    assert "&#34;folder&#34;: &#34;inbox&#34;" in form
    answer = await board.post(f"{path}/edit", args='{"folder": "outbox"}', queue="exports", priority="-10")
    assert answer.status_code == 303
    [new_path] = answer.headers["Location"].removeprefix("/admin/queues").split("?")[:1]
    page = await board.page(new_path, did="enqueued")
    assert "this is the new job" in page
    assert f'Made of</dt><dd class="mono"><a href="/admin/queues{path}">' in page
    assert f'Edited into</dt><dd class="mono"><a href="/admin/queues{new_path}">' in await board.page(path)
    new = await board.see(new_path.rpartition("/")[2])
    assert (json.loads(new.args)["folder"], new.priority, new.tenant) == ("outbox", -10, failed.tenant)


@pytest.mark.parametrize(
    ("filled", "says"),
    [
        ({"args": '{"folder": 7}'}, "Expected `str`, got `int`"),
        ({"args": "[1]"}, "The arguments are no JSON object"),
        ({"args": '{"folder": '}, "The arguments are no JSON object"),
        ({"args": '{"folder": "<b>"}', "priority": "1001"}, "A priority is a whole number"),
        ({"args": '{"folder": "<b>"}', "priority": "high"}, "A priority is a whole number"),
        ({"args": '{"folder": "<b>"}', "queue": ""}, "A queue has a name"),
    ],
)
async def test_a_form_that_is_wrong_comes_back_as_it_was_filled_in(
    board: Board, filled: dict[str, str], says: str
) -> None:
    [failed] = await board.fail("inbox")
    sent = {"queue": "exports", "priority": "0"} | filled
    answer = await board.post(f"/jobs/{failed.id}/edit", **sent)
    assert answer.status_code == 400
    assert says in answer.text
    assert filled["args"].replace('"', "&#34;").replace("<", "&lt;").replace(">", "&gt;") in answer.text
    assert len(await board.app.store.page(Where(), limit=9)) == 1


async def test_arguments_that_are_too_long_for_a_form_are_not_offered_in_one(board: Board) -> None:
    [failed] = await board.fail("x" * 20_000)
    answer = await board.ask("operator", f"/jobs/{failed.id}/edit")
    assert (answer.status_code, "too long for a form" in answer.text) == (400, True)
