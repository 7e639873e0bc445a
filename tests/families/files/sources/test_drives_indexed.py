"""The whole family on drives that none of us wrote: all is found by what it says, whatever happens there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.counterparts.fault_proxy import answer
from tests.families.files.sources.homes import Google, Graph
from tests.families.running import SOON

from lamplighter.app import App
from lamplighter.core.config import Settings
from lamplighter.families.files.family import FileFamily
from lamplighter.families.files.file_source import FileSource, NewSource
from lamplighter.families.tokens import TokenFamily

TREE = {"lamps/oil.txt": b"a pint", "lamps/wick.txt": b"an inch", "street/map.txt": b"a mile", "letter.txt": b"Dear"}
INVALID = {"error": {"errors": [{"reason": "invalid", "location": "pageToken"}]}}
OVER: dict[type, tuple[str, int, Any]] = {  # how each says that a cursor leads nowhere any more
    Google: ("/drive/v3/changes", 400, INVALID),
    Graph: ("/v1.0/me/drive/root/delta", 410, {"error": {"code": "resyncRequired"}}),
}


class Index:
    """What a tenant finds of its drive."""

    def __init__(self, family: FileFamily, source: FileSource) -> None:
        self._family = family
        self._source = source

    async def look(self) -> FileSource:
        """Have the drive looked at, and wait until all is read."""
        before = await self._seen()
        assert await self._family.sync_now(self._source.id)
        async with asyncio.timeout(SOON):
            while True:
                now = await self._seen()
                if now.synced_at not in {None, before.synced_at} and not now.pending:
                    return now
                await asyncio.sleep(0.02)

    async def found(self, words: str) -> list[str]:
        return [hit.file.path for hit in await self._family.files.search("ada", words)]

    async def rows(self) -> list[tuple[str, str, str | None]]:
        return [(one.path, one.status, one.digest) for one in await self._family.files.page("ada")]

    async def _seen(self) -> FileSource:
        seen = await self._family.sources.get(self._source.id)
        assert seen is not None
        return seen


@pytest.fixture(params=["google", "graph"])
def home(request: pytest.FixtureRequest) -> Google | Graph:
    found: Google | Graph = request.getfixturevalue(request.param)
    return found


async def test_a_drive_is_found_by_what_it_says_through_changes_and_a_reset(
    home: Google | Graph, tmp_path: Path
) -> None:
    await home.fill(TREE)
    app: App[None] = App(settings=Settings(store=f"sqlite:///{tmp_path}/drive.db"))
    family = FileFamily(app, TokenFamily(app))
    async with app, app.worker():
        drives = NewSource(tenant_id="ada", kind="drive", name="drive", integration_id=home.integration_id)
        index = Index(family, await family.add(drives))
        first = await index.look()
        assert (first.files, first.failed, first.phase) == (4, 0, "delta")
        assert (await index.found("pint"), await index.found("inch")) == (["lamps/oil.txt"], ["lamps/wick.txt"])

        await home.put("letter.txt", b"Dear lamplighter")
        await home.move("lamps/wick.txt", "street", "cord.txt")
        await home.delete("street/map.txt")
        assert (await index.look()).files == 3
        assert (await index.found("lamplighter"), await index.found("mile")) == (["letter.txt"], [])
        assert await index.found("inch") == ["street/cord.txt"]

        rows, (path, status, body) = await index.rows(), OVER[type(home)]
        home.proxy.meet(path, answer(status, body))
        assert (await index.look()).files == 3
        assert await index.rows() == rows
