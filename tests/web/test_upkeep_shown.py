"""Upkeep over HTTP: in the API, and on the dashboard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.web.board import Board, buttons, running_board
from tests.web.site import Site

from lamplighter.core.model import Where
from lamplighter.families.upkeep import UpkeepFamily


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[Board]:
    async with running_board(f"sqlite:///{tmp_path}/jobs.db", integrating=True) as found:
        yield found


async def test_the_page_tells_what_is_due_and_what_was_done(board: Board) -> None:
    page = await board.page("/upkeep")
    assert "It is read whole once a week" in page
    assert "This app does none of it by itself" in page
    assert "Nothing was done yet" in page
    refused = await board.post("/upkeep/run", task="check")
    assert refused.status_code == 409


async def test_the_api_reports_and_says_who_does_it(site: Site) -> None:
    report = (await site.ask("viewer", "GET", "/upkeep")).json()["data"]
    [check] = [one for one in report["findings"] if one["task"] == "check"]
    assert check["isDue"]
    assert (report["open"], report["next"]) == (None, None)
    nobody = await site.ask("superadmin", "POST", "/upkeep/run", {})
    assert (nobody.status_code, nobody.json()["error"]["code"]) == (409, "upkeep/not-here")
    assert (await site.ask("viewer", "POST", "/upkeep/run", {})).status_code == 403
    bad = await site.ask("operator", "POST", "/upkeep/run", {"tasks": ["polish"]})
    assert bad.status_code == 400
    assert (await site.ask("viewer", "GET", "/upkeep/runs")).json()["data"] == []
    sizes = (await site.ask("viewer", "GET", "/upkeep/sizes")).json()["data"]
    assert sizes == {"growth": [], "at": [], "lines": []}


async def test_who_asks_for_it_gets_a_job_and_is_in_the_audit_log(site: Site) -> None:
    UpkeepFamily(site.inside.app, site.inside.tokens)
    asked = await site.ask("operator", "POST", "/upkeep/run", {"tasks": ["check"], "minutes": 5})
    assert asked.status_code == 202
    job = (await site.ask("operator", "GET", f"/jobs/{asked.json()['data']['jobId']}")).json()["data"]
    assert job["name"] == "upkeep.run"
    [record] = [one for one in await site.service.audit.page() if one.action == "upkeep.run"]
    assert (record.user_id, record.result) == ("auth|5", "success")
    assert record.details["metadata"]["tasks"] == ["check"]


async def test_who_presses_the_button_has_one_thing_done(board: Board) -> None:
    assert board.tokens is not None
    UpkeepFamily(board.app, board.tokens)
    page = await board.page("/upkeep", who="operator")
    assert buttons(page).count("/admin/queues/upkeep/run") == 2
    assert buttons(await board.page("/upkeep")) == [], "who only looks has none"
    pressed = await board.post("/upkeep/run", task="check", subject="jobs.db")
    assert pressed.headers["Location"].endswith("/upkeep?did=upkeep-asked")
    [job] = await board.app.store.page(Where(names=("upkeep.run",)), limit=2)
    assert job.name == "upkeep.run"
