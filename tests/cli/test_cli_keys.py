from __future__ import annotations

import re

import pytest
from tests.cli.program import Program
from tests.cli.shop import Shop


async def test_a_key_is_shown_once_and_listed_without_its_secret(cli: Program, shop: Shop) -> None:
    made = cli(
        "keys", "create", "--name", "indexer", "--role", "tenant", "--tenant", "t-1", "--read-tokens", "--json"
    ).json
    assert made["key"].startswith(f"lamp_{made['id']}_")
    listed = cli("keys", "--json")
    [key] = listed.json["keys"]
    assert key == {name: value for name, value in made.items() if name != "key"} | {"used_at": None}
    assert (key["role"], key["tenants"], key["may_read_tokens"]) == ("tenant", ["t-1"], True)
    assert made["key"].split("_", 2)[2] not in listed.out + cli("keys").out
    assert "digest" not in listed.out


async def test_people_are_told_the_key_and_to_keep_it(cli: Program, shop: Shop) -> None:
    answer = cli("keys", "create", "--name", "on call", "--role", "operator", "--expires", "90d")
    key, _, advice = answer.out.splitlines()
    assert key.startswith("lamp_")
    assert "not shown again" in advice
    assert re.search("expires in (89|90)d", cli("keys", "list").out)


async def test_a_revoked_key_says_so(cli: Program, shop: Shop) -> None:
    made = cli("keys", "create", "--name", "old", "--role", "viewer", "--json").json
    assert cli("keys", "revoke", made["id"]).out == f"Key {made['id']} (old) is revoked.\n"
    assert cli("keys", "--json").json["keys"][0]["revoked_at"]
    assert "revoked" in cli("keys").out


@pytest.mark.parametrize(
    ("told", "code", "why"),
    [
        (
            "create --name x --role admin",
            2,
            "there is no role 'admin': give one of superadmin, operator, viewer, tenant.",
        ),
        ("create --name x --role viewer --expires soon", 2, "--expires is 'soon': give a duration from 1m to 3650d"),
        ("create --name x --role tenant", 2, "a key of the role tenant acts for tenants that it names"),
        ("create --role viewer", 2, "--name"),
        ("revoke k-0", 1, "there is no key 'k-0': `lamplighter keys` lists those there are."),
    ],
)
async def test_what_cannot_be_is_one_sentence(cli: Program, shop: Shop, told: str, code: int, why: str) -> None:
    answer = cli("keys", *told.split())
    assert answer.code == code
    assert why in answer.sentence


async def test_a_password_that_is_too_short_is_refused(cli: Program, shop: Shop) -> None:
    answer = cli("admin", "set-password", stdin="short\n")
    assert (answer.code, answer.sentence) == (2, "a password has 12 to 1,000 characters: take a few random words.")


async def test_a_store_that_is_not_there_gets_no_keys(cli: Program) -> None:
    answer = cli("keys", "create", "--name", "x", "--role", "viewer", "--store", "sqlite:///none.db")
    assert answer.code == 3
    assert not (cli.folder / "none.db").exists()
