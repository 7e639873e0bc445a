"""`lamplighter jobs why` and `crons why`: what is in the way, for people and for programs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.app.presence import worker
from tests.cli.program import Program
from tests.cli.shop import Shop

from lamplighter import Handle


async def a_paused_retry(shop: Shop) -> Handle[str]:
    handle: Handle[str] = await shop.greet.using(delay=timedelta(hours=3)).enqueue("Ada")
    await shop.app.pause("default")
    return handle


async def test_all_that_is_in_the_way_is_told_in_numbered_sentences(cli: Program, shop: Shop) -> None:
    handle = await a_paused_retry(shop)
    told = cli("jobs", "why", handle.id)
    assert (told.code, told.err) == (0, "")
    head, paused, no_worker, scheduled = told.out.splitlines()
    assert head == f"greet {handle.id}, in queue default, is scheduled."
    assert paused == "1. its queue default is paused: `lamplighter queues resume default` lets it go on."
    assert no_worker == "2. no worker is alive: start one with `lamplighter work MODULE:APP`."
    assert scheduled.startswith("3. it is to begin in ")


async def test_programs_get_the_figures_too(cli: Program, shop: Shop) -> None:
    handle = await a_paused_retry(shop)
    told = cli("jobs", "why", handle.id, "--json")
    assert told.code == 0
    assert {name: told.json[name] for name in ("id", "name", "queue", "state")} == {
        "id": handle.id,
        "name": "greet",
        "queue": "default",
        "state": "scheduled",
    }
    paused, no_worker, scheduled = told.json["blockers"]
    assert (paused["kind"], paused["queued"]) == ("paused", 0)
    assert (no_worker["kind"], no_worker["silent_for"]) == ("no_worker", None)
    assert scheduled["because"] == "added"
    assert 0 < scheduled["left"] <= 3 * 3600


async def test_where_nothing_is_in_the_way_it_says_so(cli: Program, shop: Shop) -> None:
    handle = await shop.greet.enqueue("Ada")
    await worker(shop.app)
    told = cli("jobs", "why", handle.id)
    assert told.out.splitlines()[1:] == ["Nothing is in its way: the next free slot takes it."]
    assert cli("jobs", "why", handle.id, "--json").json["blockers"] == []


@pytest.mark.parametrize("form", [[], ["--json"]])
async def test_a_job_that_is_not_there_is_one_sentence_and_code_1(cli: Program, shop: Shop, form: list[str]) -> None:
    answer = cli("jobs", "why", "nobody", *form)
    assert answer.code == 1
    assert answer.sentence == "there is no job nobody: correct the id; `lamplighter jobs list` shows those there are."
    assert not form or answer.json == {"error": answer.sentence}


async def test_a_schedule_tells_why_it_makes_no_job(cli: Program, shop: Shop) -> None:
    await shop.app.work(until_idle=True)
    told = cli("crons", "why", "leap days")
    assert told.code == 0
    head, next_slot = told.out.splitlines()
    assert head == "leap days (0 7 29 2 * Europe/Berlin) makes jobs greet in queue default."
    assert next_slot.startswith("1. its next slot (0 7 29 2 * Europe/Berlin) comes in ")
    [blocker] = cli("crons", "why", "leap days", "--json").json["blockers"]
    assert blocker["kind"] == "next_slot"


async def test_a_schedule_that_nobody_has_had_is_one_sentence_and_code_1(cli: Program, shop: Shop) -> None:
    answer = cli("crons", "why", "nothing")
    assert answer.code == 1
    assert answer.sentence.startswith("no worker has had a schedule 'nothing': ")
