"""Enqueueing over HTTP: one job or many, by whom, and once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.families.running import TENANT
from tests.web import site as site_module
from tests.web.errands import Errands, errands_at
from tests.web.site import OTHER, told

from lamplighter import UnknownJob
from lamplighter.testing import FakeClock
from lamplighter.web import http_api

GREET = {"name": "greet", "args": {"name": "Ada"}}
INVALID = (400, "validation/invalid-input")
FORBIDDEN = (403, "auth/insufficient-permissions")
ONCE = {"Idempotency-Key": "order 42"}


async def test_a_job_is_enqueued_runs_and_gives_its_result(errands_anywhere: Errands) -> None:
    errands = errands_anywhere
    answer = await errands.ask("operator", "POST", "/jobs", GREET)
    status, added = told(answer)
    assert (status, added["created"], added["replaced"]) == (201, True, False)
    async with errands.app.worker():
        told_ = await errands.ask("operator", "GET", f"/jobs/{added['id']}/result?timeout=60")
    assert told(told_) == (200, {"id": added["id"], "state": "done", "result": "Good evening, Ada", "progress": None})


async def test_options_say_how_it_runs(errands: Errands) -> None:
    run_at = datetime(2190, 5, 1, 12, tzinfo=UTC)
    given = {"queue": "mail", "priority": "high", "tenant": "t-1", "runAt": run_at.isoformat()}
    job = await errands.data("operator", "GET", f"/jobs/{await errands.enqueue('greet', {'name': 'Ada'}, **given)}")
    assert (job["queue"], job["priority"], job["tenant"], job["state"]) == ("mail", 10, "t-1", "scheduled")
    assert datetime.fromisoformat(job["runAt"]) == run_at
    assert job["args"] == {"name": "Ada"}
    delayed = await errands.data("operator", "GET", f"/jobs/{await errands.enqueue('wait', {}, delay=60, priority=-3)}")
    late = datetime.fromisoformat(delayed["runAt"]) - datetime.fromisoformat(delayed["createdAt"])
    assert late.total_seconds() == pytest.approx(60, abs=5)
    assert (delayed["priority"], delayed["queue"]) == (-3, "default")


async def test_a_name_that_is_not_known_is_answered_with_the_one_that_was_meant(errands: Errands) -> None:
    answer = await errands.ask("operator", "POST", "/jobs", {"name": "greeet", "args": {}})
    assert told(answer) == (404, "job/unknown-name")
    assert answer.json()["error"]["message"] == "there is no job 'greeet' in this app: did you mean 'greet'?"


@pytest.mark.parametrize(
    "wish",
    [
        {"name": "greet"},
        {"name": "greet", "args": {"name": 7}},
        {"name": "greet", "args": {"name": "Ada", "self": 1}},
        {"name": "greet", "args": {"name": "\ud800"}},
        {"name": "greet", "args": ["Ada"]},
        {**GREET, "queue": "mail"},
        {**GREET, "options": {"queue": ""}},
        {**GREET, "options": {"queue": "a\0b"}},
        {**GREET, "options": {"priority": "highest"}},
        {**GREET, "options": {"priority": 2**40}},
        {**GREET, "options": {"priority": True}},
        {**GREET, "options": {"delay": -1}},
        {**GREET, "options": {"delay": 1e300}},
        {**GREET, "options": {"runAt": "2030-01-01T00:00:00"}},
        {**GREET, "options": {"runAt": "0001-01-01T00:00:00+14:00"}},
        {**GREET, "options": {"runAt": "9999-12-31T23:59:59-14:00"}},
        {**GREET, "options": {"delay": 1, "runAt": "2030-01-01T00:00:00Z"}},
        {**GREET, "options": {"unique": "mine"}},
        {**GREET, "options": {"tenant": "x" * 201}},
    ],
    ids=str,
)
async def test_what_cannot_be_is_refused_and_adds_nothing(errands: Errands, wish: object) -> None:
    assert told(await errands.ask("operator", "POST", "/jobs", wish)) == INVALID
    assert told(await errands.ask("operator", "POST", "/jobs/batch", {"jobs": [GREET, wish]})) == INVALID
    assert await errands.states() == {}


async def test_who_only_looks_enqueues_nothing(errands: Errands) -> None:
    assert told(await errands.ask("viewer", "POST", "/jobs", GREET)) == FORBIDDEN


async def test_a_tenant_enqueues_for_itself_what_is_open_to_tenants(errands: Errands) -> None:
    id_ = await errands.enqueue("greet", {"name": "Ada"}, who="owner")
    assert (await errands.data("owner", "GET", f"/jobs/{id_}"))["tenant"] == TENANT
    assert told(await errands.ask("stranger", "GET", f"/jobs/{id_}")) == (404, "job/not-found")
    for name in ("wait", "no such job"):
        assert told(await errands.ask("owner", "POST", "/jobs", {"name": name})) == FORBIDDEN
    assert list(await errands.states()) == [id_]


@pytest.mark.parametrize("options", [{"tenant": OTHER}, {"queue": "money"}, {"priority": "urgent"}], ids=str)
async def test_a_tenant_goes_before_no_other(errands: Errands, options: object) -> None:
    assert told(await errands.ask("owner", "POST", "/jobs", {**GREET, "options": options})) == FORBIDDEN
    assert await errands.states() == {}


async def test_who_acts_for_several_tenants_says_for_which(errands: Errands) -> None:
    assert told(await errands.ask("agent", "POST", "/jobs", GREET)) == INVALID
    id_ = await errands.enqueue("greet", {"name": "Ada"}, who="agent", tenant=OTHER)
    assert (await errands.data("agent", "GET", f"/jobs/{id_}"))["tenant"] == OTHER


async def test_only_jobs_that_there_are_are_opened_to_tenants(errands: Errands) -> None:
    with pytest.raises(UnknownJob, match="did you mean 'greet'"):
        http_api(errands.app, identify=site_module.identify, for_tenants=["gret"])


async def test_a_held_key_answers_with_its_holder(errands_anywhere: Errands) -> None:
    ask = errands_anywhere.ask
    _, first = told(await ask("operator", "POST", "/jobs", {"name": "report", "args": {"month": 5}}))
    again = told(await ask("operator", "POST", "/jobs", {"name": "report", "args": {"month": 5, "style": "bold"}}))
    assert again == (200, {"id": first["id"], "created": False, "replaced": True})


async def test_a_batch_is_added_in_order_and_at_once(errands_anywhere: Errands) -> None:
    errands = errands_anywhere
    jobs = [{"name": "greet", "args": {"name": f"Ada {n}", "times": n}} for n in range(300)]
    status, added = told(await errands.ask("operator", "POST", "/jobs/batch", {"jobs": jobs}))
    assert status == 201
    assert all(one["created"] for one in added["jobs"])
    found = (await errands.ask("viewer", "GET", "/jobs?limit=500")).json()["data"]
    assert [job["id"] for job in reversed(found)] == [one["id"] for one in added["jobs"]]
    assert [job["args"]["times"] for job in reversed(found)] == list(range(300))


async def test_one_of_a_batch_that_cannot_be_is_named(errands: Errands) -> None:
    jobs = [GREET, GREET, {"name": "gret", "args": {}}]
    answer = await errands.ask("operator", "POST", "/jobs/batch", {"jobs": jobs})
    assert told(answer) == (404, "job/unknown-name")
    assert answer.json()["error"]["message"].startswith("jobs.2: there is no job 'gret'")
    assert await errands.states() == {}


async def test_a_batch_may_be_large_but_not_of_any_size(errands: Errands) -> None:
    large = {"name": "greet", "args": {"name": "x" * 900}}
    assert told(await errands.ask("operator", "POST", "/jobs/batch", {"jobs": [large] * 1000}))[0] == 201
    assert told(await errands.ask("operator", "POST", "/jobs/batch", {"jobs": [large] * 1001})) == INVALID
    assert told(await errands.ask("operator", "POST", "/jobs/batch", {"jobs": []})) == INVALID
    huge = {"name": "greet", "args": {"name": "x" * 1100}}
    too_large = (413, "validation/too-large")
    assert told(await errands.ask("operator", "POST", "/jobs/batch", {"jobs": [huge] * 1000})) == too_large
    lone = {"name": "greet", "args": {"name": "x" * 70_000}}
    assert told(await errands.ask("operator", "POST", "/jobs", lone)) == too_large


async def test_a_queue_that_is_full_takes_none_of_a_batch(sqlite: str) -> None:
    async with errands_at(sqlite) as errands:
        errands.app.queue("mail", most_waiting=2)
        async with errands.app:
            jobs = [{**GREET, "options": {"queue": "mail"}}] * 3
            assert told(await errands.ask("operator", "POST", "/jobs/batch", {"jobs": jobs})) == (429, "queue/full")
            assert await errands.states() == {}


async def test_the_same_request_again_adds_nothing_and_is_answered_as_before(errands_anywhere: Errands) -> None:
    errands = errands_anywhere
    first = told(await errands.ask("operator", "POST", "/jobs", GREET, headers=ONCE))
    again = told(await errands.ask("operator", "POST", "/jobs", GREET, headers=ONCE))
    assert (first[0], again) == (201, (200, {**first[1], "created": False}))
    await errands.app.work(until_idle=True)
    assert told(await errands.ask("operator", "POST", "/jobs", GREET, headers=ONCE)) == again
    assert await errands.states() == {first[1]["id"]: "done"}


async def test_a_key_is_of_its_caller(errands_anywhere: Errands) -> None:
    for who in ("operator", "owner", "stranger"):
        assert told(await errands_anywhere.ask(who, "POST", "/jobs", GREET, headers=ONCE))[0] == 201
    assert len(await errands_anywhere.states()) == 3


async def test_a_batch_again_adds_what_is_missing_of_it(errands_anywhere: Errands) -> None:
    jobs = [{"name": "greet", "args": {"name": f"Ada {n}"}} for n in range(5)]
    ask = errands_anywhere.ask
    some = told(await ask("operator", "POST", "/jobs/batch", {"jobs": jobs[:3]}, headers=ONCE))[1]["jobs"]
    status, all_ = told(await ask("operator", "POST", "/jobs/batch", {"jobs": jobs}, headers=ONCE))
    assert status == 201
    assert [one["created"] for one in all_["jobs"]] == [False] * 3 + [True] * 2
    assert [one["id"] for one in all_["jobs"][:3]] == [one["id"] for one in some]
    assert len(await errands_anywhere.states()) == 5


@pytest.mark.parametrize(
    "other",
    [
        {"name": "greet", "args": {"name": "Bea"}},
        {"name": "wait"},
        {**GREET, "options": {"tenant": "t-2"}},
    ],
    ids=str,
)
async def test_a_key_that_was_used_for_something_else_is_refused(errands_anywhere: Errands, other: object) -> None:
    ask = errands_anywhere.ask
    _, first = told(await ask("operator", "POST", "/jobs", GREET, headers=ONCE))
    reused = (422, "validation/idempotency-key-reused")
    assert told(await ask("operator", "POST", "/jobs", other, headers=ONCE)) == reused
    batch = {"jobs": [other, GREET, GREET]}
    assert told(await ask("operator", "POST", "/jobs/batch", batch, headers=ONCE)) == reused
    assert list(await errands_anywhere.states()) == [first["id"]], "what was added with it is taken back"


async def test_arguments_are_the_same_in_any_order(errands: Errands) -> None:
    one = {"name": "greet", "args": {"name": "Ada", "times": 2}}
    other = {"name": "greet", "args": {"times": 2, "name": "Ada"}}
    assert told(await errands.ask("operator", "POST", "/jobs", one, headers=ONCE))[0] == 201
    assert told(await errands.ask("operator", "POST", "/jobs", other, headers=ONCE))[0] == 200


async def test_a_job_with_a_key_of_its_own_takes_no_other(errands: Errands) -> None:
    answer = await errands.ask("operator", "POST", "/jobs", {"name": "report", "args": {"month": 5}}, headers=ONCE)
    assert told(answer) == INVALID
    assert "has a unique key of its own" in answer.json()["error"]["message"]


@pytest.mark.parametrize("key", ["", "x" * 201, "caf\xe9"])
async def test_a_key_is_short_and_can_be_read(errands: Errands, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}
    assert told(await errands.ask("operator", "POST", "/jobs", GREET, headers=headers)) == INVALID


async def test_a_key_is_free_after_a_day(sqlite: str, clock: FakeClock) -> None:
    async with errands_at(sqlite, clock=clock) as errands:
        for passes, status in ((timedelta(hours=23), 201), (timedelta(hours=2), 200), (timedelta(), 201)):
            assert told(await errands.ask("operator", "POST", "/jobs", GREET, headers=ONCE))[0] == status
            clock.advance(passes)
