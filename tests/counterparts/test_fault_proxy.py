"""Each fault looks to a client as the real one does, and the proxy tells what came."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from tests.counterparts.fault_proxy import (
    Exchange,
    Fault,
    FaultProxy,
    Request,
    answer,
    forward,
    half,
    hang_up,
    hold,
    lose,
    running_proxy,
    silence,
    slow,
)


class Target:
    """A server that answers with what it was asked, and remembers it."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.asked.append({"first": first, "host": headers["host"], "body": body.decode()})
        content = json.dumps(self.asked[-1]).encode()
        writer.write(b"HTTP/1.1 201 Created\r\nX-Odd: yes\r\nContent-Length: %d\r\n\r\n" % len(content) + content)
        await writer.drain()
        writer.close()


@pytest.fixture
async def target() -> Target:
    return Target()


@pytest.fixture
async def proxy(target: Target) -> AsyncIterator[FaultProxy]:
    async with await asyncio.start_server(target.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with running_proxy(f"http://127.0.0.1:{port}") as running:
            yield running


@pytest.fixture
async def http(proxy: FaultProxy) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=proxy.url, trust_env=False, timeout=60) as client:
        yield client


async def test_what_meets_no_fault_is_carried_whole(
    proxy: FaultProxy, target: Target, http: httpx2.AsyncClient
) -> None:
    response = await http.post("/files?page=2", content="some text")
    host = proxy.url.removeprefix("http://")
    assert target.asked == [{"first": "POST /files?page=2 HTTP/1.1", "host": host, "body": "some text"}]
    assert response.json() == target.asked[0]
    assert (response.status_code, response.headers["X-Odd"]) == (201, "yes")
    assert proxy.requests == [Request("POST", "/files", 201)]


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_an_answer_in_the_servers_place_never_reaches_it(
    proxy: FaultProxy, target: Target, http: httpx2.AsyncClient, status: int
) -> None:
    proxy.meet("/", answer(status, retry_after=7))
    response = await http.get("/")
    assert (response.status_code, response.headers["Retry-After"]) == (status, "7")
    assert response.headers["Content-Type"] == "text/html"
    assert target.asked == []


@pytest.mark.parametrize(("body", "text"), [({"error": "odd"}, '{"error": "odd"}'), ([], "[]"), (b"\x00<", "\x00<")])
async def test_an_answers_body_is_the_tests_to_say(
    proxy: FaultProxy, http: httpx2.AsyncClient, body: object, text: str
) -> None:
    proxy.meet("/", answer(200, body))
    response = await http.get("/")
    assert response.text == text
    assert "Retry-After" not in response.headers


async def test_orders_are_met_the_oldest_first_each_for_its_own_paths(
    proxy: FaultProxy, http: httpx2.AsyncClient
) -> None:
    proxy.meet("/token", forward)
    proxy.meet("/token", answer(503), count=2)
    proxy.meet("/token", answer(429))
    proxy.meet("/me", answer(401), count=None)
    for path in ["/token", "/token/revocation", "/me", "/other", "/token", "/token", "/me", "/token"]:
        await http.get(path)
    assert proxy.statuses("/token") == [201, 503, 503, 429, 201]
    assert proxy.statuses("/me") == [401, 401]
    assert proxy.statuses() == [201, 503, 401, 201, 503, 429, 401, 201]


async def test_a_healed_proxy_forwards(proxy: FaultProxy, http: httpx2.AsyncClient) -> None:
    proxy.meet("/", answer(503), count=None)
    await http.get("/")
    proxy.heal()
    await http.get("/")
    assert proxy.statuses() == [503, 201]


async def test_half_an_answer_is_known_as_such(proxy: FaultProxy, target: Target, http: httpx2.AsyncClient) -> None:
    proxy.meet("/", half)
    with pytest.raises(httpx2.RemoteProtocolError) as caught:
        await http.get("/")
    whole = len(json.dumps(target.asked[0]))
    assert f"received {whole // 2} bytes, expected {whole}" in str(caught.value)
    assert proxy.statuses() == [201]


@pytest.mark.parametrize(("fault", "forwarded"), [(hang_up, 0), (lose, 1)])
async def test_who_hangs_up_says_nothing(
    proxy: FaultProxy, target: Target, http: httpx2.AsyncClient, fault: Fault, forwarded: int
) -> None:
    proxy.meet("/", fault)
    with pytest.raises(httpx2.RemoteProtocolError, match="without sending"):
        await http.get("/")
    assert len(target.asked) == forwarded
    assert proxy.statuses() == [None]


async def test_silence_lasts_until_the_client_leaves(
    proxy: FaultProxy, target: Target, http: httpx2.AsyncClient
) -> None:
    proxy.meet("/", silence)
    request = asyncio.create_task(http.get("/"))
    await proxy.arrived(1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(request, 0.2)
    await proxy.idle()
    assert (proxy.statuses(), target.asked) == ([None], [])


async def test_a_held_answer_waits_for_its_event(proxy: FaultProxy, http: httpx2.AsyncClient) -> None:
    proxy.meet("/slow", hold(may := asyncio.Event()))
    held = asyncio.create_task(http.get("/slow"))
    await proxy.arrived(1)
    assert (await http.get("/quick")).status_code == 201
    assert proxy.statuses() == [None, 201]
    assert not held.done()
    may.set()
    assert (await held).status_code == 201
    assert proxy.statuses() == [201, 201]


async def test_a_slow_answer_takes_that_long(proxy: FaultProxy, http: httpx2.AsyncClient) -> None:
    proxy.meet("/", slow(0.2))
    started = asyncio.get_running_loop().time()
    assert (await http.get("/")).status_code == 201
    assert asyncio.get_running_loop().time() - started >= 0.2


async def test_one_may_wait_for_the_third_request(proxy: FaultProxy, http: httpx2.AsyncClient) -> None:
    third = asyncio.create_task(proxy.arrived(3, "/token"))
    for path in ["/token", "/me", "/token"]:
        await http.get(path)
    assert not third.done()
    await http.get("/token")
    await third


async def test_a_proxy_ends_though_requests_are_held_and_silent(target: Target) -> None:
    async with (
        await asyncio.start_server(target.serve, "127.0.0.1", 0) as server,
        httpx2.AsyncClient(trust_env=False, timeout=60) as http,
    ):
        port = server.sockets[0].getsockname()[1]
        async with running_proxy(f"http://127.0.0.1:{port}") as proxy:
            proxy.meet("/held", hold(asyncio.Event()))
            proxy.meet("/silent", silence)
            requests: list[asyncio.Task[Any]] = [
                asyncio.create_task(http.get(proxy.url + path)) for path in ["/held", "/silent"]
            ]
            await proxy.arrived(2)
        for request in requests:
            with pytest.raises(httpx2.RemoteProtocolError):
                await request


async def test_a_mistake_in_a_fault_fails_the_test_that_made_it() -> None:
    with pytest.raises(KeyError, match="a bug"):
        await meet_a_mistake()


async def meet_a_mistake() -> None:
    async def mistaken(exchange: Exchange) -> None:
        raise KeyError("a bug")

    async with running_proxy("http://127.0.0.1:1") as proxy, httpx2.AsyncClient(trust_env=False) as http:
        proxy.meet("/", mistaken)
        with pytest.raises(httpx2.RemoteProtocolError):
            await http.get(proxy.url)
        await proxy.idle()
