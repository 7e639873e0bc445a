"""`lamplighter files`, with files that were indexed already."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.cli.program import Program
from tests.families.running import TENANT
from tests.web.filed import PASSWORD, Filed, add_source, fill

from lamplighter.core.clock import to_us, utcnow
from lamplighter.core.config import Settings
from lamplighter.families.files.file_source import FileSource
from lamplighter.integrations.audit import Record
from lamplighter.integrations.refreshing.planner import NoPlanner
from lamplighter.integrations.service import Service, open_service

FILED = [
    Filed("recipes/buns.txt", "Cinnamon \x1b[31mbuns", title="Buns"),
    Filed("scan.pdf", status="error", reason="it is cut off"),
]


class Ours(NamedTuple):
    """A source of `TENANT`, and its files."""

    service: Service
    source: FileSource
    ids: list[int]

    async def records(self, action: str) -> list[Record]:
        return [one for one in await self.service.audit.page() if one.action == action]


@pytest.fixture
async def ours(tmp_path: Path) -> AsyncIterator[Ours]:
    """In lamplighter.db of the folder. All of it was listed and read."""
    async with open_service(Settings(store=f"sqlite:///{tmp_path}/lamplighter.db"), NoPlanner()) as service:
        source = await add_source(service, TENANT)
        over = {
            "synced_at": to_us(utcnow()),
            "next_sync_at": to_us(utcnow() + timedelta(hours=1)),
        }
        yield Ours(service, source, await fill(service, source, FILED, **over))


async def test_files_are_listed_shown_and_found_and_who_searches_is_noted(cli: Program, ours: Ours) -> None:
    first, _ = ours.ids
    listed = cli("files", "--tenant", TENANT, "--limit", "1", "--json").json
    assert ([one["path"] for one in listed["files"]], listed["next"]) == ([FILED[0].path], f"{first}:{FILED[0].path}")
    found = cli("files", "search", "-t", TENANT, "cinnamon*", "--json")
    assert (found.code, found.json["hits"][0]["snippet"][0]) == (0, {"text": "Cinnamon", "isMatch": True})
    seen = cli("files", "search", "-t", TENANT, "buns")
    assert (seen.code, "buns" in seen.out, "\x1b" in seen.out) == (0, True, False), "no file drives a terminal"
    assert "\x1b" not in cli("files", "show", str(first), "-t", TENANT, "--text").out
    shown = cli("files", "show", str(first), "-t", TENANT, "--text", "--json").json
    assert (shown["file"]["title"], shown["text"]) == ("Buns", FILED[0].text)
    assert [one.tenant_id for one in await ours.records("file.search")] == 2 * [TENANT]
    assert [one.resource_id for one in await ours.records("file.read")] == 2 * [str(first)]


async def test_sources_are_added_without_a_secret_on_the_command_line_and_looked_after(
    cli: Program, ours: Ours
) -> None:
    place = "https://dav.example.com/more/"
    options = ("-t", TENANT, "--json")
    added = cli("files", "sources", "add", "webdav", "More", place, *options, stdin=f"ada\n{PASSWORD}\n")
    assert (added.code, added.json["source"]["has_credentials"]) == (0, True)
    assert PASSWORD not in added.out + added.err
    paused = cli("files", "sources", "pause", ours.source.id, "nothing")
    assert (paused.code, paused.out.partition("\n")[0]) == (1, f"{ours.source.id}: paused.")
    listed = cli("files", "sources", "-t", TENANT, "--json").json
    assert {one["name"]: one["state"] for one in listed["sources"]} == {ours.source.name: "paused", "More": "active"}
    [record] = await ours.records("file-source.paused")
    assert record.user_id.startswith("operator:")


async def test_a_source_is_watched_until_all_of_it_is_read(cli: Program, ours: Ours) -> None:
    over = cli("files", "status", ours.source.id, "--json")
    assert (over.code, over.json["over"], over.json["source"]["failed"]) == (0, True, 1)
    await fill(ours.service, ours.source, [Filed("new.txt", status="pending")])
    late = cli("files", "status", ours.source.id, "--for", "0.1")
    assert (late.code, "1 file, 0 read, 1 to be read" in late.out) == (1, True)
