"""Who is told, from the command line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.cli.program import PROGRAM, SOON, Program, environment

from lamplighter.core.config import Settings
from lamplighter.integrations.planner import NoPlanner
from lamplighter.integrations.service import open_service
from lamplighter.integrations.tenants import Tenant

MAIL = {"LAMPLIGHTER_SMTP_URL": "smtp://lamps:hunter2@mail.example.com", "LAMPLIGHTER_MAIL_FROM": "lamps@example.com"}
HOOK = "https://hooks.example.com/very-secret-path"


@pytest.fixture
async def ours(tmp_path: Path) -> None:
    """One tenant, in lamplighter.db of the folder."""
    async with open_service(Settings(store=f"sqlite:///{tmp_path}/lamplighter.db"), NoPlanner()) as service:
        await service.tenants.add([Tenant(id="t-1", name="Copper Bakery", owner_id="auth|1")])


def recipients(cli: Program, *args: str, **how: dict[str, str]) -> tuple[int, str]:
    answer = cli("integrations", "recipients", *args, **how)
    return answer.code, answer.out


async def test_recipients_are_added_listed_and_removed(cli: Program, ours: None) -> None:
    assert recipients(cli) == (0, "Nobody is told anything.\n")
    added = cli("integrations", "recipients", "add", "email", "ada@example.com", "--tenant", "t-1", environ=MAIL)
    id_ = added.out.partition(":")[0]
    assert added.out == f"{id_}: email ada@example.com hears of revoked, expired, recovered.\n"
    hook = cli("integrations", "recipients", "add", "webhook", HOOK, "-e", "integration.error", "--json").json
    assert hook["secret"].startswith("whsec_")
    assert hook["recipient"]["address"] == "https://hooks.example.com/…"
    listed = cli("integrations", "recipients", "--json").json["recipients"]
    assert [(one["id"], one["tenant_id"]) for one in listed] == [(id_, "t-1"), (hook["recipient"]["id"], None)]
    assert listed[1]["events"] == ["integration.error"]
    assert len(cli("integrations", "recipients", "list", "--tenant", "t-1", "--json").json["recipients"]) == 1
    table = recipients(cli)[1]
    assert "very-secret-path" not in table + added.out + str(hook)
    assert table.splitlines()[2].split()[1:3] == ["(operator)", "webhook"]
    removed = cli("integrations", "recipients", "remove", id_, "nobody", "--json")
    assert (removed.code, removed.json) == (1, {"removed": [id_], "missing": ["nobody"]})
    assert recipients(cli, "--tenant", "t-1") == (0, "No such recipients.\n")


async def test_a_webhook_s_secret_is_shown_once(cli: Program, ours: None) -> None:
    first = recipients(cli, "add", "webhook", HOOK)[1].splitlines()
    assert first[1].startswith("Its secret, which is not shown again: whsec_")
    assert recipients(cli, "add", "webhook", HOOK)[1].splitlines() == first[:1]


def test_an_address_may_come_by_way_of_stdin_where_no_history_keeps_it(cli: Program, ours: None) -> None:
    added = subprocess.run(
        [PROGRAM, "integrations", "recipients", "add", "webhook", "-"],
        cwd=cli.folder, env=environment(), input=f"{HOOK}\n", capture_output=True, text=True, timeout=SOON, check=True,
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
async def test_what_cannot_be_is_refused_in_one_sentence(
    cli: Program, ours: None, args: list[str], sentence: str
) -> None:
    answer = cli("integrations", "recipients", "add", *args)
    assert answer.code == 2
    assert sentence in answer.sentence
