"""`lamplighter integrations providers` and `register`."""

from __future__ import annotations

from pathlib import Path

from tests.cli.program import Program
from tests.counterparts.oidc.oidc_server import OidcServer

from lamplighter.core.config import Settings
from lamplighter.integrations.provider import Provider
from lamplighter.integrations.refreshing.planner import NoPlanner
from lamplighter.integrations.service import open_service

STORE = "sqlite:///lamplighter.db"


async def stored(folder: Path, slug: str) -> Provider:
    async with open_service(Settings(store=f"sqlite:///{folder}/lamplighter.db"), NoPlanner()) as service:
        return await service.registrations.get(slug)


async def make_tables(folder: Path) -> None:
    async with open_service(Settings(store=f"sqlite:///{folder}/lamplighter.db"), NoPlanner()):
        pass


async def test_a_client_is_registered_with_a_secret_that_no_shell_remembers(cli: Program, tmp_path: Path) -> None:
    await make_tables(tmp_path)
    answer = cli("integrations", "register", "gdrive", "--client-id", "id-1", stdin="hush-hush\n")
    assert answer.out == "gdrive: registered at Google Drive as client id-1.\n"
    assert (await stored(tmp_path, "gdrive")).client_secret.reveal() == "hush-hush"
    table = cli("integrations", "providers").out
    assert table.splitlines()[1].split()[:4] == ["gdrive", "Google", "Drive", "id-1"]
    assert "not registered" in table
    assert "hush-hush" not in table


async def test_registering_again_takes_over_what_is_known_and_keeps_the_client(cli: Program, tmp_path: Path) -> None:
    await make_tables(tmp_path)
    cli("integrations", "register", "box", "--client-id", "id-1", stdin="hush-hush\n")
    (tmp_path / "mine.toml").write_text("[box]\nmax_per_second = 5\n")
    assert cli("integrations", "register", "box", "--file", "mine.toml").code == 0
    now = await stored(tmp_path, "box")
    assert (now.max_per_second, now.client_id, now.client_secret.reveal()) == (5, "id-1", "hush-hush")


async def test_an_openid_provider_is_asked_what_it_is(cli: Program, tmp_path: Path, oidc: OidcServer) -> None:
    await make_tables(tmp_path)
    answer = cli("integrations", "register", "acme", "--client-id", "i", "--issuer", oidc.url, stdin="s\n")
    assert answer.code == 0
    assert (await stored(tmp_path, "acme")).token_url == f"{oidc.url}/token"


async def test_what_cannot_be_registered_says_why(cli: Program, tmp_path: Path) -> None:
    await make_tables(tmp_path)
    for arguments, stdin, sentence in (
        (("acme", "--client-id", "i"), "s\n", "no provider 'acme' is known"),
        (("gdrive", "--client-id", "i"), "", "the client secret is read from stdin"),
        (("gdrive",), "", "no provider 'gdrive' is registered"),
    ):
        answer = cli("integrations", "register", *arguments, stdin=stdin)
        assert (answer.code, sentence in answer.err) == (2, True)
