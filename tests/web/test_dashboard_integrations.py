"""The pages of the dashboard about integrations."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from tests.web.board import Board, buttons, running_board

from lamplighter.demo.settle import settle
from lamplighter.demo.world import World
from lamplighter.integrations.integration import Integration
from lamplighter.integrations.notices.own_words import OwnWords
from lamplighter.integrations.service import Service


@pytest.fixture
async def whole(sqlite: str) -> AsyncIterator[Board]:
    async with running_board(sqlite, integrating=True) as running:
        yield running


@pytest.fixture
async def connected(whole: Board, world: World) -> list[Integration]:
    """Every grant of a demo world."""
    return await settle(service(whole), world.url)


def service(board: Board) -> Service:
    assert board.tokens is not None
    return board.tokens.service


def path_of(one: Integration) -> str:
    return f"/tenants/{one.tenant_id}/integrations/{one.id}"


async def test_the_board_counts_each_status_and_filters(whole: Board, connected: list[Integration]) -> None:
    await service(whole).disconnecting.disconnect(connected[0].id)
    page = await whole.page("/integrations")
    assert f'status=active">{len(connected) - 1}<' in page
    assert 'status=pending">1<' in page
    only = await whole.page("/integrations", status="pending")
    assert re.findall(r'class="name"><a href="/admin/queues([^"]+)"', only) == [path_of(connected[0])]


async def test_the_board_shows_when_tokens_expire_as_bars_and_as_a_table(
    whole: Board, connected: list[Integration]
) -> None:
    page = await whole.page("/integrations", span="24h")
    assert page.count("<rect ") == 24
    assert page.count('data-label="Tokens"') == 24
    assert "No refresh is late" in page
    counted = sum(map(int, re.findall(r'data-label="Tokens" class="n">\s*<span[^>]*>(\d+)', page)))
    assert counted == sum(one.expires_at is not None for one in connected)
    soonest = re.findall(r'<li><p><a href="/admin/queues([^"]+)"', page)
    assert len(soonest) == min(8, counted)
    assert (await whole.ask("viewer", "/integrations", query={"span": "1y"})).status_code == 400


async def test_one_shows_what_is_known_and_never_a_token(whole: Board, connected: list[Integration]) -> None:
    access = await service(whole).integrations.access(connected[0].id)
    assert access is not None
    page = await whole.page(path_of(connected[0]), "operator")
    assert page.count('<li class="calm"') == 60
    assert access.access_token.reveal() not in page
    assert len(buttons(page)) == 2


async def test_it_is_refreshed_and_checked_at_the_press_of_a_button(whole: Board, connected: list[Integration]) -> None:
    path = path_of(connected[0])
    for action, did in (("refresh", "refreshed"), ("check", "checked")):
        answer = await whole.post(f"{path}/{action}")
        assert (answer.status_code, answer.headers["Location"]) == (303, f"/admin/queues{path}?did={did}")
    now = await service(whole).integrations.get(connected[0].id)
    assert now is not None
    assert now.token_version == connected[0].token_version + 1
    page = await whole.page(path)
    assert '<span class="state healthy">' in page
    log = await whole.page("/audit", tenant=connected[0].tenant_id)
    assert log.count("auth|operator") == 2


async def test_what_cannot_be_done_is_a_page_that_says_why(whole: Board, connected: list[Integration]) -> None:
    await service(whole).disconnecting.disconnect(connected[0].id)
    answer = await whole.post(f"{path_of(connected[0])}/refresh")
    assert (answer.status_code, "Not as things are" in answer.text) == (409, True)


async def test_a_viewer_may_neither_refresh_nor_check(whole: Board, connected: list[Integration]) -> None:
    path = path_of(connected[0])
    assert buttons(await whole.page(path)) == []
    for action in ("refresh", "check"):
        assert (await whole.post(f"{path}/{action}", "viewer")).status_code == 403


async def test_an_integration_is_found_under_its_own_tenant_only(whole: Board, connected: list[Integration]) -> None:
    stranger = next(one for one in connected if one.tenant_id != connected[0].tenant_id)
    answer = await whole.ask("operator", f"/tenants/{stranger.tenant_id}/integrations/{connected[0].id}")
    assert answer.status_code == 404


async def test_a_tenants_notifications_are_shown_apart(whole: Board, connected: list[Integration]) -> None:
    tenant = connected[0].tenant_id
    page = await whole.page("/notifications", tenant=tenant)
    shown = set(re.findall(r"/tenants/([^/]+)/integrations/", page))
    assert shown == {tenant}
    assert "connected" in page


async def test_a_mail_is_previewed_in_a_frame_where_nothing_runs(whole: Board, connected: list[Integration]) -> None:
    tenant, event = connected[0].tenant_id, "integration.revoked"
    html = "<b>{{ provider }}</b><script>alert(1)</script>"
    words = OwnWords(tenant_id=tenant, event=event, subject="Ours: {{ provider }}", html=html)
    await service(whole).templates.set(words)
    page = await whole.ask("viewer", "/notifications/events", query={"tenant": tenant, "event": event})
    assert "Ours: Lantern Drive" in page.text
    assert "<script>alert" not in page.text
    assert re.search(r'<iframe class="mail" sandbox title="[^"]+" src="[^"]+/notifications/mail\?', page.text)
    assert "frame-src 'self'" in page.headers["Content-Security-Policy"]
    mail = await whole.ask("viewer", "/notifications/mail", query={"tenant": tenant, "event": event})
    assert mail.text == html.replace("{{ provider }}", "Lantern Drive")
    policy = mail.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox; default-src 'none'; ")  # no allow-scripts: what a tenant wrote does not run
    assert "script-src" not in policy
    shipped = await whole.ask("viewer", "/notifications/mail", query={"event": event})
    assert "no longer lets us in" in shipped.text
    assert (await whole.ask("viewer", "/notifications/mail", query={"event": "none.such"})).status_code == 400
    await whole.post(f"/tenants/{tenant}/notifications/events/{event}", digest="muted")
    assert [one.event for one in await service(whole).preferences.all(tenant) if one.muted] == [event]


@pytest.mark.parametrize(
    "search",
    [f"/{page}={{}}" for page in ("jobs?tenant", "jobs?queue", "jobs?name", "notifications?tenant", "audit?tenant")]
    + ["/integrations?tenant={}", "/integrations?provider={}"],
)
async def test_what_some_databases_cannot_look_for_is_refused_before_they_are_asked(whole: Board, search: str) -> None:
    assert (await whole.ask("viewer", search.format("%00"))).status_code == 400
    assert (await whole.ask("viewer", search.format(""))).status_code == 200
