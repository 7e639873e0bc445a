"""What every server promises, and what the token endpoint can be told."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE
from pathlib import Path

import httpx2
import pytest
from tests.counterparts import drives, oauth2_server
from tests.counterparts.oauth2_server import Answered, OAuth2Server
from tests.counterparts.oidc import oidc_server
from tests.counterparts.process import STARTING

from lamplighter.core.clock import utcnow
from lamplighter.core.secret import Secret
from lamplighter.integrations.oauth import GrantRevoked, IncompleteAnswer, TokenClient

LOCK = Path(__file__).with_name("package-lock.json")
OF_OIDC = {"client": {"id": "a", "secret": "b"}, "lifetime": 60, "redirect_uris": ["https://a.example"]}
FORM = {"grant_type": "refresh_token", "refresh_token": "r"}


@pytest.mark.parametrize(
    ("script", "settings"),
    [
        (drives.GOOGLE_DRIVE, None),
        (drives.ONEDRIVE, None),
        (oauth2_server.SCRIPT, None),
        (oidc_server.SERVER, OF_OIDC),
    ],
    ids=lambda value: value.stem if isinstance(value, Path) else "",
)
async def test_a_server_ends_when_its_parent_does(node_modules: None, script: Path, settings: object) -> None:
    process = await asyncio.create_subprocess_exec(
        "node", str(script), json.dumps(settings), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    announced = json.loads(await asyncio.wait_for(process.stdout.readline(), STARTING))
    assert announced["url"].startswith("http://127.0.0.1:")
    assert announced["pid"] == process.pid
    process.stdin.close()  # as the system does for a parent that was killed
    await asyncio.wait_for(process.communicate(), STARTING)
    assert process.returncode == 0


def test_the_lock_names_no_registry() -> None:
    packages = json.loads(LOCK.read_text())["packages"].values()
    assert [package for package in packages if "resolved" in package] == []


async def test_a_token_endpoint_says_yes_but_for_what_it_is_told(
    oauth2: OAuth2Server, http: httpx2.AsyncClient
) -> None:
    await oauth2.refuse_next(400, {"error": "invalid_grant"}, count=2)
    answers = [await http.post(f"{oauth2.url}/token", data=FORM) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [400, 400, 200]
    assert answers[0].json() == {"error": "invalid_grant"}
    assert await oauth2.requests() == [Answered(FORM, status) for status in (400, 400, 200)]

    await oauth2.refuse_next(503, {}, count=None)
    assert (await http.post(f"{oauth2.url}/token", data=FORM)).status_code == 503
    await oauth2.recover()
    assert (await http.post(f"{oauth2.url}/token", data=FORM)).status_code == 200


async def test_a_yes_can_have_other_fields(client: TokenClient, oauth2: OAuth2Server) -> None:
    provider = oauth2.provider()
    await oauth2.change_next({"access_token": drives.TOKEN.reveal(), "scope": "files"})
    tokens = await client.refresh(provider, Secret("r"), utcnow)
    assert (tokens.access_token, tokens.scope) == (drives.TOKEN, "files")
    await oauth2.change_next({"access_token": None})
    with pytest.raises(IncompleteAnswer):
        await client.refresh(provider, Secret("r"), utcnow)
    await oauth2.refuse_next(400, {"error": "invalid_grant"})
    with pytest.raises(GrantRevoked):
        await client.refresh(provider, Secret("r"), utcnow)


async def test_it_runs_without_a_word(
    oauth2: OAuth2Server, http: httpx2.AsyncClient, capfd: pytest.CaptureFixture[str]
) -> None:
    await http.post(f"{oauth2.url}/token", data=FORM)
    await http.post(f"{oauth2.url}/token", data={"grant_type": "odd"})
    assert capfd.readouterr() == ("", "")
