"""ID tokens and descriptions of OpenID providers: what counts, and all that does not."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
import pytest
from tests.web.own_openid import CLIENT, OwnOpenId, running_own_openid

from lamplighter.app import App
from lamplighter.core.config import Settings
from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret
from lamplighter.integrations.http_pool import HttpPool
from lamplighter.testing import FakeClock
from lamplighter.web import Caller, Role
from lamplighter.web.signin.jwks import PATIENCE
from lamplighter.web.signin.oidc.attempt import Attempt
from lamplighter.web.signin.oidc.client import client_of, people_of
from lamplighter.web.signin.oidc.endpoints import KNOWN
from lamplighter.web.signin.oidc.errors import NotSignedIn
from lamplighter.web.signin.oidc.oidc import Oidc
from lamplighter.web.signin.oidc.people import People
from lamplighter.web.site import open_site

OURS = {"redirect_uri": "https://lamps.example/login/oidc/callback", "signed_out_uri": "https://lamps.example/login"}


class Signing(NamedTuple):
    """A client, and its provider."""

    oidc: Oidc
    provider: OwnOpenId

    async def come_back(self, **claims: Any) -> Caller:
        """Sign in, and be given an ID token with these claims."""
        attempt = (await self.oidc.begin()).attempt
        self.provider.id_token = self.provider.sign(**{"nonce": attempt.nonce} | claims)
        return await self.finish(attempt)

    async def finish(self, attempt: Attempt) -> Caller:
        """Come back with a code, which the provider takes whatever it is."""
        return (await self.oidc.finish({"state": attempt.state, "code": "c"}, attempt)).caller

    async def is_refused(self, **claims: Any) -> int:
        """The same where it does not sign in; the status of the page that says so."""
        with pytest.raises(NotSignedIn) as caught:
            await self.come_back(**claims)
        return caught.value.status


def settings_of(url: str, **changes: Any) -> Settings:
    told: dict[str, Any] = {"oidc_issuer": url, "oidc_client_id": CLIENT, "oidc_client_secret": Secret("s")}
    return Settings(**told | {"oidc_superadmins": ("ada",)} | changes)


@pytest.fixture
async def signing(clock: FakeClock) -> AsyncIterator[Signing]:
    async with running_own_openid(clock) as provider, HttpPool() as http:
        settings = settings_of(provider.url)
        client = client_of(settings, **OURS)
        assert client is not None
        yield Signing(Oidc(client, people_of(settings), http, clock=clock), provider)


async def test_a_good_token_says_who_it_is(signing: Signing) -> None:
    ada = Caller(user_id="ada", role=Role.SUPERADMIN)
    assert await signing.come_back() == ada
    assert await signing.come_back(aud=[CLIENT]) == ada
    assert await signing.come_back(aud=["another", CLIENT], azp=CLIENT) == ada


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another"},
        {"aud": ["another"]},
        {"aud": ["another", CLIENT]},
        {"aud": ["another", CLIENT], "azp": "another"},
        {"aud": CLIENT, "azp": "another"},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"nonce": None},
        {"nonce": "another"},
        {"nonce": ["x"]},
        {"exp": 1},
        {"exp": None},
        {"sub": None},
        {"sub": 7},
    ],
)
async def test_one_that_is_not_for_us_now_and_here_signs_nobody_in(signing: Signing, claims: dict[str, Any]) -> None:
    assert await signing.is_refused(**claims) == 403


async def test_one_without_a_signature_or_by_a_shared_secret_signs_nobody_in(signing: Signing) -> None:
    attempt = (await signing.oidc.begin()).attempt
    good = signing.provider.sign(nonce=attempt.nonce).split(".")
    for header in ({"alg": "none"}, {"alg": "HS256", "kid": "k-0"}, {"alg": "RS512", "kid": "k-0"}):
        first = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
        for signature in ("", good[2]):
            signing.provider.id_token = f"{first}.{good[1]}.{signature}"
            with pytest.raises(NotSignedIn):
                await signing.finish(attempt)


async def test_an_algorithm_that_the_settings_do_not_name_counts_for_nothing(clock: FakeClock) -> None:
    async with running_own_openid(clock) as provider, HttpPool() as http:
        settings = settings_of(provider.url, oidc_algorithms=("ES256",))
        client = client_of(settings, **OURS)
        assert client is not None
        signing = Signing(Oidc(client, people_of(settings), http, clock=clock), provider)
        assert await signing.is_refused() == 403
        provider.identity.add("ES256")
        clock.advance(PATIENCE)
        assert (await signing.come_back()).user_id == "ada"


async def test_a_key_that_is_new_is_asked_for(signing: Signing, clock: FakeClock) -> None:
    await signing.come_back()
    clock.advance(PATIENCE)
    signing.provider.identity.add()
    await signing.come_back()
    assert signing.provider.identity.asked == 2


async def test_a_provider_that_gives_no_id_token_signs_nobody_in(
    signing: Signing, caplog: pytest.LogCaptureFixture
) -> None:
    attempt = (await signing.oidc.begin()).attempt
    with pytest.raises(NotSignedIn):
        await signing.finish(attempt)
    assert "the scope openid" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "https://evil.example"},
        {"authorization_endpoint": None},
        {"token_endpoint": "http://plain.example/token"},
        {"jwks_uri": "http://plain.example/jwks"},
        {"jwks_uri": None},
        {"end_session_endpoint": ["x"]},
        {"end_session_endpoint": "javascript:alert(1)"},
        {"code_challenge_methods_supported": ["plain"]},
        {"token_endpoint_auth_methods_supported": ["private_key_jwt"]},
    ],
)
async def test_a_provider_that_cannot_be_used_sends_nobody_away(
    signing: Signing, change: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    signing.provider.describes = change
    with pytest.raises(NotSignedIn, match="The log here says why") as caught:
        await signing.oidc.begin()
    assert caught.value.status == 503
    assert "Nobody can sign in by OpenID" in caplog.text


async def test_while_it_is_down_what_it_said_before_counts(
    signing: Signing, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    signing.provider.is_down = True
    with pytest.raises(NotSignedIn):
        await signing.oidc.begin()
    signing.provider.is_down = False
    await signing.oidc.begin()
    signing.provider.is_down = True
    clock.advance(KNOWN)
    with caplog.at_level(logging.WARNING):
        await signing.oidc.begin()
        await signing.oidc.begin()
    assert caplog.text.count("asked where it was") == 1


async def test_what_it_says_of_itself_anew_counts_after_an_hour(signing: Signing, clock: FakeClock) -> None:
    assert await signing.oidc.sign_out_url("t") is None
    signing.provider.describes = {"end_session_endpoint": f"{signing.provider.url}/end?x=1"}
    clock.advance(KNOWN - timedelta(seconds=1))
    assert await signing.oidc.sign_out_url("t") is None
    clock.advance(timedelta(seconds=1))
    assert (await signing.oidc.sign_out_url("t") or "").startswith(f"{signing.provider.url}/end?x=1&client_id=")
    assert "id_token_hint" not in (await signing.oidc.sign_out_url(None) or "")


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"groups": "lamp admins"}, Caller(user_id="ada", role=Role.SUPERADMIN)),
        ({"groups": ["ops", "eyes"]}, Caller(user_id="ada", role=Role.OPERATOR)),
        ({"groups": ["eyes", 3, None]}, Caller(user_id="ada", role=Role.VIEWER)),
        ({"groups": ["own"], "acts": ["t-1"]}, Caller(user_id="ada", role=Role.TENANT, tenants=frozenset({"t-1"}))),
        ({"groups": ["superadmin", "operator"]}, None),
        ({"groups": {"ops": True}}, None),
        ({"groups": ["ops"], "sub": "\n"}, None),
        ({}, None),
    ],
)
def test_claims_say_what_somebody_is(claims: dict[str, Any], expected: Caller | None) -> None:
    people = people_of(
        Settings(
            oidc_role_claim="groups",
            oidc_superadmins=("lamp admins",),
            oidc_operators=("ops",),
            oidc_viewers=("eyes",),
            oidc_tenants=("own",),
            oidc_tenants_claim="acts",
        )
    )
    assert people.caller({"sub": "ada"} | claims) == expected


def test_by_default_nobody_comes_in() -> None:
    assert people_of(Settings()).caller({"sub": "ada", "groups": ["superadmin"], "role": "superadmin"}) is None


@pytest.mark.parametrize(("verified", "role"), [(True, Role.VIEWER), (False, None), ("true", None), (None, None)])
def test_an_address_counts_only_once_its_provider_has_verified_it(verified: object, role: Role | None) -> None:
    people = People(claim="email", values={Role.VIEWER: frozenset({"ada@lamps.example"})})
    found = people.caller({"sub": "ada", "email": "ada@lamps.example", "email_verified": verified})
    assert (found and found.role) == role


@pytest.mark.parametrize("left_out", ["oidc_issuer", "oidc_client_id", "oidc_client_secret"])
def test_a_client_is_named_whole_or_not_at_all(left_out: str) -> None:
    settings = msgspec.structs.replace(settings_of("https://id.example"), **{left_out: None})
    with pytest.raises(ConfigError, match="belong together"):
        client_of(settings, **OURS)
    assert client_of(Settings(), **OURS) is None


@pytest.mark.parametrize(
    ("changes", "host", "says"),
    [
        ({"oidc_issuer": "http://id.example"}, "127.0.0.1", "oidc_issuer must be an https"),
        ({}, "0.0.0.0", "set web_url"),
    ],
)
async def test_a_site_on_which_it_cannot_work_is_refused(
    own_settings: Settings, changes: dict[str, Any], host: str, says: str
) -> None:
    told = settings_of("https://id.example", store=own_settings.store, **changes)
    async with App[None](settings=told) as app:
        with pytest.raises(ConfigError, match=says):
            async with open_site(app, host=host, port=1):
                pass


async def test_with_a_provider_other_machines_may_come(own_settings: Settings) -> None:
    told = settings_of("https://id.example", store=own_settings.store, web_url="https://lamps.example")
    async with App[None](settings=told) as app, open_site(app, host="0.0.0.0", port=1) as site:
        assert site.login_link is not None
