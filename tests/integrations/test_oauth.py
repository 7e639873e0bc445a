"""The token client against a real server that answers what each test says."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import httpx2
import msgspec
import pytest

from lamplighter.core.secret import Secret
from lamplighter.integrations.oauth import (
    Ambiguous,
    BadAnswer,
    GrantRevoked,
    IncompleteAnswer,
    OperatorFault,
    ProviderDown,
    TokenClient,
    TokenError,
    Tokens,
)
from lamplighter.integrations.provider import Provider

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD = "old-refresh-token/with+signs"
CLIENT_SECRET = "s3cr:t &+ü"
GOOD = {"access_token": "new-access", "refresh_token": "new-refresh", "expires_in": 3600, "token_type": "bearer"}


class Endpoint:
    """A token endpoint: it remembers each request and sends `answer`. Then it hangs up, or hangs, or drips on."""

    def __init__(self) -> None:
        self.answer = b""
        self.hangs = False
        self.drips = False
        self.requests: list[tuple[str, dict[str, list[str]]]] = []
        self._over = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()

    def says(self, answer: object, status: int = 200, **headers: str) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.answer = "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(
                int(line.partition(":")[2]) for line in head.splitlines() if line.lower().startswith("content-length")
            )
            self.requests.append((head, parse_qs((await reader.readexactly(length)).decode())))
            writer.write(self.answer)
            await writer.drain()
            while self.drips and not self._over.is_set():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
            if self.hangs:
                await self._over.wait()
        except ConnectionError:
            pass  # a client that has read enough hangs up
        finally:
            writer.close()
            self._connections.discard(task)

    async def stop(self) -> None:
        self._over.set()
        await asyncio.gather(*self._connections)


class World:
    """The endpoint, the provider that it belongs to, and the client that asks it."""

    def __init__(self, endpoint: Endpoint, provider: Provider, client: TokenClient) -> None:
        self.endpoint = endpoint
        self.provider = provider
        self.client = client

    async def refresh(self, **changes: Any) -> Tokens:
        provider = msgspec.structs.replace(self.provider, **changes)
        return await self.client.refresh(provider, Secret(OLD), lambda: NOW)

    async def fails(self, kind: type[TokenError], **changes: Any) -> TokenError:
        with pytest.raises(TokenError) as caught:
            await self.refresh(**changes)
        assert type(caught.value) is kind
        assert OLD not in str(caught.value)
        assert CLIENT_SECRET not in str(caught.value)
        return caught.value


@pytest.fixture
async def world() -> AsyncIterator[World]:
    endpoint = Endpoint()
    async with await asyncio.start_server(endpoint.serve, "127.0.0.1", 0) as server, httpx2.AsyncClient() as http:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        provider = Provider(
            slug="lantern",
            display_name="Lantern",
            auth_url=f"{url}/authorize",
            token_url=f"{url}/token",
            client_id="client:id",
            client_secret=Secret(CLIENT_SECRET),
            default_lifetime=1200,
        )
        yield World(endpoint, provider, TokenClient(http))
        await endpoint.stop()


async def test_a_refresh_gives_tokens_that_count_from_before_the_request(world: World) -> None:
    world.endpoint.says({**GOOD, "scope": "files.read"})
    moments = iter([NOW, NOW + timedelta(seconds=9)])
    tokens = await world.client.refresh(world.provider, Secret(OLD), lambda: next(moments))
    assert tokens == Tokens(
        access_token=Secret("new-access"),
        refresh_token=Secret("new-refresh"),
        expires_at=NOW + timedelta(hours=1),
        scope="files.read",
        token_type="bearer",
    )
    assert "new-" not in repr(tokens)


async def test_body_authentication_sends_the_credentials_in_the_form(world: World) -> None:
    world.endpoint.says(GOOD)
    await world.refresh(client_auth="body")
    ((head, form),) = world.endpoint.requests
    assert form == {
        "grant_type": ["refresh_token"],
        "refresh_token": [OLD],
        "client_id": ["client:id"],
        "client_secret": [CLIENT_SECRET],
    }
    assert "authorization" not in head.lower()


async def test_basic_authentication_encodes_id_and_secret_before_joining_them(world: World) -> None:
    world.endpoint.says(GOOD)
    await world.refresh(client_auth="basic")
    ((head, form),) = world.endpoint.requests
    encoded = next(line.split()[2] for line in head.splitlines() if line.lower().startswith("authorization: basic"))
    client_id, secret = base64.b64decode(encoded).decode().split(":")
    assert (unquote_plus(client_id), unquote_plus(secret)) == ("client:id", CLIENT_SECRET)
    assert set(form) == {"grant_type", "refresh_token"}


async def test_no_new_refresh_token_means_keep_the_old_one(world: World) -> None:
    world.endpoint.says({"access_token": "new-access"})
    tokens = await world.refresh()
    assert tokens.refresh_token is None
    assert tokens.scope is None


@pytest.mark.parametrize("expires_in", [b"3600", b"3600.0", b'"3600"', b"3.6e3"])
async def test_a_lifetime_is_read_in_every_usual_spelling(world: World, expires_in: bytes) -> None:
    world.endpoint.says(b'{"access_token": "new-access", "expires_in": %s}' % expires_in)
    tokens = await world.refresh()
    assert tokens.expires_at == NOW + timedelta(hours=1)
    assert tokens.warnings == ()


@pytest.mark.parametrize("fields", [{}, {"expires_in": None}])
async def test_a_missing_lifetime_is_the_providers_default(world: World, fields: dict[str, None]) -> None:
    world.endpoint.says({"access_token": "new-access", **fields})
    tokens = await world.refresh()
    assert tokens.expires_at == NOW + timedelta(seconds=1200)
    assert tokens.warnings == ()


@pytest.mark.parametrize(
    "expires_in",
    [
        *(b"-1", b"0", b"1e12", b"1e999", b"NaN", b"-Infinity", b"true", b'"soon"', b'"nan"', b"[]", b"{}"),
        pytest.param(b"9" * 5000, id="5000-digits"),
    ],
)
async def test_an_absurd_lifetime_costs_no_token(world: World, expires_in: bytes) -> None:
    world.endpoint.says(b'{"access_token": "a", "refresh_token": "new-refresh", "expires_in": %s}' % expires_in)
    tokens = await world.refresh()
    assert tokens.refresh_token == Secret("new-refresh")
    assert tokens.expires_at == NOW + timedelta(seconds=1200)
    (warning,) = tokens.warnings
    assert "default_lifetime" in warning


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ({"refresh_token": "new-refresh"}, Secret("new-refresh")),
        ({"refresh_token": "new-refresh", "access_token": 5, "error": "odd"}, Secret("new-refresh")),
        ({"hello": "world"}, None),
    ],
)
async def test_an_answer_without_access_token_keeps_the_rotated_refresh_token(
    world: World, answer: object, kept: Secret | None
) -> None:
    world.endpoint.says(answer)
    error = await world.fails(IncompleteAnswer)
    assert isinstance(error, IncompleteAnswer)
    assert error.refresh_token == kept


@pytest.mark.parametrize(
    "answer", [b"<html>", b"", b"[]", b'"text"', b"\xff\xfe", pytest.param(b"[" * 60_000, id="deep")]
)
async def test_a_success_that_is_no_json_object_is_a_bad_answer(world: World, answer: bytes) -> None:
    world.endpoint.says(answer)
    assert (await world.fails(BadAnswer)).reason == "not_json"


async def test_a_huge_answer_is_not_read_to_its_end(world: World) -> None:
    world.endpoint.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b" " * 200_000
    world.endpoint.hangs = True
    assert (await world.fails(BadAnswer)).reason == "too_large"


async def test_a_huge_error_page_is_still_an_outage(world: World) -> None:
    world.endpoint.says(b"x" * 200_000, 503, Retry_After="7")
    assert (await world.fails(ProviderDown)).retry_after == timedelta(seconds=7)


@pytest.mark.parametrize(
    ("status", "answer", "kind", "reason"),
    [
        (400, {"error": "invalid_grant"}, GrantRevoked, "invalid_grant"),
        (401, {"error": "invalid_grant"}, GrantRevoked, "invalid_grant"),
        (401, {"error": "invalid_client"}, OperatorFault, "invalid_client"),
        (400, {"error": "invalid_scope"}, OperatorFault, "invalid_scope"),
        (400, {"error": "unauthorized_client"}, OperatorFault, "unauthorized_client"),
        (400, {"error": "unsupported_grant_type"}, OperatorFault, "unsupported_grant_type"),
        (400, {"error": "something_new"}, OperatorFault, "something_new"),
        (400, {"error": {"strange": []}}, OperatorFault, "http_400"),
        (404, b"<html>", OperatorFault, "http_404"),
        (403, b"<html>", OperatorFault, "http_403"),
        (302, b"", OperatorFault, "http_302"),
        (403, {"error": {"errors": [{"reason": "userRateLimitExceeded"}]}}, ProviderDown, "userRateLimitExceeded"),
        (403, {"error": {"code": "TooManyRequests"}}, ProviderDown, "TooManyRequests"),
        (400, {"error": "temporarily_unavailable"}, ProviderDown, "temporarily_unavailable"),
        (429, {"error": "invalid_grant"}, ProviderDown, "invalid_grant"),
        (500, {"error": "invalid_grant"}, ProviderDown, "invalid_grant"),
        (502, b"<html>", ProviderDown, "http_502"),
        (200, {"ok": False, "error": "invalid_grant"}, GrantRevoked, "invalid_grant"),
        (200, {"ok": False, "error": "ratelimited"}, ProviderDown, "ratelimited"),
        (200, {"ok": False, "error": "invalid_auth"}, OperatorFault, "invalid_auth"),
        (200, {"ok": False}, OperatorFault, "http_200"),
    ],
)
async def test_each_refusal_means_what_it_means(
    world: World, status: int, answer: object, kind: type[TokenError], reason: str
) -> None:
    world.endpoint.says(answer, status, Location="/elsewhere")
    assert (await world.fails(kind)).reason == reason
    assert len(world.endpoint.requests) == 1


async def test_a_providers_own_codes_are_asked_first(world: World) -> None:
    code = "refresh_token_was_revoked_by_its_user"
    world.endpoint.says({"ok": False, "error": code})
    assert (await world.fails(GrantRevoked, error_codes={code: "revoked"})).reason == code


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("2", timedelta(seconds=2)),
        ("0", timedelta()),
        ("-5", timedelta()),
        ("999999", timedelta(hours=1)),
        pytest.param("9" * 5000, timedelta(hours=1), id="5000-digits"),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), timedelta(seconds=90)),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), timedelta()),
        ("Thu, 01 Jan 2026 00:00:30 -0000", timedelta(seconds=30)),
        ("nan", None),
        ("soon", None),
    ],
)
async def test_retry_after_is_seconds_or_a_date_and_bounded(world: World, header: str, wait: timedelta | None) -> None:
    world.endpoint.says(b"", 503, Retry_After=header)
    assert (await world.fails(ProviderDown)).retry_after == wait


async def test_an_outage_without_retry_after_names_no_time(world: World) -> None:
    world.endpoint.says(b"", 500)
    assert (await world.fails(ProviderDown)).retry_after is None


async def test_an_error_quotes_the_provider_briefly_and_without_secrets(world: World) -> None:
    basic = base64.b64encode(b"client%3Aid:s3cr%3At+%26%2B%C3%BC").decode()
    echoed = f"Token {OLD} of {CLIENT_SECRET} ({basic}) eyJhbGciOiJSUzI1NiJ9.unknown-to-us is\x1b[31m\nbad. "
    world.endpoint.says({"error": "invalid_grant", "error_description": echoed + "so there " * 100}, 400)
    text = str(await world.fails(GrantRevoked))
    assert "is [31m bad." in text
    assert basic not in text
    assert "eyJ" not in text
    assert len(text) < 350


async def test_an_error_code_that_is_our_own_secret_is_not_shown(world: World) -> None:
    world.endpoint.says({"error": "hush-hush"}, 400)
    error = await world.fails(OperatorFault, client_secret=Secret("hush-hush"))
    assert error.reason == "http_400"
    assert "hush" not in str(error)


async def test_a_silent_server_is_ambiguous_after_the_time_limit(world: World) -> None:
    world.endpoint.hangs = True
    async with httpx2.AsyncClient() as http:
        world.client = TokenClient(http, timeout=0.3)
        assert (await world.fails(Ambiguous)).reason == "timeout"


async def test_a_trickling_answer_does_not_outlive_the_time_limit(world: World) -> None:
    world.endpoint.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n{"
    world.endpoint.drips = True
    async with asyncio.timeout(5), httpx2.AsyncClient() as http:
        world.client = TokenClient(http, timeout=0.3)
        assert (await world.fails(Ambiguous)).reason == "timeout"


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"]
)
async def test_a_connection_lost_after_the_request_is_ambiguous(world: World, answer: bytes) -> None:
    world.endpoint.answer = answer
    assert (await world.fails(Ambiguous)).reason == "connection_lost"


async def test_a_refused_connection_is_an_outage(world: World) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))  # bound but not listening: the port stays ours and refuses
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}/token"
        assert (await world.fails(ProviderDown, token_url=url)).reason == "not_reached"


async def test_an_unknown_host_is_an_outage(world: World) -> None:
    assert (await world.fails(ProviderDown, token_url="https://no-such-host.invalid/token")).reason == "not_reached"
