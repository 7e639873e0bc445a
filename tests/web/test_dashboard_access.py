"""Who may see the dashboard, and do what there."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from tests.web.board import PAGES, PLACES_OF_CODE, WITH_INTEGRATIONS, Board, buttons, running_board

from lamplighter.core.model import State
from lamplighter.web.dashboard import STATIC


async def test_each_page_is_there_for_who_may_look(board: Board) -> None:
    for path in PAGES:
        page = await board.page(path)
        assert "<h1" in page, path


async def test_each_page_about_integrations_is_there_with_them_and_not_without(board: Board, sqlite: str) -> None:
    for path in WITH_INTEGRATIONS:
        assert (await board.ask("viewer", path)).status_code == 404
    assert "Integrations" not in await board.page()
    async with running_board(f"{sqlite}.too", integrating=True) as other:
        for path in WITH_INTEGRATIONS:
            assert "<h1" in await other.page(path), path


async def test_who_is_not_known_sees_a_page_that_says_so(board: Board) -> None:
    for path in PAGES:
        answer = await board.ask(None, path)
        assert (answer.status_code, "Nobody is signed in" in answer.text) == (401, True), path


async def test_who_is_not_known_is_sent_to_the_login_page_if_there_is_one(sqlite: str) -> None:
    async with running_board(sqlite, login_url="/login") as board:
        answer = await board.ask(None, "/jobs")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
        assert (await board.ask(None, "/queues/exports/pause", "POST")).status_code == 401


async def test_a_part_of_a_page_that_nobody_may_see_any_more_has_the_page_loaded_anew(board: Board) -> None:
    answer = await board.ask(None, "/", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Refresh"]) == (401, "true")


async def test_a_tenant_is_refused_everywhere(board: Board) -> None:
    [failed] = await board.fail("inbox")
    for path in (*PAGES, f"/jobs/{failed.id}", "/history"):
        answer = await board.ask("tenant", path)
        assert (answer.status_code, "Not for you" in answer.text) == (403, True), path
    assert (await board.post(f"/jobs/{failed.id}/retry", "tenant")).status_code == 403
    assert (await board.see(failed.id)).state is State.FAILED


async def test_a_viewer_sees_no_buttons_and_is_refused_what_they_would_do(board: Board) -> None:
    [failed] = await board.fail("inbox")
    [waiting] = await board.app.enqueue([board.jobs.greet.draft("Ada")])
    await board.app.gates.open("provider:lantern")
    pages = (*PAGES, f"/jobs/{failed.id}", f"/jobs/{waiting.id}")
    actions = {action for path in pages for action in buttons(await board.page(path, "operator"))}
    assert len(actions) == 8
    for path in pages:
        assert buttons(await board.page(path, "viewer")) == []
    for action in actions:
        path = action.removeprefix("/admin/queues")
        assert (await board.post(path, "viewer")).status_code == 403, path
    assert (await board.see(failed.id)).state is State.FAILED


async def test_every_page_forbids_and_holds_no_inline_code_or_style(board: Board) -> None:
    [failed] = await board.fail("inbox")
    for path in (*PAGES, f"/jobs/{failed.id}", "/nowhere"):
        answer = await board.ask("operator", path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["Cache-Control"] == "no-store"
        assert re.findall(PLACES_OF_CODE, answer.text) == [], path


async def test_nothing_is_loaded_from_elsewhere_and_all_that_is_loaded_is_there(board: Board) -> None:
    page = await board.page()
    loaded = re.findall(r'(?:src|<link[^>]* href)="([^"]+)"', page)
    assert len(loaded) >= 7
    for address in loaded:
        assert address.startswith("/admin/queues/static/")
        answer = await board.ask(None, address.removeprefix("/admin/queues"))
        assert answer.status_code == 200, address
        assert "max-age" in answer.headers["Cache-Control"]


def test_what_is_vendored_is_what_the_decisions_say_with_its_licence() -> None:
    told = (Path(__file__).parents[2] / "docs" / "decisions.md").read_text()
    files = [one for one in (STATIC / "vendor").iterdir() if one.suffix != ".LICENSE"]
    assert len(files) == 4
    for file in files:
        assert f"`{hashlib.sha256(file.read_bytes()).hexdigest()}`" in told, file
        assert list(file.parent.glob(f"{file.name.split('.')[0].removesuffix('-ext')}*LICENSE")), file


async def test_any_prefix_will_do(sqlite: str) -> None:
    async with running_board(sqlite, at="/back/office") as board:
        page = await board.page("/queues")
        links = re.findall(r'(?:href|src|action|hx-get)="(/[^"]*)"', page)
        assert links
        assert all(link.startswith("/back/office/") for link in links)


@pytest.mark.parametrize("path", ["/jobs/none", "/jobs/a%00b", "/nowhere", "/tenants/x/integrations/y"])
async def test_what_is_not_there_is_a_page_that_says_so(board: Board, path: str) -> None:
    answer = await board.ask("viewer", path)
    assert (answer.status_code, "Not here" in answer.text) == (404, True)


@pytest.mark.parametrize("query", [{"state": "<odd>"}, {"before": "ünknown"}, {"queue": "x" * 201}])
async def test_an_address_that_cannot_be_is_refused_without_repeating_it(board: Board, query: dict[str, str]) -> None:
    answer = await board.ask("viewer", "/jobs", query=query)
    assert answer.status_code == 400
    assert next(iter(query)) in answer.text
    assert next(iter(query.values())) not in answer.text
