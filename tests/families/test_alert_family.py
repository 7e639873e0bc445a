"""From what breaks to the mail that says so, and the one that says that it is mended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select
from tests.families.notifying import settings_of
from tests.families.running import Home, in_file
from tests.integrations.telling import MailServer, mail_server, receiver

from lamplighter import App, Ctx
from lamplighter.core.clock import Clock, utcnow
from lamplighter.core.config import Settings
from lamplighter.core.errors import StoreUnavailable
from lamplighter.families.alerting.alerting import Alerting
from lamplighter.families.alerting.course import State
from lamplighter.families.alerts import AlertFamily
from lamplighter.families.notify import NotifyFamily
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.storage.tables import alert_deliveries
from lamplighter.testing import FakeClock

OPERATOR = "operator@example.com"
SOON = 60  # seconds that anything may take on a machine under load
RULES = """
[no-worker]
for = "0.2s"
only = ["mail"]
[store-trouble]
for = "1m"
[oldest-waiting]
enabled = false
"""


@pytest.fixture
async def post() -> AsyncIterator[MailServer]:
    async with mail_server() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgres"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    if request.param == "sqlite":
        return in_file(tmp_path)
    return Home(tmp_path, request.getfixturevalue("postgres_schema_url"))


def settings_at(home: Home, post: MailServer, *, every: float = 0.1) -> Settings:
    """Looks often; what needs minutes elsewhere needs none."""
    (home.folder / "alerts.toml").write_text(RULES)
    return msgspec.structs.replace(
        settings_of(home, post.url),
        alerts_rules=home.folder / "alerts.toml",
        alerts_every=timedelta(seconds=every),
    )


class Alerted:
    """An open app with a job in queue `mail`, that looks whether something is to be alerted of."""

    def __init__(self, settings: Settings, *, clock: Clock = utcnow) -> None:
        self.app = App(settings=settings, clock=clock)
        self.tokens = TokenFamily(self.app)
        NotifyFamily(self.app, self.tokens)
        self.alerting = AlertFamily(self.app, self.tokens).alerting

        @self.app.job(queue="mail")
        async def greet(ctx: Ctx[None]) -> None: ...

        self.greet = greet

    async def hear(self, channel: str = "email", address: str = OPERATOR) -> None:
        """Have an operator told."""
        await self.tokens.service.recipients.add(None, channel, address)  # type: ignore[arg-type]

    async def until(self, state: State) -> None:
        """Wait until the one alert is in that state."""
        async with asyncio.timeout(SOON):
            while [one.state for one in await self.alerting.board.alerts()] != [state]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def until_mails(post: MailServer, count: int) -> list[str]:
    """The subjects of the first so many mails."""
    async with asyncio.timeout(SOON):
        while len(post.mails) < count:
            post.came.clear()
            await post.came.wait()
    return [str(mail["Subject"]) for mail in post.mails]


async def test_a_queue_without_worker_is_told_of_though_none_lives_and_is_well_once_one_does(
    home: Home, post: MailServer
) -> None:
    it = Alerted(settings_at(home, post))
    async with it.app:
        await it.hear()
        await it.greet.enqueue()
        assert await until_mails(post, 1) == ["CRITICAL: no-worker of mail"]
        async with it.app.worker():
            assert await until_mails(post, 2) == ["CRITICAL: no-worker of mail", "Resolved: no-worker of mail"]
        await it.until("resolved")
    first, second = (mail.get_body(("plain",)) for mail in post.mails)
    assert first is not None
    assert second is not None
    assert "1 job in line in queue mail, and no worker serves it." in first.get_content()
    assert "docs/runbooks/no-worker.md" in first.get_content()
    assert "To do:    Nothing." in second.get_content()


async def test_of_processes_that_look_at_once_one_tells(home: Home, post: MailServer) -> None:
    settings = settings_at(home, post)
    several = [Alerted(settings) for _ in range(3)]
    async with several[0].app, several[1].app, several[2].app:
        await several[0].hear()
        await several[0].greet.enqueue()
        await asyncio.gather(*(one.until("firing") for one in several))
        async with several[1].app.worker():
            await asyncio.gather(*(one.until("resolved") for one in several))
            await until_mails(post, 2)
            for one in several:
                await one.alerting.evaluate()
    assert len(post.mails) == 2


async def test_a_webhook_is_told_in_json(tmp_path: Path, post: MailServer) -> None:
    clock = FakeClock(utcnow())
    it = Alerted(settings_at(in_file(tmp_path), post, every=600), clock=clock)
    async with receiver() as hook, it.app:
        await it.hear("webhook", hook.url)
        await it.greet.enqueue()
        for _ in range(2):
            clock.advance(1)
            await it.alerting.evaluate()
        [call] = hook.calls
    assert call.json["type"] == "alert.firing"
    [alert] = call.json["data"]["alerts"]
    assert (alert["rule"], alert["subject"], alert["severity"]) == ("no-worker", "mail", "critical")


async def test_while_the_mail_server_is_down_the_mail_waits_and_then_comes_once(
    tmp_path: Path, post: MailServer
) -> None:
    clock = FakeClock(utcnow())
    it = Alerted(settings_at(in_file(tmp_path), post, every=600), clock=clock)
    async with it.app:
        await it.hear()
        await it.greet.enqueue()
        await post.stop()
        for _ in range(3):
            clock.advance(1)
            await it.alerting.evaluate()
        assert (await deliveries(it))[0].failure.startswith("the mail server cannot be used")
        await post.start()
        clock.advance(60)
        await it.alerting.evaluate()
        await it.alerting.evaluate()
        [delivery] = await deliveries(it)
    assert (len(post.mails), delivery.failure, delivery.ended_at is not None) == (1, None, True)


async def test_nobody_is_told_of_what_is_silenced_until_that_ends(tmp_path: Path, post: MailServer) -> None:
    clock = FakeClock(utcnow())
    it = Alerted(settings_at(in_file(tmp_path), post, every=600), clock=clock)
    async with it.app:
        await it.hear()
        await it.alerting.board.silence("no-worker", "mai*", timedelta(minutes=5), reason="moving", user_id="ada")
        await it.greet.enqueue()
        for _ in range(3):
            clock.advance(60)
            await it.alerting.evaluate()
        [(alert, silenced)] = (await it.alerting.shown()).live()
        assert (alert.state, silenced, len(post.mails)) == ("firing", True, 0)
        clock.advance(180)
        await it.alerting.evaluate()
    assert len(post.mails) == 1


async def test_when_the_tables_do_not_answer_this_process_tells_whom_it_remembers(
    tmp_path: Path, post: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock(utcnow())
    it = Alerted(settings_at(in_file(tmp_path), post, every=600), clock=clock)
    async with it.app:
        await it.hear()
        await it.alerting.evaluate()
        with monkeypatch.context() as broken:

            async def unavailable(*_: object) -> None:
                raise StoreUnavailable("the disk is gone.")

            broken.setattr(it.tokens.service.database, "read", unavailable)
            broken.setattr(it.tokens.service.database, "write", unavailable)
            for _ in range(4):
                clock.advance(30)
                await it.alerting.evaluate()
        assert await until_mails(post, 1) == ["CRITICAL: store-trouble of store"]
        for _ in range(2):
            clock.advance(600)
            await it.alerting.evaluate()
        assert await until_mails(post, 2) == ["CRITICAL: store-trouble of store", "Resolved: store-trouble of store"]


async def test_an_app_without_tables_says_it_in_its_log_and_shows_it(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    clock = FakeClock()
    app = App(settings=Settings(store=f"sqlite:///{tmp_path}/jobs.db", alerts_every=timedelta(minutes=10)), clock=clock)
    alerting = Alerting(app)

    @app.job(queue="mail")
    async def greet(ctx: Ctx[None]) -> None: ...

    async with app:
        await greet.enqueue()
        for _ in range(3):
            await alerting.evaluate()
            clock.advance(60)
        assert [one.state for one in await alerting.board.alerts()] == ["firing"]
        assert (await alerting.firing())["no-worker", "critical"] == 1
    assert "Alert no-worker of mail fires: 1 job in line in queue mail" in caplog.text


async def test_what_goes_wrong_in_one_look_does_not_end_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(settings=Settings(store=f"sqlite:///{tmp_path}/jobs.db", alerts_every=timedelta(seconds=0.1)))
    alerting, looked = Alerting(app), asyncio.Event()

    async def fails() -> None:
        if "it is tried again" in caplog.text:
            looked.set()
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(alerting, "evaluate", fails)
    async with app, alerting.running(), alerting.running(), asyncio.timeout(SOON):
        await looked.wait()


async def deliveries(it: Alerted) -> list[Any]:
    found = await it.tokens.service.database.read(lambda connection: connection.execute(select(alert_deliveries)).all())
    return list(found)
