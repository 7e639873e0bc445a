"""Against a real demo world, whose tenants are ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.cli.program import Program

from lamplighter.core.config import Settings
from lamplighter.demo.settle import settle
from lamplighter.demo.world import running_world
from lamplighter.integrations.integration import Integration
from lamplighter.integrations.refreshing.planner import NoPlanner
from lamplighter.integrations.service import open_service
from lamplighter.integrations.vault import new_key


@pytest.fixture
async def ours(tmp_path: Path) -> AsyncIterator[list[Integration]]:
    """Every integration of a world that lives as long as the test, in lamplighter.db of the folder."""
    async with running_world(faults=False, token_lifetime=3600) as world:
        async with open_service(Settings(store=f"sqlite:///{tmp_path}/lamplighter.db"), NoPlanner()) as service:
            settled = await settle(service, world.url)
        yield settled


async def test_integrations_are_listed_by_id_without_their_tokens(cli: Program, ours: list[Integration]) -> None:
    answer = cli("integrations", "--json")
    assert answer.code == 0
    assert [one["id"] for one in answer.json["integrations"]] == [one.id for one in ours]
    assert '"access_token"' not in answer.out
    table = cli("integrations").out.splitlines()
    assert len(table) == 1 + len(ours)
    assert table[1].split()[:4] == [ours[0].id, "copper-bakery", "lantern-drive", "active"]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--tenant", "copper-bakery"], 3),
        (["--provider", "stormy-drive"], 3),
        (["--tenant", "copper-bakery", "--provider", "stormy-drive"], 1),
        (["--status", "active"], 12),
        (["--status", "revoked"], 0),
    ],
)
async def test_filters_narrow_the_list(cli: Program, ours: list[Integration], options: list[str], count: int) -> None:
    assert len(cli("integrations", "list", *options, "--json").json["integrations"]) == count
    if not count:
        assert cli("integrations", *options).out == "No such integrations.\n"


async def test_pages_follow_each_other(cli: Program, ours: list[Integration]) -> None:
    first = cli("integrations", "--limit", "7", "--json").json
    rest = cli("integrations", "--limit", "7", "--after", first["next"], "--json").json
    assert [one["id"] for one in first["integrations"] + rest["integrations"]] == [one.id for one in ours]
    assert rest["next"] is None
    assert f"--after {first['next']}" in cli("integrations", "--limit", "7").out


async def test_a_refresh_by_hand_asks_the_provider(cli: Program, ours: list[Integration]) -> None:
    id_ = ours[0].id
    early = await asyncio.to_thread(cli, "integrations", "refresh", id_)
    assert early.code == 0
    assert early.out.startswith(f"{id_}: not due yet (--force refreshes all the same), next in ")
    forced = await asyncio.to_thread(cli, "integrations", "refresh", id_, "--force", "--json")
    assert forced.code == 0
    assert [(one["integration_id"], one["outcome"]) for one in forced.json["refreshed"]] == [(id_, "refreshed")]
    [now] = [one for one in cli("integrations", "--json").json["integrations"] if one["id"] == id_]
    assert (now["token_version"], now["last_outcome"]) == (2, "refreshed")


async def test_what_cannot_be_refreshed_is_named_and_ends_with_1(cli: Program, ours: list[Integration]) -> None:
    answer = cli("integrations", "refresh", "nobody", ours[0].id, "--json")
    assert answer.code == 1
    assert [one["integration_id"] for one in answer.json["refreshed"]] == [ours[0].id]
    assert answer.json["refused"] == {
        "nobody": "there is no such integration: `lamplighter integrations list` shows those there are."
    }


async def test_keys_are_rotated_without_losing_a_token(cli: Program, ours: list[Integration]) -> None:
    old = (cli.folder / "lamplighter.key").read_text()
    new = cli("integrations", "new-key").out.strip()
    ring = {"LAMPLIGHTER_ENCRYPTION_KEYS": f"{new},{old}", "LAMPLIGHTER_MODE": "production"}
    done = cli("integrations", "reencrypt", "--json", environ=ring)
    assert (done.code, done.json) == (0, {"changed": 4 + 2 * len(ours), "unreadable": []})
    only = ring | {"LAMPLIGHTER_ENCRYPTION_KEYS": new}
    assert cli("integrations", "reencrypt", environ=only).out.startswith("0 values encrypted anew")
    refreshed = cli("integrations", "refresh", "--force", ours[0].id, environ=only)
    assert (refreshed.code, refreshed.out[:50]) == (0, f"{ours[0].id}: refreshed, n")


async def test_what_no_key_opens_is_named_and_ends_with_1(cli: Program, ours: list[Integration]) -> None:
    answer = cli("integrations", "reencrypt", "--json", environ={"LAMPLIGHTER_ENCRYPTION_KEYS": new_key()})
    assert (answer.code, answer.err) == (1, "")
    assert len(answer.json["unreadable"]) == 4 + 2 * len(ours)


async def test_production_wants_a_key(cli: Program, ours: list[Integration]) -> None:
    answer = cli("integrations", "--json", environ={"LAMPLIGHTER_MODE": "production"})
    assert (answer.code, answer.json) == (2, {"error": answer.sentence})
    assert "run `lamplighter integrations new-key`" in answer.sentence


def test_a_new_key_is_a_setting_as_it_stands(cli: Program) -> None:
    key = cli("integrations", "new-key", "--json").json["key"]
    assert cli("config", environ={"LAMPLIGHTER_ENCRYPTION_KEYS": key}).code == 0
    assert key != cli("integrations", "new-key", "--json").json["key"]
    assert list(cli.folder.iterdir()) == []


async def test_a_refresh_makes_no_store_of_a_mistyped_name(cli: Program, ours: list[Integration]) -> None:
    there = {"LAMPLIGHTER_DATABASE": cli("config", "--json").json["store"]["value"]}
    answer = cli("integrations", "refresh", ours[0].id, "--store", "sqlite:///mistyped.db", environ=there)
    assert answer.code == 3
    assert "there is no file" in answer.err
    assert not (cli.folder / "mistyped.db").exists()


async def test_tokens_are_checked_and_given_back_and_the_log_says_by_whom(
    cli: Program, ours: list[Integration]
) -> None:
    one = ours[0].id
    assert cli("integrations", "check", one).out.startswith(f"{one}: healthy; up 100.00% of the last 30 days")
    assert cli("integrations", "disconnect", one).out == f"{one}: disconnected\n"
    again = cli("integrations", "check", one, "i-0", "--json")
    assert again.code == 1
    assert again.json["refused"].keys() == {one, "i-0"}
    records = cli("integrations", "audit", "--tenant", "copper-bakery", "--json").json["records"]
    ours_now = [record for record in records if record["user_id"].startswith("operator:")]  # those before: the demo's
    assert [(record["action"], record["result"]) for record in reversed(ours_now)] == [
        ("integration.check", "success"),
        ("integration.disconnected", "success"),
        ("integration.disconnect", "success"),
        ("integration.check", "failure"),
    ]
