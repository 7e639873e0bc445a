"""The file family: sources are looked at when their time has come, and what is new there is read.

`files.sweep` makes a job of each source that is due; `files.sync` takes in what changed, and has `files.extract` read
it, a few jobs for each source. No job runs for long: it hands what is left to its successor. A job that is asked for
while one of its kind runs waits for that to end, so nothing that came meanwhile is left lying.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from lamplighter.app import App
from lamplighter.core.draft import Draft
from lamplighter.core.errors import ConfigError, LamplighterError
from lamplighter.core.retry import exponential
from lamplighter.core.verdict import Cancel, Snooze
from lamplighter.engine.context import Ctx
from lamplighter.families.files import reading, schedule
from lamplighter.families.files.adding import add_source
from lamplighter.families.files.alone import Alone
from lamplighter.families.files.apply import Applied
from lamplighter.families.files.extraction.extractor import Extractor as Processes
from lamplighter.families.files.extraction.limits import limits_from
from lamplighter.families.files.file_source import FileSource, NewSource
from lamplighter.families.files.file_sources import FileSources
from lamplighter.families.files.files import Files
from lamplighter.families.files.place import Overtaken
from lamplighter.families.files.reader import Extractor, Reader
from lamplighter.families.files.reading import ToRead, Verdict
from lamplighter.families.files.settle import remove
from lamplighter.families.files.source import Source, SourceDown, SourceRefused
from lamplighter.families.files.sources import opening
from lamplighter.families.files.sources.place import Credentials, read_credentials
from lamplighter.families.files.syncing import Syncing
from lamplighter.families.files.told import SHARDS
from lamplighter.families.files.workroom import clear_up, workroom
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.oauth import GrantRevoked, OperatorFault, ProviderDown
from lamplighter.integrations.refreshing.outcome import Gone, NotNow
from lamplighter.integrations.service import Service

QUEUE = "files"
SWEEP_EVERY = timedelta(seconds=5)
TURN = timedelta(seconds=20)  # of one job: a worker that stops waits for no longer, and others get their turns
AGAIN = timedelta(seconds=30)  # when a source that does not answer says nothing about when it will
TOGETHER = 4  # files that one job fetches and reads at once
LONGEST_PROVIDER = 60
MAX_CRASHES = 1000  # which file takes workers down is counted apart, and the others must not be given up with it

_log = logging.getLogger("lamplighter.files")


class OpenSource(Protocol):
    """Opens a source where it is; what it raises, the source raises too."""

    def __call__(
        self,
        kind: str,
        place: str,
        *,
        service: Service,
        integration_id: str | None,
        credentials: Credentials | None,
        roots: Sequence[Path],
    ) -> AbstractAsyncContextManager[Source]: ...


class FileFamily:
    """The family's jobs on one app, beside its token family. `sources` and `files` are there while the app is open.

    `open_source` and `extractor` are for those who reach files in other ways, or read them so.
    """

    sources: FileSources
    files: Files

    def __init__(
        self,
        app: App[Any],
        tokens: TokenFamily,
        *,
        open_source: OpenSource = opening.open_source,
        extractor: Extractor | None = None,
    ) -> None:
        settings = app.settings
        self._app = app
        self._tokens = tokens
        self._open_source = open_source
        self._extractor = extractor or Processes(processes=settings.files_processes, limits=limits_from(settings))
        app.queue(QUEUE, charge="time")
        app.limit("files.source", running=1)
        app.limit("files.shard", running=1)
        app.limit("files.provider", running=settings.files_per_provider)
        app.limit("files.tenant", running=settings.files_per_tenant)
        shared: dict[str, Any] = {
            "queue": QUEUE,
            "unique_mode": "pending",
            "keep_done": timedelta(hours=1),
            "max_crashes": MAX_CRASHES,
            "retry": exponential(first=5, factor=2, cap=600, attempts=5),
        }
        lent = ["files.provider:{provider}", "files.tenant:{tenant}"]
        self.sync = app.job(
            "files.sync", unique="files.sync:{source_id}", limits=["files.source:{source_id}", *lent], **shared
        )(self._sync)
        self.extract = app.job(
            "files.extract",
            unique="files.extract:{source_id}.{shard}",
            limits=["files.shard:{source_id}.{shard}", *lent],
            **shared,
        )(self._extract)
        self.remove = app.job("files.remove", unique="files.remove:{source_id}", **shared)(self._remove)
        self.sweep = app.job("files.sweep", queue=QUEUE, unique=True, keep_done=timedelta(hours=1))(self._sweep)
        app.every(SWEEP_EVERY, self.sweep.draft(), name="files.sweep", misfire="skip")
        app.lifespan(self._open)
        app.keep_part(self)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        service, clock = self._tokens.service, self._app.clock
        self._database = service.database
        self._alone = Alone()
        self._syncing = Syncing(service.database, clock=clock)
        self.sources = FileSources(service.database, service.vault, clock=clock)
        self.files = Files(service.database)
        await asyncio.to_thread(clear_up)
        async with self._extractor:
            yield

    async def add(self, new: NewSource) -> FileSource:
        """Have what is there indexed from now on; raises what `add_source` raises."""
        return await add_source(self._tokens.service, new, roots=self._app.settings.file_roots, clock=self._app.clock)

    async def sync_now(self, source_id: str) -> bool:
        """Look at a source now, also for what changes while it is being looked at. False: it is not active."""
        source = await self.sources.get(source_id)
        if source is None or not await self.sources.sync_now(source_id):
            return False
        await self._app.enqueue(await self._to_sync_each([source]))
        return True

    async def _sweep(self, ctx: Ctx[Any]) -> int:
        """Have those looked at whose time has come, those read that have something unread, and deleted what is
        removed."""
        found = 0
        await schedule.welcome_back(self._database, self._app.clock())
        while sources := await schedule.due(self._database, self._app.clock()):
            await self._app.enqueue(await self._to_sync_each(sources))
            found += len(sources)
            ctx.progress(found, note="to be looked at")
        after = ""
        while sources := await schedule.unread(self._database, after):
            await self._app.enqueue(await self._to_extract_each(sources))
            after = sources[-1].id
        await self._app.enqueue(self.remove.draft(one) for one in await schedule.removed(self._database))
        return found

    async def _sync(self, ctx: Ctx[Any], source_id: str, provider: str) -> str:
        """Take in what changed at a source. `provider`: the key of the limit that it comes under."""
        source = await self._active(source_id)
        is_over = _turn()

        async def on_page(applied: Applied) -> None:
            now = await self.sources.get(source_id)
            if now is not None:
                ctx.progress(now.processed + now.failed, now.files, note="read")
            if applied.is_to_be_read:
                await self._app.enqueue(self._to_extract(source, provider))

        async with self._asking(source), self._opened(source) as opened:
            progress = await self._syncing.go_on(source_id, opened, is_over=is_over, on_page=on_page)
            if progress.is_done:
                settings = self._app.settings
                await schedule.synced(
                    self._database,
                    source,
                    progress,
                    self._app.clock(),
                    shortest=settings.files_interval,
                    longest=settings.files_interval_longest,
                    has_delta=opened.has_delta,
                )
        if not progress.is_done:
            await self._app.enqueue([self._to_sync(source, provider)])
        outcome = "unchanged" if not progress.changed else "changed"
        self._app.meter.synced(source.kind, outcome)
        return outcome if progress.is_done else "to be continued"

    async def _extract(self, ctx: Ctx[Any], source_id: str, shard: int, provider: str) -> int:
        """Read some of the files of a source that are to be read."""
        source = await self._active(source_id)
        is_over, after, done = _turn(), 0, 0
        async with self._asking(source), self._opened(source) as opened:
            with workroom() as folder:
                largest = self._app.settings.files_largest * 1024 * 1024
                reader = Reader(opened, self._extractor, folder, largest=largest, meter=self._app.meter)
                take = partial(reading.take, source_id=source_id, shard=shard)
                while taken := await self._database.write(partial(take, after=after)):
                    async with self._alone.entered(alone=taken[0].is_suspect):
                        await self._database.write(partial(reading.begin, source_id=source_id, taken=taken))
                        done += await self._read(source, reader, taken)
                    after = taken[-1].id
                    ctx.progress(done, note="read")
                    if is_over():
                        await self._app.enqueue(self._to_extract(source, provider, [shard]))
                        break
        return done

    async def _remove(self, ctx: Ctx[Any], source_id: str) -> str:  # noqa: ARG002 - a job's first parameter
        """Delete a source that was removed, and all of its files."""
        while await self._database.write(partial(remove, source_id=source_id)):
            pass
        return "removed"

    async def _read(self, source: FileSource, reader: Reader, taken: list[ToRead]) -> int:
        """Whatever stops it, verdicts that there are get stored, and what has none was not tried."""
        verdicts: list[Verdict] = []
        broken: set[int] = set()
        waiting = iter(taken)

        async def work() -> None:
            for file in waiting:
                try:
                    verdicts.append(await reader.read(file))
                except (LamplighterError, OSError):  # no fault of the file: a source that is down, a disk that is full
                    raise
                except Exception:  # noqa: BLE001 - it costs that file only, which is tried again, and in the end given up
                    _log.exception("The file %d of the source %s could not be read.", file.id, source.id)
                    broken.add(file.id)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(TOGETHER):
                    group.create_task(work())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            known = {one.file.id for one in verdicts} | broken
            await asyncio.shield(self._settle(source, verdicts, [one for one in taken if one.id not in known]))
        return len(verdicts)

    async def _settle(self, source: FileSource, verdicts: list[Verdict], unread: list[ToRead]) -> None:
        if unread:
            await self._database.write(partial(reading.give_back, unread=unread))
        if verdicts:
            now = self._app.clock()
            await self._database.write(partial(reading.store, source_id=source.id, verdicts=verdicts, now=now))
        for verdict in verdicts:
            self._app.meter.indexed(verdict.outcome)

    async def _active(self, source_id: str) -> FileSource:
        source = await self.sources.get(source_id)
        if source is None or source.state != "active":
            raise Cancel("the source is not active any more")
        return source

    @asynccontextmanager
    async def _opened(self, source: FileSource) -> AsyncIterator[Source]:
        named = await self.sources.credentials(source.id)
        async with self._open_source(
            source.kind,
            source.place,
            service=self._tokens.service,
            integration_id=source.integration_id,
            credentials=read_credentials(named) if named else None,
            roots=[Path(root) for root in self._app.settings.file_roots],
        ) as opened:
            yield opened

    @asynccontextmanager
    async def _asking(self, source: FileSource) -> AsyncIterator[None]:
        """What becomes of a job when its source does not answer as it should."""
        try:
            yield
        except Overtaken:
            raise Cancel("the source is not active, or another job went on with it") from None
        except SourceDown as error:
            await self._snooze(source, str(error), error.retry_after or AGAIN)
        except (NotNow, ProviderDown) as error:
            await self._snooze(source, str(error), error.retry_in or AGAIN)
        except OperatorFault as error:
            await self._snooze(source, str(error), self._app.settings.files_interval_longest)
        except (SourceRefused, Gone, GrantRevoked, ConfigError) as error:
            is_told = isinstance(error, Gone | GrantRevoked)
            await schedule.refuse(self._database, source, str(error), self._app.clock(), is_told=is_told)
            self._app.meter.synced(source.kind, "refused")
            raise Cancel(str(error)) from error

    async def _snooze(self, source: FileSource, reason: str, delay: timedelta) -> None:
        await schedule.put_off(self._database, source.id, reason, self._app.clock() + delay)
        self._app.meter.synced(source.kind, "down")
        raise Snooze(delay, reason)

    async def _to_sync_each(self, sources: Sequence[FileSource]) -> list[Draft[str]]:
        providers = await self._providers(sources)
        return [self._to_sync(one, providers[one.id]) for one in sources]

    async def _to_extract_each(self, sources: Sequence[FileSource]) -> list[Draft[int]]:
        providers = await self._providers(sources)
        return [draft for one in sources for draft in self._to_extract(one, providers[one.id])]

    def _to_sync(self, source: FileSource, provider: str) -> Draft[str]:
        return self.sync.using(tenant=source.tenant_id).draft(source.id, provider)

    def _to_extract(self, source: FileSource, provider: str, shards: Iterable[int] = range(SHARDS)) -> list[Draft[int]]:
        job = self.extract.using(tenant=source.tenant_id)
        return [job.draft(source.id, shard, provider) for shard in shards]

    async def _providers(self, sources: Sequence[FileSource]) -> dict[str, str]:
        """Under which key of the limit of providers each comes."""
        ids = [one.integration_id for one in sources if one.integration_id is not None]
        slugs = await self._tokens.service.integrations.providers_of(ids) if ids else {}
        return {one.id: slugs.get(one.integration_id or "") or _host(one) for one in sources}


def _host(source: FileSource) -> str:
    """Whom reading a source that is no integration's is a burden to, as far as its place tells."""
    return f"{source.kind}.{urlsplit(source.place).hostname or 'here'}"[:LONGEST_PROVIDER]


def _turn() -> Callable[[], bool]:
    """Whether the time of one job is over."""
    end = time.monotonic() + TURN.total_seconds()
    return lambda: time.monotonic() > end
