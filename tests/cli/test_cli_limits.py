"""What an operator sees of limits and shares, and does with them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.cli.program import Program
from tests.cli.shop import Shop

from lamplighter import Rate
from lamplighter.core.clock import utcnow
from lamplighter.core.limit import gate_rule
from lamplighter.core.model import NewJob
from lamplighter.store.rules import record_of


async def calls(shop: Shop, number: int, *, running: int | None = 1, rate: Rate | None = None) -> None:
    """So many jobs of a provider that may run one at a time, one of which was claimed."""
    store, now = shop.app.store, utcnow()
    await store.put(record_of("provider", gate_rule("provider", running=running, rate=rate, breaker=None)))
    drafts = [
        NewJob(id=f"j-{n}", name="greet", queue="default", run_at=now, args='{"name":"Ada"}', limits=("provider:box",))
        for n in range(number)
    ]
    await store.add(drafts, now=now)
    await store.claim([], number, worker="w-1", lease=timedelta(minutes=5), now=now)


async def test_limits_are_listed_with_what_waits_for_them(cli: Program, shop: Shop) -> None:
    assert cli("limits").out == "No limit is in use.\n"
    await calls(shop, 3)
    [limit] = cli("limits", "--json").json["limits"]
    assert (limit["key"], limit["running"], limit["waiting"], limit["state"]) == ("provider:box", 1, 2, "closed")
    table = [line.split() for line in cli("limits").out.splitlines()]
    assert table[1][:5] == ["provider:box", "1", "1", "2", "closed"]
    assert cli("limits", "list", "provider:none", "--json").json["limits"][0]["running"] == 0


async def test_an_operator_holds_a_breaker_open_and_closes_it(cli: Program, shop: Shop) -> None:
    await calls(shop, 1, running=5)
    assert cli("limits", "open", "provider:box").out == "The breaker of provider:box is open until you close it.\n"
    assert "held open" in cli("limits").out
    opened = cli("limits", "open", "provider:box", "--for", "10m", "--json").json
    assert (opened["key"], opened["state"]) == ("provider:box", "open")
    assert opened["until"] is not None
    assert cli("limits", "close", "provider:box").out == "The breaker of provider:box is closed.\n"
    assert cli("limits", "list", "provider:box", "--json").json["limits"][0]["state"] == "closed"


async def test_an_operator_penalizes_a_key(cli: Program, shop: Shop) -> None:
    await calls(shop, 2, running=None, rate=Rate(1000))
    assert cli("limits", "penalize", "provider:box", "--for", "2h").out.startswith(
        "No job of provider:box starts before"
    )
    [limit] = cli("limits", "list", "provider:box", "--json").json["limits"]
    assert limit["opens_at"] is not None


@pytest.mark.parametrize("wrong", ["soon", "0s", "400d", "-3"])
def test_a_time_that_cannot_be_is_refused(cli: Program, shop: Shop, wrong: str) -> None:
    answer = cli("limits", "open", "provider:box", f"--for={wrong}")
    assert answer.code == 2
    assert "--for" in answer.sentence


async def test_the_shares_of_a_queue_are_listed_by_turn(cli: Program, shop: Shop) -> None:
    for tenant, number in (("a", 2), ("b", 1)):
        await shop.app.enqueue(shop.greet.using(tenant=tenant).draft(f"n-{n}") for n in range(number))
    await shop.greet.enqueue("nobody's")
    shares = cli("queues", "shares", "default", "--json").json["shares"]
    assert [(share["tenant"], share["queued"]) for share in shares] == [("", 1), ("a", 2), ("b", 1)]
    assert "(none)" in cli("queues", "shares", "default").out
    assert cli("queues", "shares", "quiet").out == "Nothing is to be run in queue quiet.\n"


def test_tenants_are_weighed(cli: Program, shop: Shop) -> None:
    assert cli("tenants").out == "Every tenant has a weight of 1.\n"
    assert cli("tenants", "weigh", "t-1", "3").out == "Tenant t-1 has a weight of 3.\n"
    assert cli("tenants", "--json").json == {"weights": {"t-1": 3}}
    answer = cli("tenants", "weigh", "t-1", "101")
    assert (answer.code, answer.sentence) == (
        2,
        "the weight of tenant 't-1' is 101: give a whole number from 1 to 100.",
    )
