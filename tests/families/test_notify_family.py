"""From what happens to an integration to the mail that says so, in real stores."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.families.notifying import DELIVER, DISPATCH, Notifying, notifying, start_worker
from tests.families.running import Home, in_file
from tests.integrations.telling import PASSWORD, MailServer, connected, happens, mail_server, noticed, receiver

from lamplighter.core.clock import utcnow
from lamplighter.core.model import LIVE, Where
from lamplighter.testing import FakeClock

ADA, OPERATOR = "ada@example.com", "operator@example.com"
KILLS = 2
TENANTS = 100
STEP = 30  # mails that come between two kills


@pytest.fixture
async def post() -> AsyncIterator[MailServer]:
    async with mail_server() as running:
        yield running


@pytest.fixture
async def it(home: Home, post: MailServer) -> AsyncIterator[Notifying]:
    async with notifying(home, post) as opened:
        yield opened


async def test_who_asked_for_it_gets_one_mail_of_what_happened(it: Notifying, post: MailServer) -> None:
    ids = await connected(it.service, ["t-1", "t-2"])
    await it.service.recipients.add("t-1", "email", ADA)
    await it.service.recipients.add(None, "email", OPERATOR)
    await happens(it.service, ids, at=utcnow())
    async with it.app.worker():
        told = await it.until_ended(3)
        await it.notify.dispatch.enqueue(everything=True)
        await it.until("done", it.count("done", DISPATCH) + 1, name=DISPATCH)
    assert [one.failure for one in told] == [None] * 3
    assert Counter(str(mail["To"]) for mail in post.mails) == {ADA: 1, OPERATOR: 2}
    assert {str(mail["Message-ID"]) for mail in post.mails} == {f"<{one.id}@example.com>" for one in told}


async def test_while_the_mail_server_is_down_mails_wait_and_then_come_once(home: Home, post: MailServer) -> None:
    clock = FakeClock()
    async with notifying(home, post, clock=clock) as it:
        await it.service.recipients.add(None, "email", OPERATOR)
        await happens(it.service, await connected(it.service), at=clock())
        await post.stop()
        async with it.app.worker():
            await it.until("retried", name=DELIVER)
            clock.advance(60)
            await it.until("retried", 2, name=DELIVER)
            await post.start()
            clock.advance(60)
            await it.until_ended()
    assert len(post.mails) == 1


async def test_a_mail_whose_job_was_lost_is_delivered_by_another(home: Home, post: MailServer) -> None:
    clock = FakeClock()
    async with notifying(home, post, clock=clock) as it:
        await it.service.recipients.add(None, "email", OPERATOR)
        await happens(it.service, await connected(it.service), at=clock())
        await post.stop()
        async with it.app.worker():
            await it.until("retried", name=DELIVER)
        await it.app.store.cancel(Where(names=(DELIVER,)), limit=10, now=clock(), keep_until=clock())
        await post.start()
        async with it.app.worker():
            clock.advance(120)
            await it.until_ended()
    assert len(post.mails) == 1


async def test_a_refusal_for_good_ends_the_message_and_its_job(it: Notifying, post: MailServer) -> None:
    post.answer = "550 5.1.1 there is no such mailbox"
    await it.service.recipients.add(None, "email", OPERATOR)
    await happens(it.service, await connected(it.service), at=utcnow())
    async with it.app.worker():
        await it.until("failed", name=DELIVER)
    [ended] = await it.sent()
    assert ended.failure == "the mail server refuses it for good (550 5.1.1): see that the address is right."


async def test_a_webhook_that_asks_to_wait_spends_no_attempt(it: Notifying) -> None:
    async with receiver() as hook:
        hook.status, hook.head = 429, "Retry-After: 3600\r\n"
        await it.service.recipients.add(None, "webhook", hook.url)
        await happens(it.service, await connected(it.service), at=utcnow())
        async with it.app.worker():
            await it.until("snoozed", name=DELIVER)
    [job] = [one for one in await it.app.store.page(Where(names=(DELIVER,)), limit=10) if one.state in LIVE]
    assert job.failures == 0


async def test_workers_that_dispatch_side_by_side_send_nothing_twice(home: Home, post: MailServer) -> None:
    async with notifying(home, post) as it, notifying(home, post) as other:
        tenants = [f"t-{number:02}" for number in range(15)]
        ids = await connected(it.service, tenants)
        for tenant in tenants:
            await it.service.recipients.add(tenant, "email", f"{tenant}@example.com")
        async with it.app.worker(), other.app.worker():
            for number in (1, 2):
                await happens(it.service, ids, at=utcnow(), number=number)
                dispatches = [one.notify.dispatch.using(unique=False) for one in (it, other) for _ in range(4)]
                await asyncio.gather(*(dispatch.enqueue(everything=True) for dispatch in dispatches))
            told = await it.until_ended(2 * len(tenants))
        assert sorted(id_ for one in told for id_ in one.notices) == await noticed(it.service)
    assert Counter(str(mail["Message-ID"]) for mail in post.mails) == Counter(f"<{one.id}@example.com>" for one in told)


@pytest.mark.timeout(300)
async def test_mails_are_doubled_only_where_no_answer_came_though_workers_and_a_server_die(
    tmp_path: Path, post: MailServer
) -> None:
    """Two recipients of each tenant. Of the mails some servers hang up in place of an answer; the first server dies
    half-way, and workers are killed. What a worker sent and did not live to write down had no answer either."""
    home = in_file(tmp_path)
    in_flight, seen = set[str](), set[str]()

    def hangs_up(id_: str) -> bool:
        is_first = id_ not in seen
        seen.add(id_)
        return is_first and len(seen) % 10 == 0

    async with mail_server() as other, notifying(home, post) as it:
        posts = (post, other)
        post.hangs_up = other.hangs_up = hangs_up
        other.came = post.came
        tenants = [f"t-{number:03}" for number in range(TENANTS)]
        ids = await connected(it.service, tenants)
        for tenant in tenants:
            for name in ("ada", "bea"):
                await it.service.recipients.add(tenant, "email", f"{name}-{tenant}@example.com")
        await happens(it.service, ids, at=utcnow())
        for kill in range(KILLS):
            worker = await start_worker(home, *posts)
            taken = sum(len(one.mails) for one in posts)
            while sum(len(one.mails) for one in posts) < taken + STEP:
                post.came.clear()
                await post.came.wait()
            worker.kill()
            await worker.wait()
            in_flight |= {f"<{one.id}@example.com>" for one in await it.sent() if not one.ended}
            if kill == 0:
                await post.stop()
        worker = await start_worker(home, *posts)
        try:
            told = await it.until_ended(2 * TENANTS)
        finally:
            worker.terminate()
            await worker.wait()
        mails = [mail for one in posts for mail in one.mails]
        unanswered = {id_ for one in posts for id_ in one.unanswered}
        came = Counter(str(mail["Message-ID"]) for mail in mails)
        doubled = {id_ for id_, times in came.items() if times > 1}
        killed = len(doubled - unanswered)
        print(f"{len(mails)} mails of {len(came)} messages: {len(unanswered)} unanswered, {killed} sent as a kill came")
    assert all(one.failure is None for one in told)
    assert came.keys() == {f"<{one.id}@example.com>" for one in told}
    assert doubled <= unanswered | in_flight
    assert unanswered <= doubled
    assert len({str(mail["To"]) for mail in mails}) == 2 * TENANTS == len(came)
    for mail in mails:
        assert not mail.defects
        assert [part.get_content_type() for part in mail.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert post.mails
    assert other.mails


async def test_no_address_password_or_secret_is_in_a_job_an_event_or_a_log(
    it: Notifying, post: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    post.answer = f"450 {ADA} {PASSWORD}"
    async with receiver() as hook:
        hook.status = 500
        await it.service.recipients.add(None, "email", ADA)
        signed = await it.service.recipients.add(None, "webhook", f"{hook.url}/very-secret-path")
        await it.service.recipients.add(None, "apprise", hook.url.replace("http://", "json://bea:hunter2@"))
        await happens(it.service, await connected(it.service), at=utcnow())
        with caplog.at_level(logging.DEBUG):
            async with it.app.worker():
                await it.until("retried", 3, name=DELIVER)
    jobs = await it.app.store.page(Where(names=(DELIVER, DISPATCH)), limit=100)
    failures = [await it.app.store.failures(job.id) for job in jobs]
    assert signed.secret is not None
    seen = repr((jobs, failures, it.events, await it.sent(), signed)) + caplog.text
    assert "does not take it now (450)" in seen
    for secret in (ADA, PASSWORD, "secret-path", "hunter2", signed.secret.reveal().removeprefix("whsec_")):
        assert secret not in seen
