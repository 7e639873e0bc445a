"""Who is told, and of what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import func, select
from tests.integrations.support import KEY, Home, Timer
from tests.integrations.telling import connected, happens, sent, settings_of, telling

from lamplighter.core.errors import ConfigError
from lamplighter.integrations.audit import AuditLog
from lamplighter.integrations.notices import address
from lamplighter.integrations.notices.address import BadRecipient, Channel
from lamplighter.integrations.notices.dispatch import Dispatcher
from lamplighter.integrations.notices.events import defaults
from lamplighter.integrations.notices.recipients import MOST, Added
from lamplighter.integrations.reencrypt import Reencrypted, reencrypt
from lamplighter.integrations.service import Service
from lamplighter.integrations.storage.tables import deliveries, recipients
from lamplighter.integrations.vault import Vault, new_key

HOOK = "https://hooks.example.com/services/T0/very-secret-path?key=42"
ADDRESSES: list[tuple[Channel, str]] = [
    ("email", "ada@example.com"),
    ("webhook", HOOK),
    ("apprise", "json://ada:hunter2@example.com/very-secret-path"),
]


@pytest.fixture
def clock() -> Timer:
    return Timer()


@pytest.fixture
async def ours(home: Home, clock: Timer) -> AsyncIterator[Service]:
    async with telling(home, clock=clock) as opened:
        yield opened


@pytest.mark.parametrize(
    ("channel", "wrong"),
    [
        ("email", "nobody"),
        ("email", "ada@example.com\nBcc: everybody@example.com"),
        ("email", "ada@example.com, bea@example.com"),
        ("email", "Ada <ada@example.com>"),
        ("email", f"{'a' * 65}@example.com"),
        ("webhook", "http://hooks.example.com/"),
        ("webhook", "https://ada:hunter2@hooks.example.com/"),
        ("webhook", "https://hooks.example.com/#part"),
        ("webhook", "https://hooks.example.com/\r\nHost: other"),
        ("webhook", f"https://hooks.example.com/{'a' * 2000}"),
        ("apprise", "nonsense"),
        ("apprise", "json://example.com/\n"),
        ("apprise", ""),
    ],
)
async def test_an_address_that_cannot_be_is_refused_without_being_repeated(
    tmp_path: Path, channel: Channel, wrong: str
) -> None:
    async with telling(Home(tmp_path, f"sqlite:///{tmp_path}/lamplighter.db")) as ours:
        with pytest.raises(BadRecipient, match=r"^the address is not usable for the channel .*: give .*\.$") as caught:
            await ours.recipients.add(None, channel, wrong)
        assert not wrong or wrong not in str(caught.value)
        assert await ours.recipients.all() == []


async def test_what_a_recipient_hears_of_by_default_is_what_it_can_do_something_about(ours: Service) -> None:
    await connected(ours)
    assert (await ours.recipients.add("t-1", "email", "ada@example.com")).recipient.events == defaults("t-1")
    operator = (await ours.recipients.add(None, "email", "ada@example.com")).recipient
    assert operator.events == defaults(None)
    assert set(defaults(None)) - set(defaults("t-1")) == {"integration.error", "alert.firing", "alert.resolved"}


@pytest.mark.parametrize(("channel", "where"), ADDRESSES)
async def test_one_address_is_one_recipient_however_often_and_by_how_many_it_is_added(
    ours: Service, channel: Channel, where: str
) -> None:
    await connected(ours)
    added = await asyncio.gather(*(ours.recipients.add("t-1", channel, where) for _ in range(5)))
    [recipient] = await ours.recipients.page("t-1")
    assert {one.recipient for one in added} == {recipient}
    assert sum(one.secret is not None for one in added) == (channel == "webhook")
    operator = await ours.recipients.add(None, channel, where)
    assert operator.recipient.id != recipient.id
    assert [one.id for one in await ours.recipients.all()] == [recipient.id, operator.recipient.id]


async def test_one_that_is_added_again_hears_of_the_new_events_instead(ours: Service) -> None:
    first = (await ours.recipients.add(None, "webhook", HOOK)).recipient
    again = await ours.recipients.add(None, "webhook", HOOK, ["integration.connected"])
    assert again == Added(msgspec.structs.replace(first, events=("integration.connected",)), None)
    assert await ours.recipients.page(None) == [again.recipient]


async def test_an_unknown_event_channel_or_tenant_is_refused_in_one_sentence(ours: Service) -> None:
    for tenant, channel, events, sentence in [
        (None, "email", ["integration.revokd"], "did you mean 'integration.revoked'?"),
        (None, "email", [], "a recipient hears of at least one event"),
        (None, "pigeon", None, "there is no channel 'pigeon': give one of email, webhook, apprise."),
        ("nobody", "email", None, "there is no tenant 'nobody': add it first."),
    ]:
        with pytest.raises(BadRecipient) as caught:
            await ours.recipients.add(tenant, channel, "ada@example.com", events)  # type: ignore[arg-type]
        assert sentence in str(caught.value)


async def test_there_are_not_more_recipients_than_a_few(ours: Service) -> None:
    await connected(ours)
    for number in range(MOST):
        await ours.recipients.add("t-1", "email", f"{number}@example.com")
    with pytest.raises(BadRecipient, match="remove one first"):
        await ours.recipients.add("t-1", "email", "one-more@example.com")
    await ours.recipients.add("t-1", "email", "0@example.com")
    pages = [await ours.recipients.page("t-1", limit=30)]
    pages.append(await ours.recipients.page("t-1", limit=30, after=pages[0][-1].id))
    assert [one.address for page in pages for one in page] == [f"{number}@example.com" for number in range(MOST)]


async def test_without_a_mail_server_or_apprise_nobody_is_to_be_told_that_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path, f"sqlite:///{tmp_path}/lamplighter.db")
    async with telling(home, settings=settings_of(home, smtp_url=None)) as ours:
        with pytest.raises(ConfigError, match=r"^no e-mail can be sent yet: set smtp_url and mail_from\.$"):
            await ours.recipients.add(None, "email", "ada@example.com")
        monkeypatch.setattr(address, "find_spec", lambda _: None)
        with pytest.raises(ConfigError, match=r"run `pip install 'lamplighter\[apprise\]'`\.$"):
            await ours.recipients.add(None, "apprise", "json://example.com")


async def test_addresses_and_secrets_are_stored_encrypted_and_come_under_a_new_key(ours: Service) -> None:
    secrets = []
    for channel, where in ADDRESSES:
        added = await ours.recipients.add(None, channel, where)
        secrets += [where, added.secret.reveal() if added.secret else where]
        assert "secret-path" not in repr(added)
    columns = select(recipients.c.address, recipients.c.secret)
    stored = await ours.database.read(lambda connection: repr(connection.execute(columns).all()))
    assert not [secret for secret in secrets if secret in stored]
    newer = new_key()
    assert await reencrypt(ours.database, Vault.from_text(f"{newer},{KEY}")) == Reencrypted(4)
    assert await reencrypt(ours.database, Vault.from_text(newer)) == Reencrypted(0)


async def test_the_audit_log_says_who_was_added_and_removed_but_no_secret_of_theirs(ours: Service) -> None:
    for channel, where in ADDRESSES:
        id_ = (await ours.recipients.add(None, channel, where)).recipient.id
        assert await ours.recipients.remove(None, id_)
    records = [one for one in await AuditLog(ours.database).page() if one.resource_type == "recipient"]
    assert [one.action for one in records] == ["recipient.removed", "recipient.added"] * 3
    masked = ["json://…", "https://hooks.example.com/…", "a…@example.com"]
    assert [one.details["changes"]["address"] for one in records] == [one for one in masked for _ in range(2)]
    assert "secret-path" not in repr(records)


async def test_no_tenant_removes_another_s_recipient(ours: Service) -> None:
    await connected(ours, ["t-1", "t-2"])
    hers = (await ours.recipients.add("t-1", "email", "ada@example.com")).recipient
    assert not await ours.recipients.remove("t-2", hers.id)
    assert not await ours.recipients.remove(None, hers.id)
    assert await ours.recipients.page("t-1") == [hers]
    assert await ours.recipients.remove("t-1", hers.id)
    assert not await ours.recipients.remove("t-1", hers.id)


async def test_one_that_was_removed_is_told_nothing_more_not_even_what_is_on_its_way(
    ours: Service, clock: Timer
) -> None:
    ids = await connected(ours)
    gone = (await ours.recipients.add("t-1", "email", "ada@example.com")).recipient
    dispatcher = Dispatcher(ours.database, clock=clock)
    await happens(ours, ids, at=clock.now)
    await dispatcher.address()
    [[_]] = [batch async for batch in dispatcher.compose()]
    await happens(ours, ids, at=clock.now, number=2)
    await dispatcher.address()
    await ours.recipients.remove("t-1", gone.id)
    assert [(one.ended, one.failure) for one in await sent(ours)] == [(True, "its recipient was removed")]
    waiting = select(func.count()).where(deliveries.c.message_id.is_(None))
    assert await ours.database.read(lambda connection: connection.scalar(waiting)) == 0
    assert [batch async for batch in dispatcher.compose()] == []
    assert [batch async for batch in dispatcher.unfinished()] == []
