"""Tokens of an identity provider: who comes in by them, and all that does not."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from joserfc.jwk import RSAKey
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from tests.counterparts.oauth2_server import OAuth2Server
from tests.web.identity import AUDIENCE, ISSUER, Identity, running_identity

from lamplighter.core.clock import utcnow
from lamplighter.core.config import Settings
from lamplighter.core.errors import ConfigError
from lamplighter.integrations.http_pool import HttpPool
from lamplighter.testing import FakeClock
from lamplighter.web import Caller, Role
from lamplighter.web.signin.jwks import FRESH, LONGEST, PATIENCE, Jwks, NoKeys
from lamplighter.web.signin.jwt import Issuer, Jwt, issuer_of
from lamplighter.web.signin.signed import LEEWAY

ROLES = "https://lamps.example/roles"


@pytest.fixture
async def identity(clock: FakeClock) -> AsyncIterator[Identity]:
    async with running_identity(clock) as running:
        yield running


def issuer(url: str, **changes: Any) -> Issuer:
    told = {"name": ISSUER, "audience": AUDIENCE, "jwks_url": url, "algorithms": ("RS256", "ES256")} | changes
    return Issuer(**told, superadmins=frozenset({"auth|root"}), role_claim=ROLES, tenants_claim="tenants")


@pytest.fixture
async def jwt(identity: Identity, clock: FakeClock) -> AsyncIterator[Jwt]:
    async with HttpPool() as http:
        yield Jwt(issuer(identity.url), Jwks(http, identity.url, clock=clock), clock=clock)


def unsigned(header: object, claims: object) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims)]
    return f"{parts[0]}.{parts[1]}."


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
async def test_a_good_token_says_who_calls(jwt: Jwt, identity: Identity, alg: str) -> None:
    identity.add(alg)
    assert await jwt.caller(identity.sign()) == Caller(user_id="auth|1")
    assert await jwt.caller(identity.sign(aud=["another", AUDIENCE])) == Caller(user_id="auth|1")


@pytest.mark.parametrize(
    ("claims", "role", "tenants"),
    [
        ({"sub": "auth|root"}, Role.SUPERADMIN, ()),
        ({ROLES: "operator"}, Role.OPERATOR, ()),
        ({ROLES: ["viewer", "operator", "baker"]}, Role.OPERATOR, ()),
        ({ROLES: ["baker"], "tenants": ["t-1", "t-2", 3, None, ""]}, Role.TENANT, ("t-1", "t-2")),
        ({ROLES: {"superadmin": True}, "tenants": "t-1"}, Role.TENANT, ("t-1",)),
        ({"role": "superadmin", "roles": ["superadmin"]}, Role.TENANT, ()),
    ],
)
async def test_claims_say_what_somebody_is(
    jwt: Jwt, identity: Identity, claims: dict[str, Any], role: Role, tenants: tuple[str, ...]
) -> None:
    caller = await jwt.caller(identity.sign(**claims))
    assert caller == Caller(user_id=claims.get("sub", "auth|1"), role=role, tenants=frozenset(tenants))


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example/"},
        {"iss": None},
        {"aud": "https://other.example/api"},
        {"aud": None},
        {"aud": []},
        {"exp": None},
        {"exp": "tomorrow"},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a\nb"},
        {"sub": "x" * 201},
        {"tenants": ["t" * 10_000]},
    ],
)
async def test_a_token_that_is_not_for_us_lets_nobody_in(jwt: Jwt, identity: Identity, claims: dict[str, Any]) -> None:
    assert await jwt.caller(identity.sign()) is not None
    assert await jwt.caller(identity.sign(**claims)) is None


async def test_a_token_is_good_from_its_beginning_to_its_end_give_or_take_a_little(
    jwt: Jwt, identity: Identity, clock: FakeClock
) -> None:
    now, leeway = int(clock().timestamp()), int(LEEWAY.total_seconds())
    assert await jwt.caller(identity.sign(nbf=now + leeway, exp=now + 100))
    assert await jwt.caller(identity.sign(nbf=now + leeway + 1, exp=now + 100)) is None
    assert await jwt.caller(identity.sign(exp=now - leeway + 1))
    assert await jwt.caller(identity.sign(exp=now - leeway)) is None


async def test_an_algorithm_that_is_not_in_the_settings_lets_nobody_in(identity: Identity, clock: FakeClock) -> None:
    key = identity.add("ES256")
    async with HttpPool() as http:
        pinned = Jwt(issuer(identity.url, algorithms=("RS256",)), Jwks(http, identity.url, clock=clock), clock=clock)
        assert await pinned.caller(identity.sign(identity.keys[0]))
        assert await pinned.caller(identity.sign(key)) is None


async def test_a_public_key_is_no_shared_secret(jwt: Jwt, identity: Identity) -> None:
    known = identity.keys[0]
    assert isinstance(known, RSAKey)
    for secret in (known.as_pem(private=False), known.as_der(private=False), json.dumps(known.as_dict()).encode()):
        told = unsigned({"alg": "HS256", "kid": "k-0"}, identity.claims()).rstrip(".")
        signature = hmac.digest(secret, told.encode(), "sha256")
        assert await jwt.caller(f"{told}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}") is None


async def test_who_signs_nothing_or_with_another_key_is_nobody(jwt: Jwt, identity: Identity) -> None:
    stranger = RSAKey.generate_key(2048, {"kid": "k-0", "alg": "RS256"})
    assert await jwt.caller(identity.sign(stranger)) is None
    for alg in ("none", "None", "RS256"):
        assert await jwt.caller(unsigned({"alg": alg, "kid": "k-0"}, identity.claims())) is None


async def test_a_token_that_brings_its_own_key_is_not_believed(jwt: Jwt, identity: Identity) -> None:
    stranger = RSAKey.generate_key(2048, {"alg": "RS256"})
    header = {"jwk": stranger.as_dict(private=False), "jku": identity.url, "kid": "k-0"}
    assert await jwt.caller(identity.sign(stranger, header=header)) is None


@pytest.mark.parametrize("about", [{"use": "enc"}, {"alg": "RS512"}])
async def test_a_key_for_another_purpose_is_not_used(jwt: Jwt, identity: Identity, about: dict[str, str]) -> None:
    shown = identity.add("RS256", **about)
    assert isinstance(shown, RSAKey)
    free = RSAKey.import_key(shown.as_pem(private=True), {"kid": "k-1"})  # the library would not sign with the other
    assert await jwt.caller(identity.sign(free, header={"alg": "RS256"})) is None
    assert identity.asked == 1


async def test_a_token_without_a_key_id_is_good_while_there_is_one_key(
    jwt: Jwt, identity: Identity, clock: FakeClock
) -> None:
    token = identity.sign(header={"kid": None})
    assert await jwt.caller(token)
    identity.add()
    clock.advance(FRESH)
    assert await jwt.caller(token) is None


@settings(deadline=None)
@given(text=some.text(max_size=200) | some.binary(max_size=200).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
async def test_what_is_no_token_is_nobody(text: str) -> None:
    async with httpx2.AsyncClient(verify=False) as http:
        jwt = Jwt(issuer("https://id.example/jwks"), Jwks(http, "https://id.example/jwks", clock=utcnow), clock=utcnow)
        for token in (text, f"{text}.{text}.{text}", "." * len(text)):
            assert await jwt.caller(token) is None


@pytest.mark.parametrize(
    "header", [[], 7, "x", None, {}, {"alg": 7}, {"alg": "RS256", "kid": ["k-0"]}, {"alg": "RS256", "crit": ["x"]}]
)
async def test_a_header_that_makes_no_sense_is_nobodys(jwt: Jwt, identity: Identity, header: object) -> None:
    assert await jwt.caller(unsigned(header, identity.claims())) is None
    assert await jwt.caller(base64.urlsafe_b64encode(b"[" * 5000).decode().rstrip("=") + ".e30.e30") is None


async def test_keys_are_asked_for_once_and_not_with_every_call(jwt: Jwt, identity: Identity, clock: FakeClock) -> None:
    for _ in range(3):
        assert await jwt.caller(identity.sign())
    assert identity.asked == 1
    clock.advance(FRESH)
    assert await jwt.caller(identity.sign())
    assert identity.asked == 2


async def test_a_new_key_is_found_when_a_token_names_it(jwt: Jwt, identity: Identity, clock: FakeClock) -> None:
    assert await jwt.caller(identity.sign())
    identity.add("ES256")
    clock.advance(PATIENCE)
    assert await jwt.caller(identity.sign())
    assert identity.asked == 2


async def test_while_one_waits_for_fresh_keys_others_come_in_with_those_that_are_known(
    jwt: Jwt, identity: Identity, clock: FakeClock
) -> None:
    assert await jwt.caller(identity.sign())
    clock.advance(FRESH)
    identity.asking.clear()
    identity.goes_on.clear()
    one = asyncio.create_task(jwt.caller(identity.sign()))
    await identity.asking.wait()
    assert await jwt.caller(identity.sign())
    assert not one.done()
    identity.goes_on.set()
    assert await one
    assert identity.asked == 2


async def test_made_up_key_ids_do_not_make_us_ask_again_and_again(
    jwt: Jwt, identity: Identity, clock: FakeClock
) -> None:
    stranger = RSAKey.generate_key(2048, {"alg": "RS256"})
    for number in range(20):
        assert await jwt.caller(identity.sign(stranger, header={"kid": f"made-up-{number}"})) is None
    assert identity.asked == 1
    clock.advance(PATIENCE)
    assert await jwt.caller(identity.sign(stranger, header={"kid": "another"})) is None
    assert identity.asked == 2


@pytest.mark.parametrize(
    "answer",
    [
        PlainTextResponse("no", 500),
        PlainTextResponse("no json"),
        PlainTextResponse('{"keys": []}'),
        PlainTextResponse('{"keys": [{"kty": "oct", "k": "c2VjcmV0"}, 7, {"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}'),
        PlainTextResponse('{"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, {"kty": "EC"}]}'),
        PlainTextResponse('{"keys": [' + " " * 70_000 + "]}"),
        RedirectResponse("https://elsewhere.example/jwks"),
    ],
)
async def test_known_keys_are_good_for_a_day_while_there_are_no_others(
    jwt: Jwt, identity: Identity, clock: FakeClock, answer: Response
) -> None:
    token = identity.sign(exp=int(clock().timestamp()) + 10 * 86_400)
    assert await jwt.caller(token)
    identity.answer = answer
    clock.advance(LONGEST - timedelta(seconds=1))
    assert await jwt.caller(token)
    assert identity.asked == 2
    clock.advance(PATIENCE)
    with pytest.raises(NoKeys, match="cannot be asked for its keys"):
        await jwt.caller(token)


async def test_without_an_answer_from_the_beginning_nobody_can_be_told_from_anybody(clock: FakeClock) -> None:
    async with HttpPool() as http:
        url = "http://127.0.0.1:9/jwks"  # discard: nobody is there
        jwt = Jwt(issuer(url), Jwks(http, url, clock=clock), clock=clock)
        with pytest.raises(NoKeys):
            await jwt.caller(unsigned({"alg": "RS256", "kid": "k-0"}, {}) + "c2ln")


@pytest.mark.parametrize("url", ["http://id.example/jwks", "https://a:b@id.example/jwks", "ftp://id.example"])
async def test_keys_are_asked_for_by_https_only(url: str, clock: FakeClock) -> None:
    async with HttpPool() as http:
        with pytest.raises(ConfigError, match="jwt_jwks_url must be an https"):
            Jwks(http, url, clock=clock)


def test_settings_name_an_issuer_whole_or_not_at_all() -> None:
    whole = Settings(jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_jwks_url="https://id.example/jwks")
    assert issuer_of(Settings()) is None
    assert issuer_of(whole) == Issuer(
        name=ISSUER, audience=AUDIENCE, jwks_url="https://id.example/jwks", algorithms=("RS256", "ES256")
    )
    with pytest.raises(ConfigError, match="belong together"):
        issuer_of(Settings(jwt_issuer=ISSUER))


async def test_tokens_of_a_server_that_none_of_us_wrote_are_good(oauth2: OAuth2Server) -> None:
    url = f"{oauth2.url}/jwks"
    async with HttpPool() as http:
        clock = FakeClock(utcnow())
        jwt = Jwt(issuer(url, name=oauth2.url), Jwks(http, url, clock=clock), clock=clock)
        good = {"aud": AUDIENCE, "sub": "auth|1", ROLES: ["operator"]}
        assert await jwt.caller(await oauth2.sign(**good)) == Caller(user_id="auth|1", role=Role.OPERATOR)
        assert await jwt.caller(await oauth2.sign(**good | {"aud": "another"})) is None
        await oauth2.rotate("RS256")
        clock.advance(PATIENCE)
        assert await jwt.caller(await oauth2.sign(**good)) == Caller(user_id="auth|1", role=Role.OPERATOR)
