from __future__ import annotations

from datetime import timedelta

import pytest
from tests.cli.program import Program
from tests.cli.shop import Shop

from lamplighter import group


async def some_jobs(shop: Shop) -> list[str]:
    """One that is done, one that failed, one for later, one that waits: their ids."""
    handles = [await shop.greet.using(tenant="bakery").enqueue("Ada"), await shop.charge.enqueue("4111-1111")]
    await shop.app.work(until_idle=True)
    handles += [await shop.greet.using(delay=timedelta(hours=1), tenant="clinic").enqueue("Bea")]
    handles += [await shop.greet.enqueue("Cem")]
    return [handle.id for handle in handles]


async def test_jobs_are_listed_newest_first(cli: Program, shop: Shop) -> None:
    done, failed, later, waiting = await some_jobs(shop)
    answer = cli("jobs", "list", "--json")
    assert answer.code == 0
    assert [(job["id"], job["state"]) for job in answer.json["jobs"]] == [
        (waiting, "queued"),
        (later, "scheduled"),
        (failed, "failed"),
        (done, "done"),
    ]
    assert answer.json["next"] is None
    table = cli("jobs", "list").out.splitlines()
    assert table[0].split() == ["id", "name", "queue", "tenant", "state", "when", "fails"]
    assert table[1].split()[:5] == [waiting, "greet", "default", "-", "queued"]
    assert "in 59m" in table[2] or "in 60m" in table[2]
    assert table[3].split()[-1] == "1"


async def test_a_noun_alone_lists_and_takes_the_options_of_its_list(cli: Program, shop: Shop) -> None:
    _, failed, _, _ = await some_jobs(shop)
    assert cli("jobs", "--json").out == cli("jobs", "list", "--json").out
    assert [job["id"] for job in cli("jobs", "--state", "failed", "--json").json["jobs"]] == [failed]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--state", "done", "--state", "failed"], [1, 0]),
        (["--queue", "money"], [1]),
        (["--name", "greet"], [3, 2, 0]),
        (["--tenant", "bakery", "--tenant", "clinic"], [2, 0]),
        (["--tenant", "bakery", "--state", "queued"], []),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
async def test_filters_narrow_the_list(cli: Program, shop: Shop, options: list[str], expected: list[int]) -> None:
    ids = await some_jobs(shop)
    found = cli("jobs", "list", *options, "--json").json["jobs"]
    assert [job["id"] for job in found] == [ids[number] for number in expected]


async def test_pages_follow_each_other_until_nothing_is_left(cli: Program, shop: Shop) -> None:
    ids = await some_jobs(shop)
    first = cli("jobs", "list", "--limit", "3", "--json").json
    assert [job["id"] for job in first["jobs"]] == ids[:0:-1]
    rest = cli("jobs", "list", "--limit", "3", "--before", first["next"], "--json").json
    assert [job["id"] for job in rest["jobs"]] == [ids[0]]
    assert rest["next"] is None
    assert f"--before {first['next']}" in cli("jobs", "list", "--limit", "3").out


async def test_jobs_are_found_by_their_arguments(cli: Program, shop: Shop) -> None:
    done, _, later, waiting = await some_jobs(shop)
    answer = cli("jobs", "list", "--args", "name=Bea", "--json").json
    assert ([job["id"] for job in answer["jobs"]], answer["next"], answer["looked_at"]) == ([later], None, 4)
    answer = cli("jobs", "list", "--args", "name", "--name", "greet", "--limit", "2", "--json").json
    assert ([job["id"] for job in answer["jobs"]], answer["next"]) == ([waiting, later], later)
    told = cli("jobs", "--args", "name", "--before", later).out
    assert done in told
    assert told.endswith("The arguments of 2 jobs were looked at, the newest first.\n")


async def test_a_failed_job_is_shown_with_its_error(cli: Program, shop: Shop) -> None:
    _, failed, _, _ = await some_jobs(shop)
    told = cli("jobs", "show", failed)
    assert told.code == 0
    assert "an attempt failed (error): ValueError: the café's card is declined" in told.out
    assert "Traceback" in told.out
    answer = cli("jobs", "show", failed, "--json").json
    assert answer["attempts_failed"][0]["error"] == "ValueError"


async def test_arguments_and_results_are_shown_only_when_asked_for(cli: Program, shop: Shop) -> None:
    done, failed, _, _ = await some_jobs(shop)
    assert "4111" not in cli("jobs", "show", failed, "--json").out + cli("jobs", "list", "--json").out
    assert "4111" in cli("jobs", "show", failed, "--args").out
    assert "Good evening, Ada" in cli("jobs", "show", done, "--args", "--json").json["result"]


async def test_ended_jobs_are_deleted_and_live_ones_are_not(cli: Program, shop: Shop) -> None:
    done, failed, later, waiting = await some_jobs(shop)
    counted = cli("jobs", "delete", "--queue", "money")
    assert (counted.code, counted.out) == (1, "1 job would be deleted: say so with --yes.\n")
    answer = cli("jobs", "delete", done, later, "--json")
    assert (answer.code, answer.json) == (1, {"deleted": [done], "missed": [later]})
    assert cli("jobs", "delete", "--queue", "money", "--yes").out == "1 job deleted.\n"
    assert [job["id"] for job in cli("jobs", "--json").json["jobs"]] == [waiting, later]
    assert cli("jobs", "show", failed).code == 1


@pytest.mark.parametrize("form", [[], ["--json"]])
async def test_a_job_that_is_not_there_is_one_sentence_and_code_1(cli: Program, shop: Shop, form: list[str]) -> None:
    answer = cli("jobs", "show", "nobody", *form)
    assert answer.code == 1
    assert answer.sentence.startswith("there is no job nobody")
    assert not form or answer.json == {"error": answer.sentence}


