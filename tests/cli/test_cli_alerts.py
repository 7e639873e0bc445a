"""Alerts from the command line."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from tests.cli.program import Program
from tests.integrations.telling import mail_server

from lamplighter.core.clock import utcnow
from lamplighter.core.config import Settings
from lamplighter.families.alerting.board import RecordBoard
from lamplighter.families.alerting.kinds import Bad, Unserved
from lamplighter.families.alerting.table_board import TableBoard
from lamplighter.integrations.refreshing.planner import NoPlanner
from lamplighter.integrations.service import open_service
from lamplighter.store.open import open_store

RULE = Unserved(name="no-worker", severity="critical")
FOUND = {"no-worker": [Bad("mail", 3, "3 wait in queue mail, and no worker serves it.")]}


@pytest.fixture(params=["tables", "records"])
async def firing(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """An alert fires, in lamplighter.db of the folder."""
    url = f"sqlite:///{tmp_path}/lamplighter.db"
    calm = timedelta(seconds=15)
    if request.param == "tables":
        async with open_service(Settings(store=url), NoPlanner()) as service:
            await TableBoard(service.database, clock=utcnow).advance([RULE], FOUND, calm=calm, now=utcnow())
    else:
        async with open_store(url) as store:
            await RecordBoard(store, clock=utcnow).advance([RULE], FOUND, calm=calm, now=utcnow())


def test_what_fires_is_listed_until_it_is_silenced(cli: Program, firing: None) -> None:
    listed = cli("alerts")
    assert listed.code == 1
    assert "3 wait in queue mail" in listed.out
    made = cli("alerts", "silence", "no-worker", "mail", "--for", "2h", "--reason", "we know", "--json").json["silence"]
    assert made["user_id"].startswith("operator:")
    again = cli("alerts", "list", "--json")
    assert (again.code, again.json["alerts"][0]["silenced"], len(again.json["silences"])) == (0, True, 1)
    assert cli("alerts", "unsilence", made["id"]).out == f"{made['id']}: ended.\n"
    assert cli("alerts", "unsilence", made["id"]).code == 1


def test_the_rules_in_force_are_shown(cli: Program, tmp_path: Path) -> None:
    (tmp_path / "alerts.toml").write_text('[late]\nabove = "5m"\n[dead-jobs]\nenabled = false\n')
    environ = {"LAMPLIGHTER_ALERTS_RULES": "alerts.toml"}
    rows = {row.split()[0]: row for row in cli("alerts", "rules", environ=environ).out.splitlines()}
    assert "above 5m, within 5m" in rows["late"]
    assert " off " in rows["dead-jobs"]
    (tmp_path / "alerts.toml").write_text('[lat]\nabove = "5m"\n')
    wrong = cli("alerts", "rules", environ=environ)
    assert (wrong.code, "did you mean 'late'?" in wrong.err) == (2, True)


def test_a_silence_without_end_is_refused(cli: Program, firing: None) -> None:
    assert cli("alerts", "silence", "*", "--for", "40d", "--reason", "x").code == 2


async def test_a_test_message_goes_to_every_operator_and_says_what_came_of_it(cli: Program, tmp_path: Path) -> None:
    async with mail_server() as post, open_service(Settings(store=f"sqlite:///{tmp_path}/lamplighter.db"), NoPlanner()):
        environ = {"LAMPLIGHTER_SMTP_URL": post.url, "LAMPLIGHTER_MAIL_FROM": "lamps@example.com"}
        assert (await asyncio.to_thread(cli, "alerts", "test", environ=environ)).code == 1, "there is nobody to be told"
        await asyncio.to_thread(cli, "integrations", "recipients", "add", "email", "ops@example.com", environ=environ)
        sent = await asyncio.to_thread(cli, "alerts", "test", environ=environ)
        assert (sent.code, sent.out.endswith(": email: sent.\n")) == (0, True)
        await post.stop()
        failed = await asyncio.to_thread(cli, "alerts", "test", environ=environ)
    assert (failed.code, "the mail server cannot be used" in failed.out) == (1, True)
    assert [str(mail["Subject"]) for mail in post.mails] == ["Lamplighter: a test, nothing is wrong"]
