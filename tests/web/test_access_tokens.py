"""Access tokens for services in any language: HTTP and JSON, nothing else."""

from __future__ import annotations

import asyncio
import json
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from tests.families.running import TENANT
from tests.web.site import API, LANTERN, Site, told

from lamplighter.core.errors import StoreUnavailable
from lamplighter.demo.world import World
from lamplighter.integrations.audit import AuditLog
from lamplighter.integrations.integration import Integration


def path_of(integration: Integration) -> str:
    return f"/tenants/{TENANT}/integrations/{integration.id}/access-token"


async def test_any_language_calls_the_provider_with_a_token(site: Site, connected: Integration, world: World) -> None:
    def call() -> tuple[Any, int]:
        """Nothing of ours, and no client that is clever: one POST, and one GET with what it gave."""
        ours, theirs = (HTTPConnection(urlsplit(url).netloc, timeout=30) for url in (site.url, world.url))
        try:
            ours.request("POST", API + path_of(connected), headers={"Caller": "service"})
            given = json.loads(ours.getresponse().read())
            bearer = {"Authorization": f"Bearer {given['data']['accessToken']}"}
            theirs.request("GET", f"/{LANTERN}/drive/about", headers=bearer)
            return given, theirs.getresponse().status
        finally:
            ours.close()
            theirs.close()

    given, status = await asyncio.to_thread(call)
    assert status == 200
    assert given["success"] is True
    assert given["data"].keys() == {"accessToken", "expiresAt", "tokenVersion"}


async def test_a_token_that_the_provider_rejected_is_replaced(site: Site, connected: Integration) -> None:
    async with site.calling("service") as service:
        _, first = told(await service.post(path_of(connected)))
        _, same = told(await service.post(path_of(connected), json={}))
        _, next_ = told(await service.post(path_of(connected), json={"rejected": first["tokenVersion"]}))
    assert same == first
    assert next_["tokenVersion"] == first["tokenVersion"] + 1
    assert next_["accessToken"] != first["accessToken"]


async def test_each_answer_is_written_down_before_it_is_given(
    site: Site, connected: Integration, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise StoreUnavailable("the disk is full: make room.")

    token = await site.tokens(connected)
    monkeypatch.setattr(AuditLog, "add", fail)
    answer = await site.ask("service", "POST", path_of(connected))
    assert told(answer) == (503, "server/unavailable")
    assert token not in answer.text


async def test_reads_are_in_the_audit_log_and_so_are_those_that_were_refused(
    site: Site, connected: Integration
) -> None:
    async with site.calling("service") as service:
        await service.post(path_of(connected), headers={"User-Agent": "indexer/2"})
    await site.ask("owner", "POST", path_of(connected))
    await site.service.disconnecting.disconnect(connected.id)
    gone = await site.ask("service", "POST", path_of(connected))
    assert told(gone) == (409, "cloud-integration/not-connected")
    read, refused, failed = await site.records("token.read")
    assert read.details == {
        "method": "POST",
        "endpoint": API + path_of(connected),
        "user_agent": "indexer/2",
        "ip_address": "127.0.0.1",
    }
    assert [(one.user_id, one.result) for one in (read, refused, failed)] == [
        ("indexer", "success"),
        ("auth|1", "failure"),
        ("indexer", "failure"),
    ]
    assert failed.error_message == gone.json()["error"]["message"]
    assert {one.resource_id for one in (read, refused, failed)} == {connected.id}


@pytest.mark.parametrize("wish", [{"rejected": 0}, {"rejected": 2**31}, {"rejected": "x"}, {"accepted": 1}, [1]])
async def test_what_is_no_version_is_refused(site: Site, connected: Integration, wish: Any) -> None:
    answer = await site.ask("service", "POST", path_of(connected), wish)
    assert told(answer) == (400, "validation/invalid-input")


async def test_a_token_in_the_wrong_place_is_not_sent_back(site: Site, connected: Integration) -> None:
    answer = await site.ask("service", "POST", path_of(connected), {"rejected": "a-token", "a-key": "another-token"})
    assert told(answer) == (400, "validation/invalid-input")
    assert "-token" not in answer.text


async def test_no_other_answer_holds_a_token(site: Site, connected: Integration) -> None:
    before = await site.tokens(connected)
    paths = [
        (method, f"/tenants/{TENANT}/integrations{tail}")
        for method, tail in (
            ("GET", ""),
            ("GET", f"/{connected.id}"),
            ("POST", f"/{connected.id}/test"),
            ("GET", f"/{connected.id}/health"),
            ("GET", f"/{connected.id}/health/history"),
        )
    ]
    paths.append(("POST", f"/oauth/tenants/{TENANT}/integrations/{connected.id}/refresh"))
    answers = [await site.ask("service", method, path) for method, path in paths]
    await site.ask("service", "POST", path_of(connected))
    after = await site.tokens(connected)
    answers.append(await site.ask("service", "DELETE", f"/tenants/{TENANT}/integrations/{connected.id}"))
    answers.append(await site.ask("superadmin", "GET", "/audit"))
    assert [answer.is_success for answer in answers] == [True] * 8
    assert before != after
    assert not any(token in answer.text + str(answer.headers) for token in (before, after) for answer in answers)


async def test_no_answer_is_kept_by_a_cache(site: Site, connected: Integration) -> None:
    answers: list[httpx2.Response] = [
        await site.ask("service", "POST", path_of(connected)),
        await site.ask(None, "POST", path_of(connected)),
        await site.ask("service", "GET", "/nowhere"),
    ]
    assert [answer.headers["Cache-Control"] for answer in answers] == ["no-store"] * 3
    assert {answer.headers["X-Content-Type-Options"] for answer in answers} == {"nosniff"}
