"""What a family or a host tells people: in its own transaction, once, and by the same way as all else."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, select, text
from tests.integrations.support import Home, Timer
from tests.integrations.telling import composed, connected, happens, mail_server, settings_of, telling

from lamplighter.integrations.notices.delivery import Deliverer
from lamplighter.integrations.notices.digest import decide
from lamplighter.integrations.notices.events import BadEvent, NoticeEvent, declare, find_for
from lamplighter.integrations.notices.preferences import Preference
from lamplighter.integrations.notices.senders import open_senders
from lamplighter.integrations.service import Service
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.migrate import FOLDER, upgrade
from lamplighter.integrations.storage.tables import deliveries, notices, recipients

DONE = declare(
    NoticeEvent("test-archive.done", one="The archive of {month} is ready", many="{count} archives", to_do="Fetch it.")
)
REFUSED = declare(NoticeEvent("test-source.refused", one="{source} is refused", many="{count}", for_tenants=False))


@pytest.fixture
def clock() -> Timer:
    return Timer()


@pytest.fixture
async def ours(home: Home, clock: Timer) -> AsyncIterator[Service]:
    async with telling(home, clock=clock) as opened:
        yield opened


async def test_a_host_tells_a_tenant_once_and_it_comes_like_all_else(home: Home, clock: Timer) -> None:
    async with mail_server() as post:
        settings = settings_of(home, post.url)
        async with telling(home, clock=clock, settings=settings) as ours:
            await connected(ours, ["t-1", "t-2"])
            for tenant in ("t-1", "t-2"):
                await ours.recipients.add(tenant, "email", f"{tenant}@example.com")
            await ours.recipients.add(None, "email", "operator@example.com", [REFUSED.name])

            def tell(connection: Connection) -> tuple[bool, bool, bool]:
                say = partial(ours.notices.tell, connection)
                first = say(DONE.name, key="05", tenant_id="t-1", facts={"month": "May <b>", "size": 12_000})
                again = say(DONE.name, key="05", tenant_id="t-1", facts={"month": "June"})
                return first, again, say(REFUSED.name, key="x", facts={"source": "Box"})

            assert await ours.database.write(tell) == (True, False, True)
            made = await composed(ours, clock)
            async with open_senders(settings, clock) as senders:
                deliverer = Deliverer(ours.database, ours.vault, senders, public_url=None, clock=clock)
                await asyncio.gather(*(deliverer.deliver(one.message_id) for one in made))
            [notice] = await ours.notices.page("t-1")
            hers = await ours.notices.page("t-2")
    subjects = {str(mail["To"]): str(mail["Subject"]) for mail in post.mails}
    assert subjects == {"t-1@example.com": "The archive of May <b> is ready", "operator@example.com": "Box is refused"}
    [mail] = [mail for mail in post.mails if mail["To"] == "t-1@example.com"]
    plain, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None
    assert html is not None
    assert "size: 12000" in plain.get_content()
    assert "May &lt;b&gt;" in html.get_content()
    assert (notice.subject, notice.integration_id, notice.facts["size"]) == (subjects["t-1@example.com"], None, 12_000)
    assert hers == []


async def test_what_is_rolled_back_was_never_told_and_what_cannot_be_told_is_refused(ours: Service) -> None:
    await connected(ours)

    def fails(connection: Connection) -> None:
        ours.notices.tell(connection, DONE.name, key="05", tenant_id="t-1")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await ours.database.write(fails)
    assert await ours.notices.page("t-1") == []
    wrong: list[tuple[str, str, str | None, dict[str, object]]] = [
        ("test-archive.dune", "1", "t-1", {}),
        ("integration.revoked", "1", "t-1", {}),
        (REFUSED.name, "1", "t-1", {}),
        (DONE.name, "", "t-1", {}),
        (DONE.name, "1", "t-9", {}),
        (DONE.name, "1", "t-1", {"month": ["May"]}),
        (DONE.name, "1", "t-1", {"month": float("nan")}),
        (DONE.name, "1", "t-1", {f"fact{number}": number for number in range(21)}),
    ]
    for event, key, tenant, facts in wrong:
        tell = partial(ours.notices.tell, event=event, key=key, tenant_id=tenant, facts=facts)  # type: ignore[arg-type]
        with pytest.raises(BadEvent):
            await ours.database.write(tell)
    for name in ("archive", "alert.mine", "x." * 40 + "x"):
        with pytest.raises(BadEvent):
            declare(NoticeEvent(name, one="x", many="x"))
    with pytest.raises(BadEvent, match="declared already"):
        declare(NoticeEvent(DONE.name, one="other", many="words"))
    with pytest.raises(BadEvent, match="there is no event"):
        find_for(REFUSED.name, "t-1")


async def test_a_muted_event_is_listed_and_not_sent_and_digests_come_once_in_their_time(
    ours: Service, clock: Timer
) -> None:
    ids = await connected(ours, ["t-1", "t-2"])
    for tenant in ("t-1", "t-2", None):
        await ours.recipients.add(tenant, "email", f"{tenant or 'operator'}@example.com")
    await ours.preferences.set(Preference(tenant_id="t-1", event="integration.revoked", muted=True))
    await ours.preferences.set(Preference(tenant_id="t-2", event="integration.revoked", digest="hourly"))
    told = Counter[str | None]()
    for number in range(4):  # within the hour
        await happens(ours, ids, at=clock.now, number=number)
        told.update(one.tenant_id for one in await composed(ours, clock))
        clock.passes(16 * 60)
    assert told == {"t-2": 1, None: 8}  # the operators hear of both tenants, at once
    clock.passes(1)
    assert [one.tenant_id for one in await composed(ours, clock)] == ["t-2"]
    assert len(await ours.notices.page("t-1")) == 4
    assert {one.event for one in await ours.preferences.all("t-1") if one.muted} == {"integration.revoked"}
    for wrong in (
        Preference(tenant_id="t-1", event="alert.firing", muted=True),
        Preference(tenant_id="t-9", event="integration.revoked", muted=True),
        Preference(tenant_id="t-1", event="integration.revoked", digest="weekly"),  # type: ignore[arg-type]
    ):
        with pytest.raises(BadEvent):
            await ours.preferences.set(wrong)


def test_who_wants_digests_is_never_told_one_by_one() -> None:
    assert decide(recent=0, waiting=1, digest="daily") == "digest"
    assert decide(recent=1, waiting=1, digest="daily") == "later"


BEFORE = """
INSERT INTO lamp_tenants (id, name, owner_id, archived, created_at) VALUES ('t', 'T', 'o', false, 0);
INSERT INTO lamp_providers (slug, display_name, client_id, client_secret, facts, version, created_at, updated_at)
VALUES ('p', 'P', 'c', 's', '{}', 1, 0, 0);
INSERT INTO lamp_integrations (id, tenant_id, provider_slug, token_version, scopes, status, status_changed_at, outages,
metadata, created_at, updated_at) VALUES ('i', 't', 'p', 0, '', 'active', 0, 0, '{}', 0, 0);
INSERT INTO lamp_notices (id, integration_id, transition, tenant_id, provider_slug, event, at, is_new)
VALUES ('n', 'i', 7, 't', 'p', 'integration.revoked', 0, false);
INSERT INTO lamp_recipients (id, tenant_id, channel, address, events, created_at)
VALUES ('a', 't', 'email', '', 'integration.revoked integration.expired integration.recovered', 0);
INSERT INTO lamp_recipients (id, tenant_id, channel, address, events, created_at)
VALUES ('b', 't', 'email', '', 'integration.revoked', 0);
INSERT INTO lamp_deliveries (recipient_id, notice_id, topic) VALUES ('a', 'n', 'integration.revoked p')"""


async def test_what_was_told_before_an_upgrade_is_there_after_it(home: Home) -> None:
    def make(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(FOLDER))
        config.attributes["connection"] = connection
        if not connection.in_transaction():
            connection.begin()
        command.upgrade(config, "0006")
        for statement in BEFORE.split(";"):
            connection.execute(text(statement))

    async with Database(home.url) as database:
        await database.migrate(make)
        await upgrade(database)
        rows = await database.read(lambda connection: connection.execute(select(notices)).all())
        waiting = await database.read(lambda connection: connection.execute(select(deliveries)).all())
        heard = select(recipients.c.events).order_by(recipients.c.id)
        events = await database.read(lambda connection: connection.execute(heard).scalars().all())
    assert [(one.id, one.transition, one.key, one.facts) for one in rows] == [("n", 7, None, None)]
    assert [(one.recipient_id, one.notice_id) for one in waiting] == [("a", "n")]
    assert events == [
        "default integration.revoked integration.expired integration.recovered",
        "integration.revoked",
    ]
