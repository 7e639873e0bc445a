"""How people are told, from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.program import Program

from lamplighter.core.config import Settings
from lamplighter.integrations.refreshing.planner import NoPlanner
from lamplighter.integrations.service import open_service
from lamplighter.integrations.tenants import Tenant

EVENT, OF = "integration.revoked", ("--tenant", "t-1")
NO_SERVER = {
    "LAMPLIGHTER_SMTP_URL": "smtp://127.0.0.1:1?starttls=never, smtp://127.0.0.1:2?starttls=never",
    "LAMPLIGHTER_MAIL_FROM": "lamps@example.com",
}


@pytest.fixture(autouse=True)
async def ours(tmp_path: Path) -> None:
    """A tenant, in lamplighter.db of the folder."""
    async with open_service(Settings(store=f"sqlite:///{tmp_path}/lamplighter.db"), NoPlanner()) as service:
        await service.tenants.add([Tenant(id="t-1", name="Copper Bakery", owner_id="auth|1")])


def test_an_event_is_muted_and_put_into_digests(cli: Program) -> None:
    assert cli("notify", "set", EVENT, *OF, "--digest", "daily", "--mute").out == f"{EVENT}: muted.\n"
    told = {one["event"]: one for one in cli("notify", *OF, "--json").json["events"]}
    assert (told[EVENT]["muted"], told[EVENT]["digest"]) == (True, "daily")


def test_words_are_set_seen_and_taken_back(cli: Program, tmp_path: Path) -> None:
    (tmp_path / "mail.txt").write_text("{{ tenant }}: {{ reason }}")
    bad = cli("notify", "templates", "set", EVENT, *OF, "--subject", "{% include '/etc/passwd' %}")
    assert (bad.code, "has a Include in line 1" in bad.err) == (2, True)
    words = ("--subject", "Gone: {{ provider }}", "--text", str(tmp_path / "mail.txt"))
    assert "subject, text" in cli("notify", "templates", "set", EVENT, *OF, *words).out
    own = cli("notify", "preview", EVENT, *OF)
    assert own.out == "Subject: Gone: Lantern Drive\n\nCopper Bakery: the provider says so\n"
    assert cli("notify", "templates", "remove", EVENT, *OF).code == 0


def test_a_test_says_of_each_server_why_it_did_not_get_through(cli: Program) -> None:
    tried = cli("notify", "test", "ada@example.com", environ=NO_SERVER)
    assert tried.code == 1
    lines = tried.out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["127.0.0.1:1", "127.0.0.1:2"]
    assert all("a…@example.com: the mail server cannot be used" in line for line in lines)
