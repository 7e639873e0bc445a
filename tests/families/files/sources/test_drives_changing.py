"""What drives tell of what changed: each file as it is now, and what is gone, through faults and resets."""

from __future__ import annotations

from typing import Any

import pytest
from tests.counterparts.fault_proxy import Exchange, answer
from tests.families.files.sources.fake_drives import FakeBox, FakeDropbox
from tests.families.files.sources.homes import Google, Graph, InMemory, changed, listed

from lamplighter.families.files.source import CursorReset, Entry, FileRefused, SourceDown, SourceRefused

TREE = {"lamps/oil.txt": b"a pint", "lamps/wick.txt": b"an inch", "street/map.txt": b"a mile", "letter.txt": b"Dear"}


async def read(source: Any, entry: Entry) -> bytes:
    async with source.open(entry) as pieces:
        return b"".join([piece async for piece in pieces])


async def test_google_tells_changes_moves_and_trash_and_exports_its_documents(google: Google) -> None:
    await google.fill(TREE)
    pages, found = await listed(google)
    async with google.open() as source:
        await google.put("letter.txt", b"Dear lamplighter")
        await google.move("lamps/wick.txt", "street", "cord.txt")
        await google.change("street/map.txt", trashed=True)
        await google.delete("lamps/oil.txt")
        there, gone, cursor = await changed(source, pages[-1].cursor)
        assert there[google.ids["letter.txt"]].revision != found["letter.txt"].revision
        cord = there[google.ids["lamps/wick.txt"]]
        assert (cord.name, cord.parent, cord.revision) == (
            *("cord.txt", google.ids["street"]),
            found["lamps/wick.txt"].revision,
        )
        assert gone == {google.ids["street/map.txt"], google.ids["lamps/oil.txt"]}
        assert (await changed(source, cursor))[:2] == ({}, set())

        google.proxy.meet(f"/drive/v3/files/{cord.id}/export", answer(200, b"as text"))
        assert (
            await read(source, Entry(id=cord.id, name="", mime_type="application/vnd.google-apps.document"))
            == b"as text"
        )
        with pytest.raises(FileRefused, match="shortcut of Google Drive has no content"):
            await read(source, Entry(id=cord.id, name="", mime_type="application/vnd.google-apps.shortcut"))


async def test_a_folder_of_google_is_told_with_what_comes_into_it_and_without_what_leaves_it(google: Google) -> None:
    await google.fill(TREE | {"lamps/old/tin.txt": b"rust"})
    pages, found = await listed(google, google.ids["lamps"], killed=True)
    assert set(found) == {"oil.txt", "wick.txt", "old", "old/tin.txt"}
    async with google.open(google.ids["lamps"]) as source:
        await google.change("lamps/oil.txt", parents=[google.ids["street"]])
        await google.put("letter.txt", b"it is none of the folder's")
        await google.change("street", parents=[google.ids["lamps"]])
        there, gone, _cursor = await changed(source, pages[-1].cursor)
        names = {entry.name for entry in there.values()}
        assert names == {"street", "map.txt", "oil.txt"}  # where the oil is now is in the folder again
        assert gone == {google.ids["letter.txt"]}
        await google.change("lamps", trashed=True)
        with pytest.raises(SourceRefused, match="no more"):
            await changed(source, pages[-1].cursor)


async def test_google_asks_to_wait_in_its_own_way_and_forgets_cursors(google: Google) -> None:
    await google.fill({"letter.txt": b"Dear"})
    pages, _found = await listed(google)
    async with google.open() as source:
        slow = {"error": {"code": 403, "errors": [{"reason": "userRateLimitExceeded"}], "message": "Slow down"}}
        google.proxy.meet("/drive/v3/changes", answer(403, slow))
        with pytest.raises(SourceDown, match="Slow down"):
            await source.delta(pages[-1].cursor)
        over = {
            "error": {"code": 400, "errors": [{"reason": "invalid", "location": "pageToken"}], "message": "Invalid"}
        }
        google.proxy.meet("/drive/v3/changes", answer(400, over))
        with pytest.raises(CursorReset):
            await source.delta(pages[-1].cursor)
        google.proxy.meet("/drive/v3/changes", answer(200, b'{"changes": "none"}'))
        with pytest.raises(SourceDown, match="something else"):
            await source.delta(pages[-1].cursor)


