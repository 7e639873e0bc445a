"""The same done to many jobs over HTTP: counted, begun, looked at, stopped, interrupted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.web.errands import Errands, errands_at
from tests.web.site import told

from lamplighter.core.errors import StoreUnavailable
from lamplighter.core.model import Where
from lamplighter.testing import FakeClock
from lamplighter.web import actions
from lamplighter.web.action import SILENT, Action

INVALID = (400, "validation/invalid-input")
FORBIDDEN = (403, "auth/insufficient-permissions")
QUEUED: dict[str, object] = {"states": ["queued"]}


async def many(errands: Errands, count: int, **options: Any) -> None:
    await errands.app.enqueue(errands.greet.using(**options).draft(f"Ada {n}") for n in range(count))


async def bulk(errands: Errands, action: str, where: dict[str, object], **more: object) -> dict[str, Any]:
    """The answer that an action begins with."""
    answer = await errands.ask("operator", "POST", "/jobs/bulk", {"action": action, "where": where, **more})
    status, begun = told(answer)
    assert status == 202, begun
    return dict(begun)


def counts(action: dict[str, Any]) -> tuple[str, int, int]:
    return action["state"], action["matched"], action["done"]


async def test_what_matches_is_only_counted_in_a_preview(errands_anywhere: Errands) -> None:
    errands = errands_anywhere
    await many(errands, 7, queue="mail")
    await many(errands, 3)
    wish = {"action": "cancel", "where": {"queues": ["mail"]}, "preview": True}
    assert await errands.data("operator", "POST", "/jobs/bulk", wish) == {"matching": 7, "isMore": False}
    assert await errands.data("operator", "POST", "/jobs/bulk", {**wish, "limit": 5}) == {
        "matching": 5,
        "isMore": False,
    }
    assert set((await errands.states()).values()) == {"queued"}
    assert await errands.data("viewer", "GET", "/actions") == []


async def test_a_preview_counts_no_further_than_it_says(errands: Errands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamplighter.web.api.bulk.COUNTED", 5)
    await many(errands, 6)
    wish = {"action": "cancel", "where": QUEUED, "preview": True}
    assert await errands.data("operator", "POST", "/jobs/bulk", wish) == {"matching": 5, "isMore": True}


async def test_actions_are_listed_a_page_at_a_time(errands: Errands) -> None:
    await many(errands, 2)
    ids = [(await bulk(errands, "retry", {"states": ["failed"]}))["id"] for _ in range(3)]
    for id_ in ids:
        await errands.over(id_)
    first = (await errands.ask("viewer", "GET", "/actions?limit=2")).json()
    assert ([one["id"] for one in first["data"]], first["next"]) == ([ids[2], ids[1]], ids[1])
    rest = (await errands.ask("viewer", "GET", f"/actions?limit=2&before={ids[1]}")).json()
    assert ([one["id"] for one in rest["data"]], rest["next"]) == ([ids[0]], None)


async def test_all_that_matches_is_cancelled_in_the_background(errands_anywhere: Errands) -> None:
    errands = errands_anywhere
    await many(errands, 1200, queue="mail")
    await many(errands, 3)
    begun = await bulk(errands, "cancel", {"queues": ["mail"]})
    assert (begun["action"], begun["by"], begun["state"], begun["endedAt"]) == ("cancel", "auth|5", "running", None)
    assert begun["where"]["queues"] == ["mail"]
    over = await errands.over(begun["id"])
    assert counts(over) == ("done", 1200, 1200)
    assert over["startedAt"] <= over["endedAt"]
    stats = {queue["queue"]: queue for queue in await errands.data("viewer", "GET", "/queues/stats")}
    assert (stats["mail"]["cancelled"], stats["default"]["waiting"]) == (1200, 3)
    assert await errands.data("viewer", "GET", "/actions") == [over]


async def test_what_failed_is_run_again_at_a_set_rate(errands_anywhere: Errands) -> None:
    errands = errands_anywhere
    await errands.app.enqueue(errands.charge.draft(f"{n}") for n in range(6))
    await errands.app.work(until_idle=True)
    over = await errands.over((await bulk(errands, "retry", {"names": ["charge"]}, perSecond=10_000))["id"])
    assert counts(over) == ("done", 6, 6)
    assert set((await errands.states()).values()) == {"queued"}


async def test_what_has_ended_is_deleted_in_the_background(errands_anywhere: Errands) -> None:
    errands = errands_anywhere
    await many(errands, 4)
    await errands.app.enqueue(errands.charge.draft(f"{n}") for n in range(3))
    await errands.app.work(until_idle=True)
    await many(errands, 2)
    where: dict[str, object] = {"names": ["greet"]}
    preview = {"action": "delete", "where": where, "preview": True}
    assert await errands.data("operator", "POST", "/jobs/bulk", preview) == {"matching": 4, "isMore": False}
    assert counts(await errands.over((await bulk(errands, "delete", where))["id"])) == ("done", 4, 4)
    assert sorted((await errands.states()).values()) == ["failed"] * 3 + ["queued"] * 2


async def test_a_rate_is_kept(errands: Errands) -> None:
    await many(errands, 5, delay=3600)
    over = await errands.over((await bulk(errands, "retry", {"states": ["scheduled"]}, perSecond=4))["id"])
    assert counts(over) == ("done", 5, 5)
    assert over["perSecond"] == 4
    began, ended = map(datetime.fromisoformat, (over["startedAt"], over["endedAt"]))
    assert ended - began >= timedelta(seconds=1.2)


async def test_no_more_than_the_limit_is_touched(errands: Errands) -> None:
    await many(errands, 5)
    assert counts(await errands.over((await bulk(errands, "cancel", QUEUED, limit=2))["id"])) == ("done", 2, 2)
    assert sorted((await errands.states()).values()) == ["cancelled"] * 2 + ["queued"] * 3


async def test_jobs_can_be_named_by_id(errands: Errands) -> None:
    await many(errands, 3)
    [first, *rest] = await errands.states()
    await errands.over((await bulk(errands, "cancel", {"ids": rest}))["id"])
    assert [id_ for id_, state in (await errands.states()).items() if state == "queued"] == [first]


@pytest.mark.parametrize(
    "wish",
    [
        {"action": "cancel", "where": {}},
        {"action": "forget", "where": QUEUED},
        {"action": "purge", "where": QUEUED},
        {"action": "cancel", "where": QUEUED, "perSecond": 5},
        {"action": "retry", "where": QUEUED, "perSecond": 0},
        {"action": "retry", "where": QUEUED, "limit": 0},
        {"action": "retry", "where": {"states": ["over"]}},
        {"action": "retry", "where": {"queues": ["a\0b"]}},
        {"action": "retry", "where": {"queue": "mail"}},
        {"action": "retry", "where": {"names": ["x"] * 51}},
        {"action": "retry"},
    ],
    ids=str,
)
async def test_what_cannot_be_is_not_begun(errands: Errands, wish: object) -> None:
    assert told(await errands.ask("operator", "POST", "/jobs/bulk", wish)) == INVALID
    assert await errands.data("viewer", "GET", "/actions") == []


async def test_a_queue_is_purged_once_that_is_confirmed(errands_anywhere: Errands) -> None:
    errands = errands_anywhere
    await many(errands, 4, queue="mail")
    await many(errands, 2, queue="mail", delay=3600)
    await many(errands, 1)
    for wrong in ({"confirm": "default"}, {}, None):
        assert told(await errands.ask("operator", "POST", "/queues/mail/purge", wrong)) == INVALID
    begun = await errands.data("operator", "POST", "/queues/mail/purge", {"confirm": "mail"})
    assert counts(await errands.over(begun["id"])) == ("done", 6, 6)
    assert sorted((await errands.states()).values()) == ["cancelled"] * 6 + ["queued"]


async def test_a_purge_lets_running_jobs_go_on(errands: Errands) -> None:
    id_ = await errands.enqueue("wait", {})
    async with errands.app.worker(concurrency=1):
        await errands.began.wait()
        await many(errands, 2)
        begun = await errands.data("operator", "POST", "/queues/default/purge", {"confirm": "default"})
        assert counts(await errands.over(begun["id"])) == ("done", 2, 2)
        errands.door.set()
        assert told(await errands.ask("viewer", "GET", f"/jobs/{id_}/result?timeout=60"))[0] == 200


async def test_an_action_is_stopped_from_another_process(sqlite: str) -> None:
    async with errands_at(sqlite) as here, errands_at(sqlite) as there:
        await many(here, 50, delay=3600)
        begun = await bulk(here, "retry", {"states": ["scheduled"]}, perSecond=1)
        stopped = await there.ask("operator", "POST", f"/actions/{begun['id']}/stop")
        assert told(stopped)[0] == 202
        over = await there.over(begun["id"])
        assert over["state"] == "interrupted"
        assert over["reason"].startswith("it was stopped: start it again")
        assert over["done"] < 50
        again = await here.ask("operator", "POST", f"/actions/{begun['id']}/stop")
        assert told(again) == (409, "action/not-possible")


async def test_an_app_that_closes_interrupts_its_actions(sqlite: str) -> None:
    async with errands_at(sqlite) as after:
        async with errands_at(sqlite) as before:
            await many(before, 50, delay=3600)
            begun = await bulk(before, "retry", {"states": ["scheduled"]}, perSecond=1)
        seen = await after.data("viewer", "GET", f"/actions/{begun['id']}")
        assert seen["state"] == "interrupted"
        assert seen["reason"].startswith("the process that did it was stopped")
        over = await after.over((await bulk(after, "retry", {"states": ["scheduled"]}))["id"])
        assert (over["state"], over["done"]) == ("done", 50 - seen["done"]), "it goes on with what still matches"


async def test_an_action_whose_process_died_shows_as_interrupted(sqlite: str, clock: FakeClock) -> None:
    async with errands_at(sqlite, clock=clock) as errands:
        now = clock()
        where = Where(queues=("mail",))
        shared = {"deed": "retry", "where": where, "limit": 9, "per_second": None, "by": "auth|5", "started_at": now}
        for id_, beat_at in (("a-1", now - SILENT), ("a-2", now - SILENT - timedelta(seconds=1))):
            await actions._put(errands.app, Action(id=id_, beat_at=beat_at, **shared))  # type: ignore[arg-type]
        dead, alive = await errands.data("viewer", "GET", "/actions")
        assert (alive["id"], alive["state"], alive["reason"]) == ("a-1", "running", None)
        assert (dead["id"], dead["state"]) == ("a-2", "interrupted")
        assert dead["reason"].startswith("the process that did it has ended: start it again")
        clock.advance(actions.KEPT + timedelta(seconds=1))
        assert await errands.data("viewer", "GET", "/actions") == [], "it is forgotten after a day"


async def test_a_store_that_fails_interrupts_an_action(errands: Errands, monkeypatch: pytest.MonkeyPatch) -> None:
    await many(errands, 3)

    async def fail(*_: object, **__: object) -> None:
        raise StoreUnavailable("the store is locked: try again.")

    monkeypatch.setattr(errands.app.store, "cancel", fail)
    over = await errands.over((await bulk(errands, "cancel", QUEUED))["id"])
    assert counts(over) == ("interrupted", 0, 0)
    assert over["reason"].startswith("the store is locked")


async def test_a_process_takes_on_a_few_actions_at_a_time(errands: Errands) -> None:
    await many(errands, 50, delay=3600)
    wish = {"action": "retry", "where": {"states": ["scheduled"]}, "perSecond": 1}
    begun = [
        await bulk(errands, "retry", {"states": ["scheduled"]}, perSecond=1) for _ in range(actions.MOST_AT_A_TIME)
    ]
    assert told(await errands.ask("operator", "POST", "/jobs/bulk", wish)) == (429, "action/too-many")
    for action in begun:
        await errands.ask("operator", "POST", f"/actions/{action['id']}/stop")
        await errands.over(action["id"])
    assert told(await errands.ask("operator", "POST", "/jobs/bulk", wish))[0] == 202


async def test_an_action_that_is_not_there_is_not_found(errands: Errands) -> None:
    for method, path in (("GET", "/actions/a-0"), ("POST", "/actions/a-0/stop")):
        assert told(await errands.ask("operator", method, path)) == (404, "action/not-found")


@pytest.mark.parametrize("who", ["viewer", "owner"])
async def test_only_operators_act_on_many(errands: Errands, who: str) -> None:
    await many(errands, 2)
    wish = {"action": "cancel", "where": QUEUED}
    assert told(await errands.ask(who, "POST", "/jobs/bulk", {**wish, "preview": True})) == FORBIDDEN
    assert told(await errands.ask(who, "POST", "/jobs/bulk", wish)) == FORBIDDEN
    assert told(await errands.ask(who, "POST", "/queues/default/purge", {"confirm": "default"})) == FORBIDDEN
    assert set((await errands.states()).values()) == {"queued"}
