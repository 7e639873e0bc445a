"""The file family on an app: sources that are down, refused, paused, removed; files that change while they are read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update
from tests.families.files.places import Stub, Tree
from tests.families.files.shelf import Shelf, shelves
from tests.families.running import SOON, TENANT, Home, Running, in_file

from lamplighter.app import App
from lamplighter.core.clock import utcnow
from lamplighter.core.model import State, Where
from lamplighter.core.secret import Secret
from lamplighter.families.files import reading, schedule
from lamplighter.families.files.apply import apply
from lamplighter.families.files.family import FileFamily
from lamplighter.families.files.file_source import BadSource, FileSource, NewSource
from lamplighter.families.files.place import Overtaken, place_of
from lamplighter.families.files.reading import GIVEN_UP, MOST_TRIES
from lamplighter.families.files.source import Page, Source, SourceDown, SourceRefused
from lamplighter.families.files.told import shard_of
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.provider import load_facts
from lamplighter.integrations.refreshing.outcome import Gone
from lamplighter.integrations.storage.file_tables import file_sources, file_texts, files
from lamplighter.integrations.storage.tables import audit
from lamplighter.integrations.tenants import Tenant


class Moody(Tree):
    """A drive that may have a reason to answer nothing."""

    trouble: Exception | None = None

    async def list(self, cursor: str | None) -> Page:
        if self.trouble:
            raise self.trouble
        return await super().list(cursor)

    async def delta(self, cursor: str) -> Page:
        if self.trouble:
            raise self.trouble
        return await super().delta(cursor)


class Office(Running):
    """An open app with a file family, and one drive."""

    def __init__(self, home: Home) -> None:
        self.tree = Moody()
        self.credentials: dict[str, str] = {}
        app = App(settings=home.settings())
        tokens = TokenFamily(app)
        self.family = FileFamily(app, tokens, open_source=self._open, extractor=Stub())
        super().__init__(app, tokens)

    @asynccontextmanager
    async def _open(self, kind: str, place: str, **more: Any) -> AsyncIterator[Source]:  # noqa: ARG002 - as it is called
        self.credentials = more["credentials"]
        yield self.tree

    async def add(self) -> FileSource:
        await self.tokens.service.tenants.add([Tenant(id="copper-bakery", name="Copper Bakery", owner_id="auth|1")])
        new = NewSource(
            tenant_id="copper-bakery",
            kind="webdav",
            name="files",
            place="http://files.test/",
            credentials={"user": "ada"},
        )
        return await self.family.sources.add(new)

    async def until_seen(self, source: FileSource, **fields: Any) -> FileSource:
        """Wait until the source says that of itself."""
        async with asyncio.timeout(SOON):
            while True:
                seen = await self.family.sources.get(source.id)
                assert seen is not None
                if all(getattr(seen, name) == value for name, value in fields.items()):
                    return seen
                await asyncio.sleep(0.01)


@asynccontextmanager
async def office(home: Home) -> AsyncIterator[Office]:
    opened = Office(home)
    async with opened.app, opened.app.worker():
        yield opened


async def test_a_source_is_indexed_and_told_of_through_all_that_may_become_of_it(tmp_path: Path) -> None:
    async with office(in_file(tmp_path)) as it:
        for n in range(20):
            it.tree.add(f"{n}.txt", None, f"text {n}")
        source = await it.add()
        await it.family.sweep.enqueue()
        await it.until_seen(source, files=20, pending=0)
        assert it.credentials == {"user": "ada"}
        stored = select(file_sources.c.credentials)
        assert "ada" not in await it.tokens.service.database.read(
            lambda connection: connection.execute(stored).scalar_one()
        )

        it.tree.trouble = SourceDown("it is asleep", timedelta(hours=1))
        assert await it.family.sync_now(source.id)
        await it.until_seen(source, state="active", failure="it is asleep")
        await it.until("snoozed", name="files.sync")
        [waiting] = await it.app.store.page(Where(names=("files.sync",), states=(State.SCHEDULED,)), limit=10)
        assert waiting.run_at > utcnow() + timedelta(minutes=50)
        await it.app.cancel(waiting.id)

        it.tree.trouble = SourceRefused("the folder is gone")
        assert await it.family.sync_now(source.id)
        await it.until_seen(source, state="refused", failure="the folder is gone")
        assert not await it.family.sync_now(source.id)
        assert len(await it.family.files.search("copper-bakery", "text")) == 20, "what was indexed is found"

        it.tree.trouble = None
        it.tree.add("new.txt", None, "text of today")
        assert await it.family.sources.resume(source.id)
        await it.family.sweep.enqueue()
        await it.until_seen(source, state="active", failure=None, files=21, pending=0)

        assert await it.family.sources.pause(source.id)
        assert not await it.family.sources.pause(source.id)
        counts = await it.family.sources.counts(tenant_id="copper-bakery")
        assert (counts.sources, counts.files, counts.pending, counts.failed) == (1, 21, 0, 0)

        assert await it.family.sources.remove(source.id)
        assert await it.family.files.search("copper-bakery", "text") == []
        assert await it.family.files.page("copper-bakery") == []
        await it.add()  # of the same name
        await it.family.sweep.enqueue()
        await it.until("done", name="files.remove")
        left = select(func.count()).select_from(files).where(files.c.source_id == source.id)
        texts = select(func.count()).select_from(file_texts)
        actions = select(audit.c.action).where(audit.c.resource_type == "file-source").order_by(audit.c.id)

        def read(connection: Any) -> tuple[Any, ...]:
            return connection.execute(left).scalar(), connection.execute(actions).scalars().all()

        assert (await it.tokens.service.database.read(read)) == (
            0,
            [
                f"file-source.{one}"
                for one in ("added", "sync-asked", "sync-asked", "resumed", "paused", "removed", "added")
            ],
        )
        assert await it.tokens.service.database.read(lambda connection: connection.execute(texts).scalar_one()) <= 21
        assert it.app.meter.files["processed",] >= 21


async def test_a_refused_source_goes_on_once_its_integration_is_connected_again(tmp_path: Path) -> None:
    async with office(in_file(tmp_path)) as it:
        provider = load_facts()["gdrive"].with_client("client", Secret("secret"))
        await it.connect(provider, Secret("access"), None, life=3600)
        [integration] = await it.tokens.service.integrations.page()
        new = NewSource(tenant_id=TENANT, kind="drive", name="drive", integration_id=integration.id)
        source = await it.family.sources.add(new)
        it.tree.trouble = Gone("it was disconnected")
        await it.family.sync_now(source.id)
        refused = await it.until_seen(source, state="refused", failure="it was disconnected")
        it.tree.trouble = None
        database = it.tokens.service.database
        assert await schedule.welcome_back(database, utcnow()) == 0
        await it.connect(provider, Secret("another"), None, life=3600)
        await it.family.sweep.enqueue()
        seen = await it.until_seen(source, state="active", failure=None, is_listed=True)
        assert (refused.is_listed, seen.files) == (False, 0)
        archive = it.tokens.service.tenants.archive
        assert await archive(TENANT)
        await it.family.sources.sync_now(source.id)
        assert await schedule.due(database, utcnow()) == []


async def test_a_source_that_cannot_be_is_refused(tmp_path: Path) -> None:
    async with shelves(f"sqlite:///{tmp_path}/lamplighter.db", "copper-bakery") as [shelf]:
        wrong = (
            {"name": ""},
            {"name": "files"},
            {"name": "x" * 101},
            {"name": "x\n"},
            {"kind": "ftp"},
            {"place": ""},
            {"place": "https://ada:secret@files.test/"},
            {"kind": "drive", "integration_id": None},
            {"kind": "drive", "integration_id": "another's"},
            {"tenant_id": "nobody"},
            {"credentials": {"user": "x" * 20_000}},
        )
        for fields in wrong:
            right = {"tenant_id": "copper-bakery", "kind": "webdav", "name": "more", "place": "http://files.test/"}
            with pytest.raises(BadSource) as error:
                await shelf.sources.add(NewSource(**right | fields))
            assert "secret" not in str(error.value)


async def test_only_what_has_changed_is_read_and_a_rename_is_no_change(tmp_path: Path) -> None:
    async with shelves(f"sqlite:///{tmp_path}/lamplighter.db", "copper-bakery") as [shelf]:
        tree = Tree()
        folder = tree.add("folder")
        ids = [tree.add(f"{n}.txt", folder, f"text {n}") for n in range(5)]
        await shelf.sync(tree)
        await shelf.read(tree)
        tree.move(folder, "moved", None)
        tree.move(ids[0], "other.txt", None)
        tree.edit(ids[1], "text 1")  # a new revision with the same content
        tree.edit(ids[2], "else")
        await shelf.sync(tree)
        tree.opened.clear()
        shelf.extractor.read.clear()
        await shelf.read(tree)
        assert sorted(tree.opened) == [ids[1], ids[2]]
        assert shelf.extractor.read == ["2.txt"]
        assert await shelf.found("other") == ["other.txt"]
        assert await shelf.found("0") == ["other.txt"]
        assert await shelf.found("text 1") == ["moved/1.txt"]
        assert await shelf.found("text 2") == []


async def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    async with shelves(f"sqlite:///{tmp_path}/lamplighter.db", "copper-bakery") as [shelf]:
        tree = Tree()
        id_ = tree.add("a.txt", None, "old")
        await shelf.sync(tree)
        taken = await take(shelf, id_)
        tree.edit(id_, "new")
        await shelf.sync(tree)
        late = [reading.Verdict(file=one, reason="too late") for one in taken]
        store = partial(reading.store, source_id=shelf.source.id, verdicts=late, now=utcnow())
        assert await shelf.database.write(store) == 0
        assert await shelf.counted() == await shelf.recounted() == (1, 1, 0)
        await shelf.read(tree)
        assert await shelf.found("new") == ["a.txt"]


async def test_a_file_that_takes_down_its_worker_each_time_is_given_up(tmp_path: Path) -> None:
    async with shelves(f"sqlite:///{tmp_path}/lamplighter.db", "copper-bakery") as [shelf]:
        tree = Tree()
        ids = [tree.add(f"{n}.txt", None, f"text {n}") for n in range(40)]
        poison = ids[-1]  # which is listed first
        await shelf.sync(tree)
        for _ in range(MOST_TRIES):
            taken = await take(shelf, poison)
            assert any(one.entry.id == poison for one in taken)
            begin = partial(reading.begin, source_id=shelf.source.id, taken=taken)
            await shelf.database.write(begin)  # and nothing more is heard of it
        await shelf.read(tree)
        rows = {row["remote_id"]: row for row in await shelf.rows()}
        assert rows[poison]["reason"] == GIVEN_UP
        assert await shelf.counted() == await shelf.recounted() == (40, 0, 1)
        tree.edit(poison, "harmless")
        await shelf.sync(tree)
        await shelf.read(tree)
        assert await shelf.found("harmless")


async def take(shelf: Shelf, remote_id: str) -> list[reading.ToRead]:
    return await shelf.database.write(
        partial(reading.take, source_id=shelf.source.id, shard=shard_of(remote_id), after=0)
    )


async def test_what_was_read_of_a_source_before_another_went_on_changes_nothing(tmp_path: Path) -> None:
    """A worker that lost its lease comes back with an old page."""
    async with shelves(f"sqlite:///{tmp_path}/lamplighter.db", "copper-bakery") as [shelf]:
        tree = Tree()
        tree.add("a.txt", None, "old")
        place = await shelf.database.read(partial(place_of, source_id=shelf.source.id))
        assert place is not None
        page = await tree.list(None)
        tree.remove("001")
        await shelf.sync(tree)
        with pytest.raises(Overtaken):
            await shelf.database.write(partial(apply, place=place, page=page, again_at=utcnow()))
        paused = update(file_sources).values(state="paused")
        await shelf.database.write(lambda connection: connection.execute(paused).rowcount)
        with pytest.raises(Overtaken):
            await shelf.sync(tree)
        assert await shelf.rows() == []
