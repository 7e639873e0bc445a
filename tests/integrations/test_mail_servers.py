"""Several mail servers: which of them gets a mail, and when nobody knows whether one did."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from tests.integrations.support import NOW, Home, Timer
from tests.integrations.telling import (
    PASSWORD,
    SENDER,
    MailServer,
    connected,
    happens,
    mail_server,
    sent,
    settings_of,
    telling,
)

from lamplighter.core.config import Settings, load
from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret
from lamplighter.integrations.notices import trial
from lamplighter.integrations.notices.channel import Refused, Unanswered, Undelivered
from lamplighter.integrations.notices.channel_mail import PASS_OVER, MailSender, servers_of
from lamplighter.integrations.notices.delivery import MOST_UNANSWERED, Deliverer
from lamplighter.integrations.notices.dispatch import Dispatcher
from lamplighter.integrations.notices.message import Target
from lamplighter.integrations.notices.own_templates import sample
from lamplighter.integrations.notices.senders import open_senders
from lamplighter.integrations.notices.wording import tell

ADA = "ada@example.com"


@pytest.fixture
async def posts() -> AsyncIterator[list[MailServer]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(mail_server()) for _ in range(2)]


def settings(posts: list[MailServer]) -> Settings:
    return Settings(smtp_url=Secret(" ".join(post.url for post in posts)), mail_from=SENDER)


class Mailing:
    """A sender to two servers, with a clock that is set by hand."""

    def __init__(self, posts: list[MailServer]) -> None:
        self.clock = Timer()
        self.posts = posts
        self.sender = MailSender(settings(posts), clock=self.clock)

    async def send(self) -> None:
        message = sample("integration.revoked", NOW)
        await self.sender.send(message, tell(message, None), Target(Secret(ADA), None))

    @property
    def came(self) -> tuple[int, int]:
        first, second = self.posts
        return len(first.mails), len(second.mails)


async def test_a_server_that_fails_is_passed_over_for_a_while(posts: list[MailServer]) -> None:
    it = Mailing(posts)
    await it.send()
    assert it.came == (1, 0)
    await posts[0].stop()
    await it.send()
    await posts[0].start()
    await it.send()
    assert it.came == (1, 2)
    it.clock.passes(PASS_OVER.total_seconds() + 1)
    await it.send()
    assert it.came == (2, 2)
    assert {str(mail["Message-ID"]) for post in posts for mail in post.mails} == {"<sample@example.com>"}


async def test_what_one_server_takes_later_another_may_take_now_and_what_one_refuses_is_refused(
    posts: list[MailServer],
) -> None:
    it = Mailing(posts)
    posts[0].answer = "450 4.2.0 later"
    await it.send()
    assert it.came == (0, 1)
    posts[1].answer = "451 4.2.0 later"
    with pytest.raises(Undelivered):
        await it.send()
    posts[1].answer = "550 5.1.1 nobody"
    with pytest.raises(Refused):
        await it.send()
    assert it.came == (0, 1)


async def test_a_mail_that_may_have_arrived_goes_by_no_other_server_at_once(posts: list[MailServer]) -> None:
    it = Mailing(posts)
    posts[0].hangs_up = lambda _id: True
    with pytest.raises(Unanswered, match="gave no answer"):
        await it.send()
    assert it.came == (1, 0)
    await it.send()  # later: by the other
    assert it.came == (1, 1)


async def test_a_mail_that_is_never_answered_is_sent_only_so_often(home: Home, posts: list[MailServer]) -> None:
    for post in posts:
        post.hangs_up = lambda _id: True
    clock = Timer()
    given = settings_of(home, " ".join(post.url for post in posts))
    async with telling(home, clock=clock, settings=given) as ours:
        await ours.recipients.add(None, "email", ADA)
        await happens(ours, await connected(ours), at=clock.now)
        dispatcher = Dispatcher(ours.database, clock=clock)
        await dispatcher.address()
        [[one]] = [batch async for batch in dispatcher.compose()]
        async with open_senders(given, clock) as senders:
            deliverer = Deliverer(ours.database, ours.vault, senders, public_url=None, clock=clock)
            for _ in range(MOST_UNANSWERED - 1):
                with pytest.raises(Unanswered):
                    await deliverer.deliver(one.message_id)
            with pytest.raises(Refused, match="without an answer, so it may have arrived"):
                await deliverer.deliver(one.message_id)
            assert await deliverer.deliver(one.message_id) == "ended before"
        [ended] = await sent(ours)
    assert ended.ended
    assert sum(len(post.mails) for post in posts) == MOST_UNANSWERED


async def test_a_test_goes_once_through_each_server_and_says_what_it_answered(posts: list[MailServer]) -> None:
    posts[0].answer = "450 4.2.0 later"
    first, second = await trial.to_address("email", ADA, settings(posts), Timer())
    assert (first.to, second.failure) == ("a…@example.com", None)
    assert first.failure is not None
    assert first.failure.startswith("the mail server does not take it now (450 4.2.0)")
    assert second.way == f"127.0.0.1:{posts[1].port}"
    assert "A test, nothing has happened: " in str(posts[1].mails[0]["Subject"])


@pytest.mark.parametrize("between", [" ", ", ", ","])
def test_servers_are_named_in_their_order(between: str) -> None:
    urls = f"smtps://a:p,w@one.example{between}smtp://two.example:25?starttls=never"
    found = load(environ={"LAMPLIGHTER_SMTP_URL": urls}).settings.smtp_url
    assert found is not None
    assert [server.name for server in servers_of(found)] == ["one.example:465", "two.example:25"]


def test_no_more_servers_are_named_than_are_tried_in_time() -> None:
    with pytest.raises(ConfigError, match="up to 3 of them") as raised:
        load(environ={"LAMPLIGHTER_SMTP_URL": " ".join([f"smtp://a:{PASSWORD}@one.example"] * 4)})
    assert PASSWORD not in str(raised.value)
