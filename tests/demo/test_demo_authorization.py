from __future__ import annotations

import httpx2
import msgspec
import pytest

from lamplighter.demo.catalog import CALLBACK, GRANTS, PROVIDERS, find_provider
from lamplighter.demo.client import (
    ask_code,
    ask_drive,
    ask_refresh,
    ask_revocation,
    ask_token,
    connect,
    consent,
    count_requests,
)
from lamplighter.demo.grants import MOST_USERS, TokenGrant
from lamplighter.demo.world import World

ROTATES, BASIC, KEEPS = "lantern-drive", "harbor-files", "meadow-box"
SLUGS = [provider.slug for provider in PROVIDERS]


def granted(answer: httpx2.Response) -> TokenGrant:
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=TokenGrant)


def refused(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


@pytest.mark.parametrize("provider", SLUGS)
async def test_a_consent_becomes_tokens_that_open_the_users_drive(
    world: World, http: httpx2.AsyncClient, provider: str
) -> None:
    grant = await connect(http, world.url, provider, "ada")
    assert grant.expires_in == find_provider(provider).token_lifetime
    about = await ask_drive(http, world.url, provider, grant, "about")
    assert about.json()["user"] == "ada"
    files = await ask_drive(http, world.url, provider, grant, "files")
    assert len(files.json()["files"]) == about.json()["fileCount"]


async def test_a_person_in_a_browser_is_asked_and_may_say_no(world: World, http: httpx2.AsyncClient) -> None:
    asked, browser = f"{world.url}/{ROTATES}/authorize", {"Accept": "text/html"}
    query = {
        "client_id": find_provider(ROTATES).client_id,
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "state": '"><b>',
    }
    page = await http.get(asked, params=query, headers=browser)
    assert (page.status_code, "<h1>Lantern Drive</h1>" in page.text, "<b>" in page.text) == (200, True, False)
    yes = await http.get(asked, params=query | {"login_hint": "ada"}, headers=browser)
    no = await http.get(asked, params=query | {"refuse": "yes"}, headers=browser)
    assert [answer.status_code for answer in (yes, no)] == [302, 302]
    assert "code=" in yes.headers["Location"]
    assert "error=access_denied" in no.headers["Location"]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer made-up"}, {"Authorization": "Basic YTpi"}])
async def test_a_drive_without_a_token_says_how_to_authenticate(
    world: World, http: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await http.get(f"{world.url}/{ROTATES}/drive/files", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].lower().startswith("bearer ")


async def test_a_token_opens_only_the_drive_of_its_own_provider(world: World, http: httpx2.AsyncClient) -> None:
    grant = await connect(http, world.url, ROTATES, "ada")
    assert (await ask_drive(http, world.url, KEEPS, grant, "about")).status_code == 401


async def test_a_chain_of_three_refreshes_answers_with_three_new_refresh_tokens(
    world: World, http: httpx2.AsyncClient
) -> None:
    chain = [await connect(http, world.url, ROTATES, "ada")]
    for _ in range(3):
        chain.append(granted(await ask_refresh(http, world.url, ROTATES, chain[-1])))
    assert len({grant.refresh_token for grant in chain}) == 4
    assert len({grant.access_token for grant in chain}) == 4
    assert (await ask_drive(http, world.url, ROTATES, chain[-1], "about")).status_code == 200
    counts = await count_requests(http, world.url, ROTATES)
    assert (counts.outcomes, counts.refreshes, counts.reuses) == ({"ok": 4}, {"ada": 3}, 0)


async def test_a_provider_that_does_not_rotate_takes_the_same_refresh_token_again(
    world: World, http: httpx2.AsyncClient
) -> None:
    first = await connect(http, world.url, KEEPS, "ada")
    for _ in range(2):
        assert granted(await ask_refresh(http, world.url, KEEPS, first)).refresh_token is None


async def test_reuse_of_a_spent_refresh_token_ends_every_token_of_the_family(
    world: World, http: httpx2.AsyncClient
) -> None:
    bystander = await connect(http, world.url, ROTATES, "bruno")
    spent = await connect(http, world.url, ROTATES, "ada")
    fresh = granted(await ask_refresh(http, world.url, ROTATES, spent))

    assert refused(await ask_refresh(http, world.url, ROTATES, spent)) == (400, "invalid_grant")
    assert refused(await ask_refresh(http, world.url, ROTATES, fresh)) == (400, "invalid_grant")
    for grant in (spent, fresh):
        assert (await ask_drive(http, world.url, ROTATES, grant, "about")).status_code == 401

    assert (await ask_drive(http, world.url, ROTATES, bystander, "about")).status_code == 200
    counts = await count_requests(http, world.url, ROTATES)
    assert (counts.reuses, counts.refreshes, counts.outcomes["invalid_grant"]) == (1, {"ada": 3}, 2)


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
async def test_revoking_either_token_ends_both(world: World, http: httpx2.AsyncClient, kind: str) -> None:
    grant = await connect(http, world.url, BASIC, "ada")
    answer = await ask_revocation(http, world.url, BASIC, getattr(grant, kind))
    assert answer.status_code == 200
    assert (await ask_drive(http, world.url, BASIC, grant, "about")).status_code == 401
    assert refused(await ask_refresh(http, world.url, BASIC, grant)) == (400, "invalid_grant")


async def test_revoking_an_unknown_token_succeeds(world: World, http: httpx2.AsyncClient) -> None:
    assert (await ask_revocation(http, world.url, ROTATES, "made-up")).status_code == 200


@pytest.mark.parametrize(("provider", "secret_is_right", "way_is_right"), [
    (ROTATES, False, True),
    (ROTATES, True, False),
    (BASIC, False, True),
    (BASIC, True, False),
])  # fmt: skip
async def test_a_client_with_the_wrong_secret_or_in_the_wrong_way_is_invalid(
    world: World, http: httpx2.AsyncClient, provider: str, secret_is_right: bool, way_is_right: bool
) -> None:
    grant = await connect(http, world.url, provider, "ada")
    client = find_provider(provider)
    secret = client.client_secret if secret_is_right else "guess"
    form = {"grant_type": "refresh_token", "refresh_token": grant.refresh_token or ""}
    url = f"{world.url}/{provider}/token"
    if (client.client_auth == "basic") == way_is_right:
        answer = await http.post(url, data=form, auth=(client.client_id, secret))
    else:
        answer = await http.post(url, data=form | {"client_id": client.client_id, "client_secret": secret})
    assert refused(answer) == (401, "invalid_client")
    granted(await ask_refresh(http, world.url, provider, grant))  # a stranger's attempt has not spent the token


@pytest.mark.parametrize(("verifier", "error"), [("b" * 43, "invalid_grant"), (None, "invalid_request")])
async def test_a_code_without_its_verifier_is_refused(
    world: World, http: httpx2.AsyncClient, verifier: str | None, error: str
) -> None:
    code = await ask_code(http, world.url, ROTATES, "ada", verifier="a" * 43)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    answer = await ask_token(http, world.url, ROTATES, **form, **({"code_verifier": verifier} if verifier else {}))
    assert refused(answer) == (400, error)


async def test_a_code_is_exchanged_once(world: World, http: httpx2.AsyncClient) -> None:
    code = await ask_code(http, world.url, ROTATES, "ada", verifier="a" * 43)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": "a" * 43}
    granted(await ask_token(http, world.url, ROTATES, **form))
    assert refused(await ask_token(http, world.url, ROTATES, **form)) == (400, "invalid_grant")


@pytest.mark.parametrize(("changed", "status", "error"), [
    ({"redirect_uri": "http://example.test/callback"}, 400, "invalid_request"),
    ({"client_id": "nobody"}, 400, "invalid_client"),
    ({"scope": "everything"}, 302, "invalid_scope"),
    ({"response_type": "token"}, 302, "unsupported_response_type"),
    ({"login_hint": None}, 302, "access_denied"),
])  # fmt: skip
async def test_a_faulty_authorization_request_gets_no_code(
    world: World, http: httpx2.AsyncClient, changed: dict[str, str | None], status: int, error: str
) -> None:
    query: dict[str, str | None] = {
        "response_type": "code",
        "client_id": find_provider(ROTATES).client_id,
        "redirect_uri": CALLBACK,
        "login_hint": "ada",
    }
    wanted = {name: value for name, value in (query | changed).items() if value is not None}
    answer = await http.get(f"{world.url}/{ROTATES}/authorize", params=wanted)
    location = httpx2.URL(answer.headers.get("Location", ""))
    found = location.params.get("error") if answer.status_code == 302 else answer.json()["error"]
    assert (answer.status_code, found) == (status, error)
    assert "code" not in location.params


@pytest.mark.parametrize(("body", "status"), [
    (b"grant_type=refresh_token&grant_type=refresh_token", 400),
    (b"grant_type=\xff", 400),
    (b"&".join(b"a%d=1" % number for number in range(99)), 400),
    (b"a" * 20_000, 413),
])  # fmt: skip
async def test_a_malformed_form_is_the_callers_fault(
    world: World, http: httpx2.AsyncClient, body: bytes, status: int
) -> None:
    assert (await http.post(f"{world.url}/{ROTATES}/token", content=body)).status_code == status


def test_a_token_grant_shows_no_token() -> None:
    grant = TokenGrant(access_token="hush", refresh_token="hush-hush", expires_in=30, scope="files.read")
    assert "hush" not in repr(grant)
    assert "hush" not in f"{grant}"


def test_each_tenant_has_one_grant_per_provider_and_every_provider_is_used() -> None:
    assert len({(grant.tenant, grant.provider) for grant in GRANTS}) == len(GRANTS)
    assert {grant.provider for grant in GRANTS} == set(SLUGS)


async def test_many_users_may_consent_at_once(world: World, http: httpx2.AsyncClient) -> None:
    users = [f"user-{number}" for number in range(MOST_USERS + 1)]
    granted = await consent(http, world.url, ROTATES, users)
    assert len(granted) == len(users)
    last = granted[-1]
    assert (await ask_drive(http, world.url, ROTATES, last, "about")).json()["user"] == users[-1]
    assert (await ask_refresh(http, world.url, ROTATES, last)).status_code == 200
    assert (await ask_refresh(http, world.url, ROTATES, last)).json() == {"error": "invalid_grant"}  # it was spent


async def test_more_users_than_allowed_are_refused(world: World, http: httpx2.AsyncClient) -> None:
    body = {"provider": ROTATES, "users": ["ada"] * (MOST_USERS + 1)}
    assert (await http.post(f"{world.url}/_world/consent", json=body)).status_code == 400
