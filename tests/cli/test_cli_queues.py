from __future__ import annotations

from datetime import datetime

import pytest
from tests.cli.program import Program, end, read_until
from tests.cli.shop import Shop

from lamplighter.core.model import Where


async def test_queues_are_listed_with_what_waits_in_them(cli: Program, shop: Shop) -> None:
    await shop.greet.enqueue("Ada")
    await shop.charge.enqueue("4111")
    queues = cli("queues", "--json").json["queues"]
    oldest = [datetime.fromisoformat(one.pop("oldest")) for one in queues]
    assert oldest == [one.oldest for one in await shop.app.store.stats()]
    assert queues == [
        {"queue": name, "paused": False, "held": 0, "scheduled": 0, "queued": 1}
        | dict.fromkeys(("running", "done", "failed", "cancelled"), 0)
        for name in ("default", "money")
    ]
    table = [line.split() for line in cli("queues").out.splitlines()]
    assert table[0] == ["queue", "held", "scheduled", "queued", "running", "done", "failed", "cancelled", "paused"]
    assert table[1] == ["default", "0", "0", "1", "0", "0", "0", "0", "no"]


async def test_a_paused_queue_is_left_alone_until_it_goes_on(cli: Program, shop: Shop) -> None:
    handle = await shop.greet.enqueue("Ada")
    assert cli("queues", "pause", "default").out == "Queue default is paused.\n"
    assert cli("work", "shop:app", "--until-idle", "--json").json["done"] == 0
    assert cli("queues", "resume", "default", "--json").json == {"queue": "default", "paused": False}
    assert cli("work", "shop:app", "--until-idle", "--json").json["done"] == 1
    assert await handle.result(timeout=10) == "Good evening, Ada"


async def test_options_before_the_command_are_refused_rather_than_lost(cli: Program, shop: Shop) -> None:
    answer = cli("queues", "--store", "sqlite:///other.db", "pause", "default")
    assert answer.code == 2
    assert answer.sentence == "options come after the command: write `lamplighter queues pause` first."
    assert not any(queue["paused"] for queue in cli("queues", "--json").json["queues"])


async def test_schedules_are_listed_once_a_worker_has_had_them(cli: Program, shop: Shop) -> None:
    assert cli("crons").out == "No worker has had schedules yet.\n"
    worker = cli.start("work", "shop:app")
    try:
        while not (found := cli("crons", "--json").json["crons"]):
            assert worker.poll() is None
    finally:
        worker.terminate()
    assert end(worker).code == 0
    [cron] = found
    assert (cron["name"], cron["job"], cron["queue"]) == ("leap days", "greet", "default")
    assert cron["schedule"] == "0 7 29 2 * Europe/Berlin"
    assert cron["next_at"].endswith("-02-29T06:00:00Z")
    assert "leap days" in cli("crons").out


async def test_workers_are_listed_while_they_live(cli: Program, shop: Shop) -> None:
    assert cli("workers").out == "No worker is alive on this store.\n"
    worker = cli.start("work", "shop:app", "--queue", "money", "--concurrency", "3")
    try:
        read_until(worker, "Working on")
        while not (found := cli("workers", "--json").json["workers"]):
            assert worker.poll() is None  # it tells of itself from a thread of its own
        assert found[0]["queues"] == ["money"]
        assert (found[0]["pid"], found[0]["concurrency"], found[0]["stopping"]) == (worker.pid, 3, False)
        assert "money" in cli("workers").out
    finally:
        worker.terminate()
    assert end(worker).code == 0
    assert cli("workers", "--json").json == {"workers": []}


async def test_a_worker_is_drained_from_elsewhere(cli: Program, shop: Shop) -> None:
    assert "no worker 'w-0' is alive" in cli("workers", "drain", "w-0").sentence
    worker = cli.start("work", "shop:app")
    read_until(worker, "Working on")
    while not (found := cli("workers", "--json").json["workers"]):
        assert worker.poll() is None
    name = found[0]["name"]
    assert cli("workers", "drain", name, "--json").json == {"worker": name, "draining": True}
    assert end(worker).code == 0


async def test_a_schedule_is_paused_resumed_and_run_by_hand(cli: Program, shop: Shop) -> None:
    assert "no worker has had a schedule 'leap days'" in cli("crons", "pause", "leap days").sentence
    await shop.app.work(until_idle=True)
    assert cli("crons", "pause", "leap days").out == "Schedule leap days is paused.\n"
    assert [one["paused"] for one in cli("crons", "--json").json["crons"]] == [True]
    ran = cli("crons", "run", "shop:app", "leap days", "--json").json
    [job] = await shop.app.store.page(Where(), limit=10)
    assert ran == {"id": job.id, "created": True}
    assert cli("crons", "resume", "leap days", "--json").json == {"cron": "leap days", "paused": False}
    assert [one["paused"] for one in cli("crons", "--json").json["crons"]] == [False]


@pytest.mark.parametrize("noun", ["jobs", "queues", "crons", "workers", "integrations"])
def test_a_file_that_is_not_there_is_not_made_by_looking_at_it(cli: Program, noun: str) -> None:
    answer = cli(noun, "--store", "sqlite:///typo.db", "--json")
    assert answer.code == 3
    assert answer.json == {"error": answer.sentence}
    assert "typo.db" in answer.sentence
    assert list(cli.folder.iterdir()) == []