async def test_ended_jobs_are_run_again(cli: Program, shop: Shop) -> None:
    _, failed, _, _ = await some_jobs(shop)
    answer = cli("jobs", "retry", "--state", "failed", "--yes", "--json")
    assert (answer.code, answer.json) == (0, {"retried": [failed], "missed": []})
    assert cli("jobs", "show", failed, "--json").json["state"] == "queued"


async def test_waiting_jobs_are_cancelled(cli: Program, shop: Shop) -> None:
    _, _, later, waiting = await some_jobs(shop)
    answer = cli("jobs", "cancel", "--name", "greet", "--yes")
    assert (answer.code, answer.out) == (0, "2 jobs cancelled, 0 running asked to stop.\n")
    states = {job["id"]: job["state"] for job in cli("jobs", "--state", "cancelled", "--json").json["jobs"]}
    assert states == {later: "cancelled", waiting: "cancelled"}


@pytest.mark.parametrize(
    ("verb", "options", "n"), [("retry", ["--name", "charge"], 1), ("cancel", ["--name", "greet"], 2)]
)
async def test_what_matches_a_filter_is_only_counted_until_it_is_said_to_be_meant(
    cli: Program, shop: Shop, verb: str, options: list[str], n: int
) -> None:
    await some_jobs(shop)
    before = cli("jobs", "--json").json["jobs"]
    done = {"retry": "retried", "cancel": "cancelled"}[verb]
    told, answer = cli("jobs", verb, *options), cli("jobs", verb, *options, "--json")
    assert (told.code, told.out) == (1, f"{n} job{'s' if n > 1 else ''} would be {done}: say so with --yes.\n")
    assert (answer.code, answer.json) == (1, {"matching": n, done: [], "missed": []})
    assert cli("jobs", "--json").json["jobs"] == before


async def test_many_more_than_fit_into_one_call_are_cancelled(cli: Program, shop: Shop) -> None:
    await shop.app.enqueue(shop.greet.draft("Ada") for _ in range(2300))
    assert cli("jobs", "cancel", "--queue", "default", "--limit", "100", "--yes").out.startswith("100 jobs cancelled")
    assert cli("jobs", "cancel", "--queue", "default").out.startswith("2,200 jobs would be cancelled")
    assert cli("jobs", "cancel", "--queue", "default", "--yes").out.startswith("2,200 jobs cancelled")


async def test_a_tree_is_cancelled_from_its_root(cli: Program, shop: Shop) -> None:
    greetings = [shop.greet.draft(name) for name in ("Ada", "Bea")]
    handle = await shop.app.enqueue_flow(group(greetings, shop.greet.draft("all")))
    assert [job["group"] for job in cli("jobs", "--child-of", handle.id, "--json").json["jobs"]] == [handle.id] * 2
    assert "children  0 of 2 have ended" in cli("jobs", "show", handle.id).out
    assert cli("jobs", "cancel", "--tree", "--name", "greet").code == 2
    answer = cli("jobs", "cancel", handle.id, "--tree", "--json")
    assert (answer.code, len(answer.json["cancelled"]), answer.json["missed"]) == (0, 3, [])
    assert cli("jobs", "cancel", handle.id, "--tree").code == 1, "there is nothing left to cancel"


async def test_the_dead_are_listed_with_what_they_died_of(cli: Program, shop: Shop) -> None:
    _, failed, _, _ = await some_jobs(shop)
    handle = await shop.app.enqueue_flow(group([shop.charge.draft("4111")], shop.greet.draft("all")))
    await shop.app.work(until_idle=True)
    dead = {job["id"]: job for job in cli("jobs", "dead", "--json").json["jobs"]}
    alone, parent = dead.pop(failed), dead.pop(handle.id)
    [child] = dead.values()
    assert (alone["attempts"], alone["reason"]) == (1, "the café's card is declined")
    assert (alone["last_failure"]["error"], alone["last_failure"]["kind"]) == ("ValueError", "error")
    assert (parent["id"], parent["reason"], parent["last_failure"]) == (
        handle.id,
        f"its child {child['id']} failed",
        None,
    )
    assert [job["id"] for job in cli("jobs", "dead", "--child-of", handle.id, "--json").json["jobs"]] == [child["id"]]
    table = cli("jobs", "dead", "--queue", "money", "--limit", "1").out
    assert "ValueError" in table
    assert "--before" in table
    assert cli("jobs", "dead", "--tenant", "nobody").out == "No job has failed for good.\n"


@pytest.mark.parametrize("verb", ["retry", "cancel"])
async def test_an_id_that_nothing_could_be_done_about_is_named_and_ends_with_1(
    cli: Program, shop: Shop, verb: str
) -> None:
    _, _, later, _ = await some_jobs(shop)
    told = cli("jobs", verb, "nobody")
    assert told.code == 1
    assert "nobody is of no job that" in told.out
    answer = cli("jobs", verb, later, "nobody", "--json")
    assert answer.code == 1
    assert answer.json["missed"] == ["nobody"]
    assert answer.json[{"retry": "retried", "cancel": "cancelled"}[verb]] == [later]


@pytest.mark.parametrize("verb", ["retry", "cancel"])
async def test_nothing_is_done_to_all_jobs_by_mistake(cli: Program, shop: Shop, verb: str) -> None:
    await some_jobs(shop)
    answer = cli("jobs", verb, "--json")
    assert answer.code == 2
    assert answer.json["error"].startswith("this would be every job there is")
    assert cli("jobs", "--state", "cancelled", "--json").json["jobs"] == []
