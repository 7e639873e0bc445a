"""Bringing the index of a source up to date: page after page, from wherever the last one was stored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

from msgspec import Struct
from sqlalchemy import Connection, update

from lamplighter.core.clock import Clock, to_us
from lamplighter.families.files.apply import Applied, apply
from lamplighter.families.files.place import Overtaken, Place, hold_at, place_of
from lamplighter.families.files.settle import Settling, prune
from lamplighter.families.files.source import CursorReset, Page, Source, SourceDown
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.file_tables import file_sources

HEARTBEAT = timedelta(minutes=5)  # after which a source that nobody goes on with is due again
MOST_RESETS = 2  # in one go: a source that forgets its cursors as fast would be listed for ever

OnPage = Callable[[Applied], Awaitable[None]]


class Progress(Struct):
    """How far one go came. `is_done`: everything up to now is told."""

    is_done: bool = False
    pages: int = 0
    changed: int = 0


class Syncing:
    """Syncs sources."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def go_on(self, source_id: str, source: Source, *, is_over: Callable[[], bool], on_page: OnPage) -> Progress:
        """Take in pages until all is told, or the time for one go is over.

        Raises:
            Overtaken: somebody else went on, or the source is not active.
            SourceError, NotNow, Gone, TokenError: what the source raises.
        """
        place = await self._database.read(lambda connection: place_of(connection, source_id))
        if place is None:
            raise Overtaken
        await self._settle(place)
        progress, resets = Progress(), 0
        while not progress.is_done:
            if place.phase == "pruning":
                await self._prune(place)
                await self._end_listing(place, source)
                progress.is_done = True
                break
            try:
                page = await self._page(place, source)
            except CursorReset as error:
                resets += 1
                if resets > MOST_RESETS:
                    raise SourceDown(f"its cursors end as soon as they are given out: {error}") from error
                place = await self._move(place, place.listing())
                continue
            applied = await self._apply(place, page)
            place = applied.place
            await self._settle(place)
            progress.pages += 1
            progress.changed += applied.changed
            await on_page(applied)
            progress.is_done = place.phase == "delta" and page.is_last
            if is_over():
                break
        return progress

    async def _page(self, place: Place, source: Source) -> Page:
        if place.phase == "listing":
            page = await source.list(place.cursor)
        else:
            assert place.cursor is not None, "a delta begins where a listing ended"
            page = await source.delta(place.cursor)
        if not (page.is_last or page.entries or page.gone) and page.cursor == place.cursor:
            raise SourceDown("it told nothing, and to ask again for the same")
        return page

    async def _apply(self, place: Place, page: Page) -> Applied:
        again_at = self._clock() + HEARTBEAT
        return await self._database.write(partial(apply, place=place, page=page, again_at=again_at))

    async def _settle(self, place: Place) -> None:
        settling = Settling(place)
        while await self._database.write(settling.step):
            pass

    async def _prune(self, place: Place) -> None:
        after: int | None = 0
        while after is not None:
            after = await self._database.write(partial(prune, place=place, after=after))
            await self._settle(place)

    async def _end_listing(self, place: Place, source: Source) -> None:
        """What has no deltas is listed again the next time."""
        after = place._replace(phase="delta", step=place.step + 1) if source.has_delta else place.listing()
        await self._move(place, after)

    async def _move(self, place: Place, to: Place) -> Place:
        again_at = to_us(self._clock() + HEARTBEAT)

        def write(connection: Connection) -> None:
            hold_at(connection, place)
            values = to.columns() | {"next_sync_at": again_at}
            connection.execute(update(file_sources).where(file_sources.c.id == place.source_id).values(values))

        await self._database.write(write)
        return to
