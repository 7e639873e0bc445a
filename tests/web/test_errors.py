"""What errors look like, those included that nobody foresaw."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from fastapi import Request
from tests.families.running import TENANT
from tests.web import site as site_module
from tests.web.site import Site, told

from lamplighter.core.errors import ConfigError, LamplighterError, StoreError, StoreUnavailable, UnknownJob
from lamplighter.integrations.vault import UnknownKey, VaultError
from lamplighter.web import Caller, http_api
from lamplighter.web.errors import KINDS, kind_of

CONNECT = f"/tenants/{TENANT}/integrations/connect"


def test_each_error_has_a_status_and_a_code_of_the_convention() -> None:
    for status, code in KINDS.values():
        assert 400 <= status < 600
        assert re.fullmatch(r"[a-z-]+/[a-z-]+", code)


@pytest.mark.parametrize(
    ("error", "nearest"),
    [(UnknownJob("x"), LamplighterError), (UnknownKey("x"), VaultError), (StoreUnavailable("x"), StoreError)],
)
def test_an_error_without_a_line_is_told_as_its_nearest_class_is(
    error: LamplighterError, nearest: type[LamplighterError]
) -> None:
    assert type(error) not in KINDS
    assert kind_of(error) == KINDS[nearest]


async def test_what_nobody_foresaw_says_nothing_of_itself(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: Request) -> Caller | None:
        raise RuntimeError("the host's password is hunter2")

    monkeypatch.setattr(site.api.state, "given", site.api.state.given._replace(identify=fail))
    answer = await site.ask("owner", "GET", f"/tenants/{TENANT}/integrations")
    assert told(answer) == (500, "server/internal-error")
    assert "hunter2" not in answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/nowhere", (404, "route/not-found")),
        ("GET", "/audit/", (404, "route/not-found")),
        ("PUT", "/audit", (405, "route/method-not-allowed")),
    ],
)
async def test_wrong_paths_and_methods(site: Site, method: str, path: str, expected: tuple[int, str]) -> None:
    assert told(await site.ask("owner", method, path)) == expected


async def test_a_body_of_more_than_64_kib_is_refused_whatever_it_says_of_its_length(site: Site) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b"x" * 1024

    async with site.calling("owner") as http:
        headers = {"Content-Type": "application/json"}
        said = await http.post(CONNECT, content=b"x" * (70 * 1024), headers=headers)
        unsaid = await http.post(CONNECT, content=chunks(), headers=headers)
    assert [told(said), told(unsaid)] == [(413, "validation/too-large")] * 2


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", "application/json"),
        (b"\xff", "application/json"),
        (b"[" * 60_000, "application/json"),
        (b"{}", "text/plain"),
    ],
)
async def test_what_is_no_json_is_refused(site: Site, body: bytes, kind: str) -> None:
    """Nor is what says that it is something else: a form of another site could send that with a browser's cookies."""
    async with site.calling("owner") as http:
        answer = await http.post(CONNECT, content=body, headers={"Content-Type": kind})
    assert told(answer) == (400, "validation/invalid-input")


@pytest.mark.parametrize(
    "public_url", ["http://shop.example", "shop.example", "https://a:b@shop.example", "https://shop.example?x=1", ""]
)
async def test_the_api_wants_to_know_where_it_is(site: Site, public_url: str) -> None:
    with pytest.raises(ConfigError, match="public_url"):
        http_api(site.inside.app, identify=site_module.identify, tokens=site.inside.tokens, public_url=public_url)


@pytest.mark.parametrize("prefix", ["api", "/api/", "/"])
async def test_a_prefix_is_a_path(site: Site, prefix: str) -> None:
    with pytest.raises(ConfigError, match="prefix"):
        http_api(site.inside.app, identify=site_module.identify, prefix=prefix)
