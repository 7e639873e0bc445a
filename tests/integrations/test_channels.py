"""What arrives: mails on a real server, calls at a real receiver, and what is made of refusals."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx2
import msgspec
import pytest
from standardwebhooks import Webhook, WebhookVerificationError
from tests.integrations.support import NOW, Home, Timer
from tests.integrations.telling import (
    PASSWORD,
    SENDER,
    MailServer,
    Receiver,
    connected,
    happens,
    mail_server,
    provider,
    receiver,
    sent,
    settings_of,
    telling,
)

from lamplighter.core.clock import Clock, utcnow
from lamplighter.core.config import Settings
from lamplighter.core.secret import Secret
from lamplighter.integrations.notices.address import Channel
from lamplighter.integrations.notices.channel import Refused, Sender, Undelivered
from lamplighter.integrations.notices.channel_apprise import AppriseSender
from lamplighter.integrations.notices.channel_mail import MailSender, Server
from lamplighter.integrations.notices.channel_webhook import WebhookSender, webhook_client
from lamplighter.integrations.notices.delivery import GIVE_UP_AFTER, Deliverer
from lamplighter.integrations.notices.dispatch import Dispatcher
from lamplighter.integrations.notices.message import Item, Message, Target
from lamplighter.integrations.notices.wording import Telling, tell
from lamplighter.integrations.notices.words import one_line
from lamplighter.integrations.service import Service

ADA = "ada@example.com"
SECRET = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
URL = "https://app.example.com/settings"


def message(*items: Item, **other: object) -> Message:
    items = items or (item(),)
    known = {
        "id": "01",
        "channel": "email",
        "event": "integration.revoked",
        "provider_slug": "lantern",
        "provider_name": "Lantern Drive",
        "notices": len(items),
        "integrations": len({one.integration_id for one in items}),
        "first_at": items[0].at,
        "last_at": items[-1].at,
        "items": items,
        "created_at": NOW,
    }
    return Message(**known | other)  # type: ignore[arg-type]


def item(number: int = 1, *, tenant: str = "Copper Bakery", reason: str | None = "invalid_grant") -> Item:
    at = NOW + timedelta(minutes=number)
    return Item(
        id=f"n-{number}", integration_id=f"i-{number}", tenant_id="t-1", tenant_name=tenant, reason=reason, at=at
    )


def mail_settings(server: MailServer, url: str | None = None) -> Settings:
    return Settings(smtp_url=Secret(url or server.url), mail_from=SENDER)


async def mailed(server: MailServer, what: Message, url: str | None = None) -> None:
    await MailSender(mail_settings(server, url)).send(what, tell(what, URL), Target(Secret(ADA), None))


@pytest.fixture
async def post() -> AsyncIterator[MailServer]:
    async with mail_server() as running:
        yield running


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    async with receiver() as running:
        yield running


async def called(hook: Receiver, what: Message) -> None:
    async with webhook_client() as http:
        sender = WebhookSender(http, clock=utcnow)
        await sender.send(what, tell(what, URL), Target(Secret(f"{hook.url}/very-secret-path"), SECRET))


async def test_a_mail_says_what_happened_since_when_and_what_to_do(post: MailServer) -> None:
    await mailed(post, message())
    [mail] = post.mails
    assert mail["Subject"] == "Lantern Drive no longer lets us in for Copper Bakery"
    assert (mail["From"], mail["To"]) == (SENDER, ADA)
    assert mail["Message-ID"] == "<01@example.com>"
    assert mail["Date"].datetime == NOW
    assert mail["Auto-Submitted"] == "auto-generated"
    text, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    assert text.get_content().splitlines() == [
        "Lantern Drive no longer lets us in for Copper Bakery.",
        "",
        "Since:  2026-01-01 00:01 UTC",
        "Reason: invalid_grant",
        "To do:  Connect again.",
        "",
        URL,
    ]
    for part in ("2026-01-01 00:01 UTC", "invalid_grant", "Connect again.", f'href="{URL}"'):
        assert part in html.get_content()
    assert 'style="' in html.get_content()
    assert "<style" not in html.get_content()
    assert post.logins == [PASSWORD]


async def test_a_digest_lists_the_first_hundred_and_counts_the_rest(post: MailServer) -> None:
    await mailed(post, message(*(item(number, tenant=f"Bakery {number:03}") for number in range(101)), notices=1_500))
    [mail] = post.mails
    assert mail["Subject"] == "Lantern Drive no longer lets us in for 101 integrations"
    for kind in ("plain", "html"):
        body = mail.get_body((kind,))
        assert body is not None
        content = body.get_content()
        assert "Bakery 000" in content
        assert "Bakery 099" in content
        assert "Bakery 100" not in content
        assert "and 1,400 more" in content


async def test_one_integration_that_fails_again_and_again_is_no_crowd() -> None:
    told = tell(message(item(1), msgspec.structs.replace(item(2), integration_id="i-1")), None)
    assert told.subject == "Lantern Drive no longer lets us in for Copper Bakery, 2 times"
    assert told.link is None


async def test_words_of_providers_and_tenants_are_no_markup_in_a_mail(post: MailServer) -> None:
    evil = '<script>alert(1)</script><a href="https://evil.example">click</a>'
    await mailed(post, message(item(reason=evil, tenant=one_line(evil)), provider_name="<b>Lantern</b>"))
    body = post.mails[0].get_body(("html",))
    assert body is not None
    html = body.get_content()
    assert "<script" not in html
    assert 'evil.example">' not in html
    assert "<b>" not in html
    assert "&lt;script&gt;" in html


async def test_no_name_adds_a_header(post: MailServer, home: Home) -> None:
    name = "Bakery\r\nBcc: everybody@example.com\r\n\r\nHello"
    async with telling(home, settings=settings_of(home, post.url)) as ours:
        ids = await connected(ours, name=name)
        await ours.registrations.register(provider(name="Lantern\nX-Evil: 1"))
        await ours.recipients.add("t-1", "email", ADA)
        await happens(ours, ids, at=utcnow(), reason="one\r\n.\r\ntwo")
        [id_] = await composed(ours)
        assert await deliverer(ours, post).deliver(id_) == "sent"
    [mail] = post.mails
    assert mail["Subject"] == "Lantern X-Evil: 1 no longer lets us in for Bakery Bcc: everybody@example.com Hello"
    assert (mail["Bcc"], mail["X-Evil"]) == (None, None)


async def composed(ours: Service, clock: Clock = utcnow) -> list[str]:
    """The messages that are now to be delivered."""
    dispatcher = Dispatcher(ours.database, clock=clock)
    await dispatcher.address()
    return [one.message_id async for batch in dispatcher.compose() for one in batch]


def deliverer(ours: Service, post: MailServer, clock: Clock = utcnow) -> Deliverer:
    senders: dict[Channel, Sender] = {"email": MailSender(mail_settings(post))}
    return Deliverer(ours.database, ours.vault, senders, public_url=URL, clock=clock)


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        ("550 5.1.1 no ada@example.com here", Refused, "refuses it for good (550 5.1.1)"),
        ("450 4.2.1 ada@example.com is busy", Undelivered, "does not take it now (450 4.2.1)"),
    ],
)
async def test_a_recipient_that_is_refused_for_good_is_told_from_one_that_is_refused_for_now(
    post: MailServer, answer: str, error: type[Exception], sentence: str
) -> None:
    post.answer = answer
    with pytest.raises(error) as caught:
        await mailed(post, message())
    assert sentence in str(caught.value)
    assert ADA not in str(caught.value)
    assert caught.value.__suppress_context__


async def test_a_wrong_password_is_our_fault_and_in_no_error(post: MailServer) -> None:
    with pytest.raises(Undelivered, match="smtp_url and mail_from are right") as caught:
        await mailed(post, message(), post.url.replace(PASSWORD, "hunter3"))
    assert "hunter3" not in str(caught.value)
    assert post.mails == []


async def test_no_password_is_said_to_a_server_that_starts_no_tls(post: MailServer) -> None:
    with pytest.raises(Undelivered, match="see that smtp_url is right"):
        await mailed(post, message(), post.url.removesuffix("?starttls=never"))
    assert post.logins == []


def test_a_server_s_url_says_how_tls_begins() -> None:
    assert Server.from_url(Secret("smtps://a%40b:p%2Fw@h")) == ("h", 465, "a@b", Secret("p/w"), True, False)
    assert Server.from_url(Secret("smtp://h")) == ("h", 587, None, None, False, True)
    assert Server.from_url(Secret("smtp://[::1]:25?starttls=never")) == ("::1", 25, None, None, False, False)


async def test_a_call_is_signed_so_that_others_libraries_verify_it(hook: Receiver) -> None:
    await called(hook, message(item(1), item(2), channel="webhook"))
    [call] = hook.calls
    Webhook(SECRET.reveal()).verify(call.body, call.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET.reveal()).verify(call.body + b" ", call.headers)
    assert call.headers["webhook-id"] == "01"
    assert (call.json["type"], call.json["timestamp"]) == ("integration.revoked", "2026-01-01T00:00:00Z")
    data = call.json["data"]
    assert data["provider"] == {"slug": "lantern", "name": "Lantern Drive"}
    assert (data["count"], data["integrations"], data["link"]) == (2, 2, URL)
    assert [one["id"] for one in data["notices"]] == ["n-1", "n-2"]
    assert data["notices"][0]["tenant"] == {"id": "t-1", "name": "Copper Bakery"}


@pytest.mark.parametrize("status", [301, 400, 404, 500, 503])
async def test_anything_but_2xx_is_tried_again(hook: Receiver, status: int) -> None:
    hook.status, hook.head = status, "Location: /elsewhere\r\n"
    with pytest.raises(Undelivered, match=f"the webhook answers {status} instead of 2xx") as caught:
        await called(hook, message())
    assert caught.value.retry_after is None
    assert len(hook.calls) == 1  # no redirect was followed
    hook.status = 204
    await called(hook, message())


async def test_a_webhook_that_asks_to_wait_is_waited_for(hook: Receiver) -> None:
    hook.status, hook.head = 429, "Retry-After: 120\r\n"
    with pytest.raises(Undelivered) as caught:
        await called(hook, message())
    assert caught.value.retry_after == timedelta(minutes=2)


async def test_a_webhook_that_is_gone_is_given_up(hook: Receiver) -> None:
    hook.status = 410
    with pytest.raises(Refused, match="the webhook answers 410"):
        await called(hook, message())


async def test_an_answer_without_end_is_not_read(hook: Receiver) -> None:
    hook.body = b"x" * 50_000_000
    await called(hook, message())


async def test_one_that_is_not_there_is_said_to_be_so_without_its_url(
    hook: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        await called(hook, message())
        async with webhook_client() as http, httpx2.AsyncClient() as other:
            with pytest.raises(Undelivered, match=r"cannot be reached \(ConnectError\)") as caught:
                await WebhookSender(http, clock=utcnow).send(
                    message(), tell(message(), None), Target(Secret("http://127.0.0.1:9/very-secret-path"), SECRET)
                )
            hook.status = 200
            await other.post(f"{hook.url}/public-path", content=b"")
    assert "secret-path" not in str(caught.value) + caplog.text
    assert "public-path" in caplog.text  # what others log is left alone


async def test_apprise_sends_to_what_its_url_names_and_logs_nothing_of_it(
    hook: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    address = hook.url.replace("http://", "json://ada:hunter2@") + "/very-secret-path"
    told = tell(message(), URL)
    with caplog.at_level(logging.DEBUG):
        await AppriseSender().send(message(), told, Target(Secret(address), None))
        hook.status = 500
        with pytest.raises(Undelivered, match="behind Apprise did not take it"):
            await AppriseSender().send(message(), told, Target(Secret(address), None))
    assert hook.calls[0].json["title"] == told.subject
    assert "Connect again." in hook.calls[0].json["message"]
    assert "hunter2" not in caplog.text


async def test_a_message_is_given_up_after_a_day_and_says_why(home: Home, post: MailServer) -> None:
    clock = Timer()
    post.answer = "450 later"
    async with telling(home, clock=clock) as ours:
        await ours.recipients.add(None, "email", ADA)
        await happens(ours, await connected(ours), at=clock.now)
        [id_] = await composed(ours, clock)
        courier = deliverer(ours, post, clock)
        with pytest.raises(Undelivered):
            await courier.deliver(id_)
        clock.passes(GIVE_UP_AFTER.total_seconds())
        with pytest.raises(Refused, match="given up after 1 day"):
            await courier.deliver(id_)
        [ended] = await sent(ours)
        assert await courier.deliver(id_) == "ended before"
    assert ended.failure is not None
    assert ended.failure.startswith("given up after 1 day: the mail server does not take it now (450)")


async def test_whatever_a_channel_raises_names_no_address(home: Home) -> None:
    class Broken:
        async def send(self, message: object, telling: Telling, target: Target) -> None:
            raise RuntimeError(target.address.reveal())

    async with telling(home) as ours:
        await ours.recipients.add(None, "email", ADA)
        await happens(ours, await connected(ours), at=utcnow())
        [id_] = await composed(ours)
        courier = Deliverer(ours.database, ours.vault, {"email": Broken()}, public_url=None, clock=utcnow)
        with pytest.raises(Undelivered, match=r"^sending it failed \(RuntimeError\)\.$") as caught:
            await courier.deliver(id_)
    assert caught.value.__suppress_context__
