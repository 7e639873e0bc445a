"""The pages of the dashboard about files."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.families.running import TENANT
from tests.web.board import OTHER, Board, buttons, running_board
from tests.web.filed import PASSWORD, Filed, add_source, fill

from lamplighter.families.files.file_source import FileSource
from lamplighter.integrations.service import Service

HOSTILE = "<script>alert(1)</script> & <mark>buns</mark>"


@pytest.fixture
async def whole(sqlite: str) -> AsyncIterator[Board]:
    async with running_board(sqlite, integrating=True) as running:
        yield running


@pytest.fixture
async def source(whole: Board) -> FileSource:
    return await add_source(service(whole), TENANT)


def service(board: Board) -> Service:
    assert board.tokens is not None
    return board.tokens.service


async def test_sources_show_how_far_they_are_and_why_they_fail(whole: Board, source: FileSource) -> None:
    filed = [Filed("a.txt"), Filed("b.txt", status="pending"), Filed("c.txt", status="error", reason="cut off")]
    await fill(service(whole), source, filed, failure=f"it said {HOSTILE}")
    page = await whole.page("/files", "operator")
    assert '<progress max="3" value="2"' in page
    assert "still listing" in page
    assert "it said &lt;script&gt;" in page
    assert PASSWORD not in page
    base = f"/admin/queues/tenants/{TENANT}/file-sources/{source.id}"
    assert buttons(page) == [f"{base}/sync", f"{base}/pause", f"{base}/remove"]
    assert buttons(await whole.page("/files")) == []
    assert "no sources of files" in await whole.page("/files", tenant=OTHER)


async def test_buttons_do_what_they_say_and_the_log_says_who_pressed_them(whole: Board, source: FileSource) -> None:
    base = f"/tenants/{TENANT}/file-sources/{source.id}"
    presses = {"pause": "paused", "sync": None, "resume": "resumed", "remove": "removed"}
    for action, did in presses.items():
        answer = await whole.post(f"{base}/{action}")
        assert answer.headers["Location"].endswith(f"did={'nothing' if did is None else 'source-' + did}")
    assert (await whole.post(f"{base}/pause")).status_code == 404
    assert (await whole.post(f"{base}/pause", "viewer")).status_code == 403
    noted = [(one.action, one.user_id) for one in await service(whole).audit.page()]
    assert {(f"file-source.{action}", "auth|operator") for action in presses} <= set(noted)


async def test_files_are_filtered_and_found_and_all_that_they_say_is_text(whole: Board, source: FileSource) -> None:
    filed = [Filed("recipes/<b>.txt", HOSTILE, title="T"), Filed("other.md", "buns too", mime_type="text/markdown")]
    [first, _] = await fill(service(whole), source, filed)
    at = f"/tenants/{TENANT}/files"
    page = await whole.page(at, folder="recipes", status="")
    assert ("recipes/<wbr>&lt;b&gt;." in page, "other." in page) == (True, False)
    assert "What files say" not in page, "a viewer has nothing to search with"
    found = await whole.page(f"{at}/search", "operator", q="buns", type="text/plain")
    assert found.count("<mark>") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &lt;mark&gt;<mark>buns</mark>&lt;/mark&gt;" in found
    for path in (f"{at}/search?q=buns", f"{at}/{first}/text"):
        assert (await whole.ask("viewer", path)).status_code == 403
    assert "<dt>Title</dt>" not in await whole.page(f"{at}/{first}")
    assert "<dt>Title</dt>" in await whole.page(f"{at}/{first}", "operator")
    assert "&lt;script&gt;alert(1)" in await whole.page(f"{at}/{first}/text", "operator")
    noted = [one for one in await service(whole).audit.page() if one.resource_type == "file"]
    assert [(one.action, one.tenant_id) for one in noted] == [("file.read", TENANT), ("file.search", TENANT)]
    assert "buns" not in str(noted)


async def test_a_file_is_found_under_its_own_tenant_only(whole: Board, source: FileSource) -> None:
    [id_] = await fill(service(whole), source, [Filed("a.txt", "buns")])
    for path in (f"/tenants/{OTHER}/files/{id_}", f"/tenants/{OTHER}/files/{id_}/text"):
        assert (await whole.ask("operator", path)).status_code == 404
    assert "Nothing says that" in await whole.page(f"/tenants/{OTHER}/files/search", "operator", q="buns")