async def test_graph_tells_changes_moves_and_deletions_and_is_listed_anew_after_a_reset(graph: Graph) -> None:
    await graph.fill(TREE)
    pages, found = await listed(graph)
    async with graph.open() as source:
        await graph.put("letter.txt", b"Dear lamplighter")
        await graph.move("lamps/wick.txt", "street", "cord.txt")
        await graph.delete("street/map.txt")
        there, gone, cursor = await changed(source, pages[-1].cursor)
        assert there[graph.ids["letter.txt"]].revision != found["letter.txt"].revision
        cord = there[graph.ids["lamps/wick.txt"]]
        assert (cord.name, cord.parent) == ("cord.txt", graph.ids["street"])
        assert gone == {graph.ids["street/map.txt"]}
        graph.proxy.meet("/v1.0/me/drive/root/delta", answer(410, {"error": {"code": "resyncRequired"}}))
        with pytest.raises(CursorReset):
            await source.delta(cursor)
    _pages, again = await listed(graph)
    assert {"letter.txt", "street/cord.txt", "lamps/oil.txt"} <= set(again)


async def test_graph_leads_to_nobody_else_and_downloads_take_no_token_along(graph: Graph) -> None:
    await graph.fill({"letter.txt": b"Dear"})
    pages, found = await listed(graph)

    async def signed(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 302 Found\r\nLocation: /signed/1\r\nContent-Length: 0\r\n\r\n")

    async with graph.open() as source:
        graph.proxy.meet(f"/v1.0/me/drive/items/{found['letter.txt'].id}/content", signed)
        with pytest.raises(FileRefused, match="401"):  # the mock wants a token everywhere: it came without one
            await read(source, found["letter.txt"])

        async def to_plain_http(exchange: Exchange) -> None:
            location = b"http://signed.example/1"
            await exchange.send(b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n")

        graph.proxy.meet(f"/v1.0/me/drive/items/{found['letter.txt'].id}/content", to_plain_http)
        with pytest.raises(FileRefused, match="unsafe"):
            await read(source, found["letter.txt"])
        evil = {"value": [], "@odata.nextLink": "https://evil.example/delta"}
        graph.proxy.meet("/v1.0/me/drive/root/delta", answer(200, evil))
        with pytest.raises(SourceRefused, match="not its own"):
            await source.delta(pages[-1].cursor)


async def test_dropbox_tells_changes_in_order_by_path(dropbox: InMemory) -> None:
    assert isinstance(dropbox.fake, FakeDropbox)
    await dropbox.fill(TREE)
    pages, found = await listed(dropbox, killed=True)
    async with dropbox.open() as source:
        dropbox.fake.put("Lamps/gas.txt", b"a cubic foot")
        dropbox.fake.delete("lamps/oil.txt")
        dropbox.fake.delete("street")
        dropbox.fake.put("street/lane.txt", b"a yard")
        there, gone, cursor = await changed(source, pages[-1].cursor)
        assert {entry.path for entry in there.values()} == {"lamps", "lamps/gas.txt", "street", "street/lane.txt"}
        assert gone == {"/lamps/oil.txt"}
        assert {found["lamps/oil.txt"].id} == gone
        dropbox.fake.is_reset = True
        with pytest.raises(CursorReset):
            await source.delta(cursor)
    _pages, part = await listed(dropbox, "/street")
    assert set(part) == {"lane.txt"}


async def test_box_tells_items_as_they_are_now_however_events_come(box: InMemory) -> None:
    assert isinstance(box.fake, FakeBox)
    await box.fill(TREE)
    pages, found = await listed(box, box.fake.id_of("lamps"))
    assert set(found) == {"oil.txt", "wick.txt"}
    async with box.open(box.fake.id_of("lamps")) as source:
        oil, letter = box.fake.id_of("lamps/oil.txt"), box.fake.id_of("letter.txt")
        box.fake.put("lamps/wick.txt", b"two inches")
        box.fake.put("lamps/wick.txt", b"three inches")
        box.fake.put("letter.txt", b"it is none of the folder's")
        box.fake.delete("lamps/oil.txt")
        box.fake.move("street", "lamps")
        there, gone, cursor = await changed(source, pages[-1].cursor)
        assert {entry.name for entry in there.values()} == {"wick.txt", "street", "map.txt"}
        assert gone == {oil, letter}
        assert await read(source, there[found["wick.txt"].id]) == b"three inches"
        assert all("authorization" not in head for head in box.fake.heads)
        assert len(box.fake.heads) == 1
        assert (await changed(source, cursor))[:2] == ({}, set())
        box.fake.delete("lamps")
        with pytest.raises(SourceRefused, match="no more"):
            await changed(source, cursor)
