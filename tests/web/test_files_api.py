"""Tenants' files and where they are, over HTTP."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from msgspec.structs import replace
from tests.families.running import TENANT
from tests.web.filed import PASSWORD, Filed, add_source, fill
from tests.web.site import OTHER, Site, told

from lamplighter.demo.world import World

SOURCES = f"/tenants/{TENANT}/file-sources"
FILES = f"/tenants/{TENANT}/files"
SHARE = {
    "kind": "webdav",
    "name": "Papers",
    "place": "https://dav.example.com/papers/",
    "credentials": {"user": "ada", "password": PASSWORD},
}
RECIPES = [
    Filed("recipes/buns.txt", "Cinnamon <b>buns</b> need patience", title="Buns"),
    Filed("recipes/bread.md", "Bread needs time", mime_type="text/markdown"),
    Filed("scan.pdf", status="error", reason="it is cut off"),
    Filed("zebra.txt", "buns, buns and buns", status="pending"),
]


async def all_of(site: Site, path: str, first: str, **query: str) -> list[Any]:
    """Everything of a list, page by page, as its owner gets it."""
    found: list[Any] = []
    next_: str | None = first
    while next_ is not None:
        page = (await site.ask("owner", "GET", f"{path}?{urlencode({**query, 'limit': 2, 'after': next_})}")).json()
        found, next_ = [*found, *page["data"]], page["next"]
    return found


async def of(site: Site, who: str, path: str) -> Any:
    """What is answered, if all goes well."""
    status, data = told(await site.ask(who, "GET", path))
    assert status == 200, data
    return data


async def test_tenants_add_drives_of_their_integrations_and_operators_add_the_rest(site: Site, world: World) -> None:
    connected = await site.connect(world.url)
    drive = {"kind": "drive", "name": "Drive", "integrationId": connected.id}
    assert told(await site.ask("owner", "POST", SOURCES, drive))[0] == 400, "its provider has no drive"
    provider = await site.service.registrations.get(connected.provider_slug)
    await site.service.registrations.register(replace(provider, drive="gdrive"))
    status, added = told(await site.ask("owner", "POST", SOURCES, drive))
    assert (status, added["state"], added["credentials"]) == (201, "active", None)
    assert told(await site.ask("owner", "POST", SOURCES, SHARE))[0] == 403
    assert told(await site.ask("viewer", "POST", SOURCES, drive | {"name": "Another"}))[0] == 403
    foreign = await site.ask("stranger", "POST", f"/tenants/{OTHER}/file-sources", drive)
    assert told(foreign) == (400, "validation/invalid-input")
    answer = await site.ask("operator", "POST", SOURCES, SHARE)
    assert (answer.status_code, told(answer)[1]["credentials"], PASSWORD in answer.text) == (201, "[REDACTED]", False)
    assert [one["name"] for one in await of(site, "owner", "/file-sources")] == ["Drive", "Papers"]
    assert await of(site, "stranger", "/file-sources") == []
    refused = await site.ask("operator", "POST", SOURCES, SHARE | {"name": "x", "credentials": {"user": [PASSWORD]}})
    assert (refused.status_code, PASSWORD in refused.text) == (400, False)
    assert [(one.user_id, one.result) for one in await site.records("file-source.add")] == [
        ("auth|1", "failure"),
        ("auth|1", "success"),
        ("auth|1", "failure"),
        ("auth|2", "failure"),
        ("auth|5", "success"),
        ("auth|5", "failure"),
    ]


async def test_a_source_is_paused_resumed_looked_at_and_removed(site: Site) -> None:
    source = await add_source(site.service, TENANT)
    path = f"{SOURCES}/{source.id}"
    async with site.calling("owner") as owner:
        assert told(await owner.post(f"{path}/pause"))[1]["state"] == "paused"
        assert told(await owner.post(f"{path}/sync")) == (409, "file-source/not-active")
        assert told(await owner.post(f"{path}/resume"))[1]["state"] == "active"
        assert told(await owner.post(f"{path}/sync"))[0] == 200
        elsewhere = path.replace(TENANT, OTHER)
        assert told(await site.ask("stranger", "GET", elsewhere)) == (404, "file-source/not-found")
        assert (await owner.delete(path)).status_code == 204
        assert told(await owner.get(path)) == (404, "file-source/not-found")


async def test_files_are_listed_by_path_and_filtered(site: Site) -> None:
    source = await add_source(site.service, TENANT)
    await fill(site.service, source, RECIPES)
    assert [one["path"] for one in await all_of(site, FILES, "")] == sorted(one.path for one in RECIPES)
    for query, expected in (("folder=recipes", 2), ("status=error", 1), ("type=text/m", 1), ("language=de", 0)):
        assert len(await of(site, "owner", f"{FILES}?{query}")) == expected, query
    shown = await of(site, "owner", f"{SOURCES}/{source.id}")
    assert [shown[name] for name in ("files", "processed", "pending", "failed")] == [4, 2, 1, 1]


async def test_a_look_for_what_no_index_tells_ends_and_goes_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamplighter.families.files.files.MOST_LOOKED_AT", 2)
    await fill(site.service, await add_source(site.service, TENANT), RECIPES)
    first = (await site.ask("owner", "GET", f"{FILES}?type=application/")).json()
    assert (first["data"], first["next"] is None) == ([], False)
    assert await all_of(site, FILES, "", type="application/") == []
    for status, expected in (("pending", ["zebra.txt"]), ("processed", ["recipes/bread.md", "recipes/buns.txt"])):
        assert [one["path"] for one in await all_of(site, FILES, "", status=status)] == expected


async def test_what_is_found_says_where_in_pieces_and_only_who_may_is_told(site: Site) -> None:
    [id_, *_] = await fill(site.service, await add_source(site.service, TENANT), RECIPES)
    await fill(site.service, await add_source(site.service, OTHER), [Filed("theirs.txt", "buns too")])
    found = await of(site, "owner", f"{FILES}/search?q=BUNS+patience")
    assert [one["file"]["id"] for one in found] == [str(id_)]
    assert [one["text"] for one in found[0]["snippet"] if one["isMatch"]] == ["buns", "patience"]
    assert "".join(one["text"] for one in found[0]["snippet"]) == "Cinnamon <b>buns</b> need patience"
    assert len(await of(site, "owner", f"{FILES}/search?q=buns&status=pending")) == 1
    assert await site.records("file.search") == []
    assert told(await site.ask("viewer", "GET", f"{FILES}/search?q=buns"))[0] == 403
    assert told(await site.ask("viewer", "GET", f"{FILES}/{id_}/text"))[0] == 403
    assert (await of(site, "viewer", f"{FILES}/{id_}"))["title"] is None
    assert (await of(site, "operator", f"{FILES}/{id_}"))["title"] == "Buns"
    assert (await of(site, "operator", f"{FILES}/{id_}/text"))["text"] == RECIPES[0].text
    assert await of(site, "operator", f"{FILES}/search?q=buns") != []
    [noted] = await site.records("file.search")
    assert (noted.user_id, noted.tenant_id, "buns" in str(noted)) == ("auth|5", TENANT, False)
    assert [one.resource_id for one in await site.records("file.read")] == [str(id_)]
    elsewhere = await site.ask("stranger", "GET", f"/tenants/{OTHER}/files/{id_}")
    assert told(elsewhere) == (404, "file/not-found")


async def test_a_search_is_gone_through_page_by_page(site: Site) -> None:
    filed = [Filed(f"{number}.txt", "lamps") for number in range(5)]
    ids = await fill(site.service, await add_source(site.service, TENANT), filed)
    found = await all_of(site, f"{FILES}/search", "0", q="lamp*")
    assert sorted(int(one["file"]["id"]) for one in found) == ids
