"""Limits, queues and shares as an app declares them, and what its handlers do with them."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from tests.app.presence import LEASE, worker

from lamplighter import App, Breaker, ConfigError, Ctx, Event, Handle, QueueFull, Rate, Snooze, State, fixed, never
from lamplighter.app.why.blocker import InLine, LimitShut
from lamplighter.core.config import Settings
from lamplighter.core.errors import BadArguments
from lamplighter.testing import FakeClock

C = Ctx[None]


async def states(*handles: Handle[Any]) -> list[str]:
    return [(await handle.view()).state for handle in handles]


async def test_no_more_run_at_once_than_a_limit_allows(app: App[None]) -> None:
    await app.__aexit__()
    app.limit("provider", running=2)
    running = Counter[str]()
    most = Counter[str]()

    @app.job(limits=["provider:{provider}"])
    async def index(ctx: C, provider: str) -> None:
        running[provider] += 1
        most[provider] = max(most[provider], running[provider])
        await asyncio.sleep(0)
        running[provider] -= 1

    await app.__aenter__()
    await app.enqueue(index.draft(provider) for provider in ("google", "box") for _ in range(20))
    async with app.worker(concurrency=10) as one, app.worker(concurrency=10) as two:
        await app.until_idle(one)
        await app.until_idle(two)
    assert most == {"google": 2, "box": 2}


async def test_a_job_carries_the_keys_of_its_limits(app: App[None]) -> None:
    app.limit("provider", running=2)
    app.limit("tenant", running=2)
    app.limit("all", running=2)

    @app.job(limits=["provider:{provider}", "tenant:{tenant}", "all"])
    async def index(ctx: C, provider: str) -> None: ...

    with_one = await index.using(tenant="t-1").enqueue("google")
    without = await index.enqueue("google")
    assert (await with_one.view()).limits == ("provider:google", "tenant:t-1", "all")
    assert (await without.view()).limits == ("provider:google", "all"), "no tenant, no limit of a tenant"


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (["provder:{provider}"], "this app has no limit 'provder': did you mean 'provider'?"),
        (["quota:x"], "this app has no limit 'quota': declare it with app.limit('quota', ...) first."),
        ("provider:x", "limits='provider:x' is no list of limits: give one such as ['provider:{provider}']."),
        (["provider:x"] * 11, "a job comes under 10 limits at most: leave some of these 11 out."),
        (["provider:" + "x" * 200], "a limit of a job must have 1 to 200 characters: change it."),
    ],
)
def test_a_limit_that_cannot_be_is_refused_as_the_job_is_registered(limits: Any, sentence: str) -> None:
    app = App("memory://", settings=Settings())
    app.limit("provider", running=1)
    with pytest.raises(ConfigError) as refused:
        app.job(limits=limits)
    assert str(refused.value) == sentence


async def test_a_limit_that_names_what_the_job_does_not_take_is_refused(app: App[None]) -> None:
    app.limit("provider", running=1)

    @app.job(limits=["provider:{vendor}"])
    async def index(ctx: C, provider: str) -> None: ...

    with pytest.raises(ConfigError, match=r"vendor.* names what the job does not take"):
        await index.enqueue("google")


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({}, "the limit 'a' limits nothing: give it running=, rate= or breaker=."),
        ({"running": 0}, "running of the limit 'a' is 0: give a whole number from 1 to 1,000,000."),
        ({"rate": Rate(0)}, "the rate of the limit 'a' is 0: give a whole number from 1 to 1,000,000."),
        ({"rate": Rate(5, burst=6)}, "the burst of the limit 'a' is 6: give a whole number from 1 to 5."),
        ({"rate": Rate(5, per=0)}, "the time of the rate of the limit 'a' is 0:00:00: give between a millisecond"),
        ({"breaker": Breaker(ratio=0)}, "the breaker of the limit 'a' opens at ratio=0: give 0.01 to 1."),
        ({"breaker": Breaker(at_least=0)}, "at_least of the breaker of the limit 'a' is 0: give a whole number"),
        ({"breaker": Breaker(open_for=timedelta())}, "open_for of the breaker of the limit 'a' is 0:00:00: give"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(how: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        App("memory://", settings=Settings()).limit("a", **how)
    assert str(refused.value).startswith(sentence)


def test_names_are_checked_and_taken_once() -> None:
    app = App("memory://", settings=Settings())
    app.limit("a", running=1)
    app.queue("mail", most_waiting=10)
    with pytest.raises(ConfigError, match="two limits are named 'a'"):
        app.limit("a", running=1)
    with pytest.raises(ConfigError, match="a limit cannot be named 'a:b'"):
        app.limit("a:b", running=1)
    with pytest.raises(ConfigError, match="the queue 'mail' is declared twice"):
        app.queue("mail")
    with pytest.raises(ConfigError, match="most_waiting of the queue 'x' is 0: give a whole number"):
        app.queue("x", most_waiting=0)


async def test_what_an_app_declares_now_counts_for_jobs_of_before(url: str) -> None:
    async def count(running: int) -> int:
        app = App(url, settings=Settings())
        app.limit("all", running=running)

        @app.job("nothing", limits=["all"])
        async def nothing(ctx: C) -> None: ...

        async with app:
            await app.enqueue(nothing.draft() for _ in range(5))
            return len(await app.store.claim([], 10, worker="w", lease=LEASE, now=app.clock()))

    assert (await count(1), await count(3)) == (1, 3 if url.startswith("memory") else 2)


async def test_a_penalty_from_a_handler_holds_back_the_whole_key(timed: App[None], clock: FakeClock) -> None:
    await timed.__aexit__()
    timed.limit("provider", rate=Rate(1000))
    ran: list[str] = []

    @timed.job(limits=["provider:{provider}"])
    async def call(ctx: C, provider: str) -> None:
        ran.append(provider)
        if provider == "slow" and ran.count("slow") == 1:
            ctx.penalize("provider:slow", 30)
            raise Snooze(timedelta(seconds=30), "the provider asked for a break")

    await timed.__aenter__()
    for provider in ("slow", "fast"):
        await call.enqueue(provider)
    await timed.work(until_idle=True)
    await call.enqueue("slow")
    await timed.work(until_idle=True)
    assert Counter(ran) == {"slow": 1, "fast": 1}
    clock.advance(31)
    await timed.work(until_idle=True)
    clock.advance(31)
    await timed.work(until_idle=True)
    assert Counter(ran) == {"slow": 3, "fast": 1}


@pytest.mark.parametrize("wrong", [-1, 1e12, timedelta(days=366)])
def test_a_penalty_that_makes_no_sense_is_refused(wrong: Any) -> None:
    with pytest.raises(BadArguments, match="a limit cannot be shut for"):
        Ctx(None).penalize("a:b", wrong)


async def test_a_handler_in_a_thread_may_trip_a_breaker(timed: App[None], clock: FakeClock) -> None:
    await timed.__aexit__()
    timed.limit("api", running=10)

    @timed.job(limits=["api:{name}"], retry=never)
    def call(ctx: C, name: str) -> None:
        ctx.trip(f"api:{name}", timedelta(minutes=1))

    await timed.__aenter__()
    await call.enqueue("x")
    await timed.work(until_idle=True)
    waiting = await call.enqueue("x")
    await timed.work(until_idle=True)
    assert await states(waiting) == ["queued"]
    [gate] = await timed.gates.look("api:x")
    assert (gate.state, gate.waiting) == ("open", 1)
    clock.advance(61)
    await timed.work(until_idle=True)
    assert await states(waiting) == ["done"]


async def test_an_outage_spends_the_attempts_of_a_few_jobs_only(timed: App[None], clock: FakeClock) -> None:
    await timed.__aexit__()
    timed.limit("api", breaker=Breaker(at_least=5, open_for=timedelta(minutes=5)))
    down = True
    events: list[Event] = []
    timed.listen(events.append)

    @timed.job(limits=["api:x"], retry=fixed(1, attempts=3))
    async def call(ctx: C) -> None:
        if down:
            raise OSError("no answer")

    await timed.__aenter__()
    handles = await timed.enqueue(call.draft() for _ in range(50))
    async with timed.worker(concurrency=5) as only:
        await timed.until_idle(only)
        for _ in range(30):
            clock.advance(10)
            await timed.until_idle(only)
        failed = [view for view in [await handle.view() for handle in handles] if view.failures]
        assert len(failed) <= 12, "five that were sent at once, and the probes"
        down = False
        clock.advance(3600)
        await timed.until_idle(only)
    assert set(await states(*handles)) == {"done"}
    assert [event.kind for event in events if event.key == "api:x"] == ["breaker_opened", "breaker_closed"]


async def test_a_full_queue_is_refused_in_one_clear_sentence(app: App[None]) -> None:
    await app.__aexit__()
    app.queue("mail", most_waiting_per_tenant=2)

    @app.job(queue="mail", tenant="t-1")
    async def send(ctx: C) -> None: ...

    await app.__aenter__()
    await app.enqueue([send.draft(), send.draft()])
    with pytest.raises(QueueFull) as full:
        await send.enqueue()
    assert str(full.value) == (
        "the queue 'mail' takes 2 waiting jobs of tenant 't-1', and these are too many for it: add them later, fewer "
        "at once, or raise its bound."
    )


async def test_a_heavier_tenant_has_more_turns(app: App[None]) -> None:
    @app.job()
    async def index(ctx: C) -> None: ...

    with pytest.raises(ConfigError, match="the weight of tenant 'big' is 0: give a whole number from 1 to 100"):
        await app.weigh("big", 0)
    await app.weigh("big", 3)
    for tenant in ("big", "small"):
        await app.enqueue(index.using(tenant=tenant).draft() for _ in range(20))
    claimed = await app.store.claim([], 20, worker="w", lease=LEASE, now=app.clock())
    assert Counter(job.tenant for job in claimed) == {"big": 15, "small": 5}


async def test_a_job_tells_which_limit_it_waits_for(timed: App[None]) -> None:
    await timed.__aexit__()
    timed.limit("provider", running=1)
    timed.limit("pace", rate=Rate(1, per=60))

    @timed.job(limits=["provider:google", "pace:{number}"])
    async def index(ctx: C, number: int) -> None: ...

    await timed.__aenter__()
    await worker(timed)
    first, second = await index.enqueue(1), await index.enqueue(1)
    await timed.store.claim([], 10, worker="w-1", lease=LEASE, now=timed.clock())
    full, paced = [found for found in await second.why() if isinstance(found, LimitShut)]
    assert (full.key, full.because, full.holders, full.most) == ("provider:google", "running", (first.id,), 1)
    assert full.says == f"the one slot of provider:google is taken, by {first.id}: wait until one ends."
    assert (paced.key, paced.because, paced.opens_in) == ("pace:1", "rate", 60.0)
    assert paced.says == "pace:1 lets the next one go in 60s: wait, or raise its rate."


async def test_a_job_tells_of_an_open_breaker(timed: App[None], clock: FakeClock) -> None:
    await timed.__aexit__()
    timed.limit("api", running=5)

    @timed.job(limits=["api:x"])
    async def call(ctx: C) -> None: ...

    await timed.__aenter__()
    await worker(timed)
    handle = await call.enqueue()
    await timed.gates.open("api:x", timedelta(seconds=30))
    [found] = await handle.why()
    assert found.says == (
        "the breaker of api:x is open, and one job tries in 30s: wait, or `lamplighter limits close api:x` lets jobs "
        "through now."
    )
    await timed.gates.open("api:x")
    [held] = await handle.why()
    assert held.says.startswith("an operator holds the breaker of api:x open: ")
    await timed.gates.close("api:x")
    assert await handle.why() == []


async def test_a_job_in_line_tells_who_takes_turns_with_its_tenant(timed: App[None]) -> None:
    @timed.job(queue="mail")
    async def send(ctx: C) -> None: ...

    await worker(timed)
    for tenant, number in (("a", 5), ("b", 1), ("c", 4)):
        handles = await timed.enqueue(send.using(tenant=tenant).draft() for _ in range(number))
    [found] = await handles[1].why()
    assert isinstance(found, InLine)
    assert (found.ahead, found.own, found.tenants, found.exact) == (4, 1, 2, False)
    assert "(1 of its own tenant; 2 others take turns with it)" in found.says


async def test_waiting_before_a_gate_that_time_opens_is_idle(timed: App[None], clock: FakeClock) -> None:
    await timed.__aexit__()
    timed.limit("pace", rate=Rate(1, per=60))

    @timed.job(limits=["pace"])
    async def call(ctx: C) -> None: ...

    await timed.__aenter__()
    handles = await timed.enqueue(call.draft() for _ in range(3))
    for n in range(1, 4):
        await timed.work(until_idle=True)
        assert (await states(*handles)).count(State.DONE) == n
        clock.advance(61)
