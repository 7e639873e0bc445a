"""The audit log over HTTP and in the dashboard: found, held and restored, by whom it may be."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.families.running import TENANT, Home
from tests.web.board import Board, running_board
from tests.web.site import OTHER, Site, running_site

from lamplighter.core.clock import utcnow
from lamplighter.core.config import Settings
from lamplighter.families.audit.storage import open_storage
from lamplighter.families.audit.tidying import tidy
from lamplighter.integrations.audit import Resource, record
from lamplighter.integrations.auditing.holds import Holds
from lamplighter.integrations.auditing.rules import Rules
from lamplighter.integrations.service import Service

OLD, YOUNG = timedelta(days=120), timedelta(days=1)


class Archiving(Home):
    """A home whose audit log is archived beside it."""

    def settings(self, lease: float = 5) -> Settings:
        return replace(super().settings(lease), audit_archive=f"file://{self.folder}/archive")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    (tmp_path / "archive").mkdir()
    home = Archiving(tmp_path, f"sqlite:///{tmp_path}/lamplighter.db")
    async with running_site(home) as running:
        await fill(running.service)
        settings = home.settings()
        await tidy(running.service.database, open_storage(settings), settings)
        yield running


@pytest.fixture
async def board(sqlite: str) -> AsyncIterator[Board]:
    async with running_board(sqlite, integrating=True) as running:
        yield running


async def fill(service: Service) -> None:
    """Of two tenants and of no single one, an old record and a young one each."""
    for tenant in (TENANT, OTHER, None):
        for action, ago in (("queue.pause", OLD), ("queue.resume", YOUNG)):
            about = [Resource("queue", f"q of {tenant}", tenant)]
            await service.database.write(
                lambda one, action=action, about=about, ago=ago: record(one, action, about, utcnow() - ago)  # type: ignore[misc]
            )


async def found(site: Site, who: str, query: str) -> list[tuple[str, str | None, bool]]:
    answer = await site.ask(who, "GET", f"/audit?{query}")
    assert answer.status_code == 200, answer.text
    return [(one["action"], one["tenantId"], one["archiveId"] is not None) for one in answer.json()["data"]]


async def test_records_are_found_by_what_they_say_in_archives_too(site: Site) -> None:
    everything = f"tenant={TENANT}&archived=true"
    assert await found(site, "viewer", everything) == [("queue.resume", TENANT, False), ("queue.pause", TENANT, True)]
    assert await found(site, "owner", f"{everything}&action=queue.p*") == [("queue.pause", TENANT, True)]
    assert await found(site, "owner", f"{everything}&user=nobody") == []
    since = (utcnow() - timedelta(days=2)).date()
    assert await found(site, "owner", f"{everything}&since={since}") == [("queue.resume", TENANT, False)]
    assert await found(site, "viewer", "shared=true&archived=true") == [
        ("queue.resume", None, False),
        ("queue.pause", None, True),
    ]


@pytest.mark.parametrize(
    ("who", "query", "status"),
    [
        ("owner", f"tenant={OTHER}&archived=true", 403),
        ("owner", "shared=true", 403),
        ("agent", "archived=true", 400),
        ("viewer", "archived=true", 400),
        ("viewer", "since=yesterday", 400),
        ("viewer", "action=a*b", 400),
        ("viewer", "before=nonsense", 400),
    ],
)
async def test_what_is_not_for_the_caller_or_makes_no_sense_is_refused(
    site: Site, who: str, query: str, status: int
) -> None:
    assert (await site.ask(who, "GET", f"/audit?{query}")).status_code == status


async def test_tenants_see_their_own_chain_and_nothing_else_of_how_the_log_is_kept(site: Site) -> None:
    chains = (await site.ask("owner", "GET", "/audit/chains")).json()["data"]
    assert [(one["tenantId"], one["records"]) for one in chains] == [(TENANT, 2)]
    assert chains[0]["head"].startswith(f"{TENANT}:2:")
    for path in ("/audit/archives", "/audit/holds", "/audit/retention"):
        assert (await site.ask("owner", "GET", path)).status_code == 403
    every = (await site.ask("viewer", "GET", "/audit/chains?limit=1")).json()
    assert (every["data"][0]["tenantId"], every["next"]) == (None, "")
    following = (await site.ask("viewer", "GET", f"/audit/chains?after={every['next']}")).json()["data"]
    assert [one["tenantId"] for one in following] == [TENANT, OTHER]


async def test_an_archive_is_restored_by_operators_for_a_while(site: Site, tmp_path: Path) -> None:
    [archive] = (await site.ask("viewer", "GET", f"/audit/archives?tenant={TENANT}")).json()["data"]
    path = f"/audit/archives/{archive['id']}/restore"
    assert (await site.ask("viewer", "POST", path, {"seconds": 60})).status_code == 403
    answer = await site.ask("operator", "POST", path, {"seconds": 60})
    assert answer.json()["data"] == {"records": 1}
    assert [one for one in await found(site, "owner", "") if one[0] == "queue.pause"] == [
        ("queue.pause", TENANT, False)
    ]
    assert (await site.ask("operator", "POST", "/audit/archives/none/restore", {"seconds": 60})).status_code == 404
    (tmp_path / "archive" / archive["place"]).unlink()
    gone = await site.ask("owner", "GET", f"/audit?tenant={TENANT}&archived=true")
    assert (gone.status_code, gone.json()["error"]["code"]) == (502, "audit-archive/unreadable")


async def test_holds_are_placed_by_operators_and_released_by_superadmins(site: Site) -> None:
    new = {"tenant": TENANT, "action": "queue.*", "reason": "a lawsuit"}
    assert (await site.ask("viewer", "POST", "/audit/holds", new)).status_code == 403
    hold = (await site.ask("operator", "POST", "/audit/holds", new)).json()["data"]
    assert (hold["userId"], hold["releasedAt"]) == ("auth|5", None)
    assert (await site.ask("operator", "DELETE", f"/audit/holds/{hold['id']}")).status_code == 403
    assert (await site.ask("superadmin", "DELETE", f"/audit/holds/{hold['id']}")).status_code == 204
    assert (await site.ask("superadmin", "DELETE", f"/audit/holds/{hold['id']}")).status_code == 404
    assert (await site.ask("viewer", "GET", "/audit/holds")).json()["data"] == []
    actions = [action for action, *_ in await found(site, "viewer", "action=audit-hold.*")]
    placed, released = ["audit-hold.place", "audit-hold.placed"], ["audit-hold.release", "audit-hold.released"]
    assert actions == ["audit-hold.release", *released, *placed], "the last one in vain"


async def test_retention_is_set_by_superadmins(site: Site) -> None:
    rule = {"action": "queue.*", "archiveAfter": 86_400, "destroyAfter": None}
    assert (await site.ask("operator", "PUT", "/audit/retention", rule)).status_code == 403
    assert (await site.ask("superadmin", "PUT", "/audit/retention", rule)).status_code == 200
    shown: dict[str, Any] = (await site.ask("viewer", "GET", "/audit/retention")).json()["data"]
    assert shown["rules"] == [{"tenant": "*", **rule}]
    assert shown["otherwise"]["destroyAfter"] == 400 * 86_400
    assert (await site.ask("superadmin", "DELETE", "/audit/retention?action=queue.*")).status_code == 204
    assert (await site.ask("superadmin", "DELETE", "/audit/retention?action=queue.*")).status_code == 404


async def test_the_dashboard_shows_how_the_log_is_kept_and_lets_it_be_held(board: Board) -> None:
    assert board.tokens is not None
    service = board.tokens.service
    await fill(service)
    await tidy(service.database, None, board.app.settings)
    page = await board.page("/audit/keeping")
    assert "is not set" in page
    assert f'id="chain-{TENANT}"' in page
    assert 'id="holding"' not in page, "a viewer holds nothing"
    await board.post("/audit/hold", tenant="_", action="", reason="<b>why</b>")
    [hold] = await Holds(service.database).page()
    assert (hold.tenant, hold.action, hold.user_id) == ("", "*", "auth|operator")
    assert "&lt;b&gt;why&lt;/b&gt;" in await board.page("/audit/keeping", who="superadmin")
    assert (await board.post(f"/audit/release/{hold.id}")).status_code == 403
    assert (await board.post("/audit/rule", "superadmin", action="queue.*", archive="1d", destroy="never")).is_redirect
    [rule] = await Rules(service.database).all()
    assert (rule.tenant, rule.archive_after, rule.destroy_after) == ("*", timedelta(days=1), None)
    assert (await board.post("/audit/rule", "superadmin", archive="soon", destroy="never")).status_code == 400
    await board.post("/audit/rule/unset", "superadmin", tenant="*", action="queue.*")
    await board.post(f"/audit/release/{hold.id}", "superadmin")
    assert (await Rules(service.database).all(), await Holds(service.database).page()) == ([], [])


async def test_the_dashboard_finds_records(board: Board) -> None:
    assert board.tokens is not None
    await fill(board.tokens.service)
    page = await board.page("/audit", tenant=TENANT, action="queue.r*")
    assert [re.sub("<wbr>", "", one) for one in re.findall(r'mono">([^\n]+)</td>', page)] == ["queue.resume"]
    assert "Archives are searched of one tenant" in await board.page("/audit", archived="true")
    assert (await board.ask("viewer", "/audit", query={"since": "nonsense"})).status_code == 400
