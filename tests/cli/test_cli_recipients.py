"""Who is told, from the command line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.cli.program import PROGRAM, SOON, Program, environment

from lamplighter.core.config import Settings
from lamplighter.integrations.notices.recipients import Recipient
from lamplighter.integrations.refreshing.planner import NoPlanner
from lamplighter.integrations.service import open_service
from lamplighter.integrations.tenants import Tenant

MAIL = {"LAMPLIGHTER_SMTP_URL": "smtp://lamps:hunter2@mail.example.com", "LAMPLIGHTER_MAIL_FROM": "lamps@example.com"}
HOOK = "https://hooks.example.com/very-secret-path"


@pytest.fixture
async def ours(tmp_path: Path) -> list[Recipient]:
    """One recipient of a tenant and one of the operator, in lamplighter.db of the folder."""
    async with open_service(Settings(store=f"sqlite:///{tmp_path}/lamplighter.db"), NoPlanner()) as service:
        await service.tenants.add([Tenant(id="t-1", name="Copper Bakery", owner_id="auth|1")])
        added = [
            await service.recipients.add("t-1", "webhook", HOOK),
            await service.recipients.add(None, "webhook", HOOK, ["integration.error"]),
        ]
    return [one.recipient for one in added]


def test_recipients_are_listed_without_what_may_be_secret(cli: Program, ours: list[Recipient]) -> None:
    table = cli("integrations", "recipients").out
    rows = [line.split() for line in table.splitlines()[1:]]
    assert [row[:4] for row in rows] == [
        [ours[0].id, "t-1", "webhook", "https://hooks.example.com/…"],
        [ours[1].id, "(operator)", "webhook", "https://hooks.example.com/…"],
    ]
    hers = cli("integrations", "recipients", "list", "--tenant", "t-1", "--json")
    assert [one["id"] for one in hers.json["recipients"]] == [ours[0].id]
    assert "very-secret-path" not in table + hers.out


def test_one_is_added_and_hears_of_what_matters_to_it(cli: Program, ours: list[Recipient]) -> None:
    added = cli("integrations", "recipients", "add", "email", "ada@example.com", "--tenant", "t-1", environ=MAIL)
    id_ = added.out.partition(":")[0]
    assert added.out == f"{id_}: email ada@example.com hears of revoked, expired, recovered, files.refused.\n"


def test_a_webhook_s_secret_is_shown_once(cli: Program, ours: list[Recipient]) -> None:
    other = f"{HOOK}/other"
    first = cli("integrations", "recipients", "add", "webhook", other).out.splitlines()
    assert first[1].startswith("Its secret, which is not shown again: whsec_")
    again = cli("integrations", "recipients", "add", "webhook", other, "--json").json
    assert (again["secret"], again["recipient"]["id"]) == (None, first[0].partition(":")[0])


def test_those_that_are_removed_and_those_that_are_not_there_are_named(cli: Program, ours: list[Recipient]) -> None:
    removed = cli("integrations", "recipients", "remove", ours[0].id, ours[1].id, "nobody", "--json")
    assert (removed.code, removed.json) == (1, {"removed": [ours[0].id, ours[1].id], "missing": ["nobody"]})
    assert cli("integrations", "recipients").out == "Nobody is told anything.\n"


def test_an_address_may_come_by_way_of_stdin_where_no_history_keeps_it(cli: Program, ours: list[Recipient]) -> None:
    added = subprocess.run(
        [PROGRAM, "integrations", "recipients", "add", "webhook", "-"],
        cwd=cli.folder, env=environment(), input=f"{HOOK}/other\n", capture_output=True, text=True, timeout=SOON,
        check=True,
    )  # fmt: skip
    assert "webhook https://hooks.example.com/… hears of" in added.stdout


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["email", "ada@example.com"], "no e-mail can be sent yet: set smtp_url and mail_from."),
        (["pigeon", "x"], "there is no channel 'pigeon': give one of email, webhook, apprise."),
        (["webhook", "ftp://x"], "the address is not usable for the channel webhook: give an https:// URL"),
        (["webhook", HOOK, "-t", "nobody"], "there is no tenant 'nobody': add it first."),
        (["webhook", HOOK, "-e", "integration.eror"], "did you mean 'integration.error'?"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(
    cli: Program, ours: list[Recipient], args: list[str], sentence: str
) -> None:
    answer = cli("integrations", "recipients", "add", *args)
    assert answer.code == 2
    assert sentence in answer.sentence
