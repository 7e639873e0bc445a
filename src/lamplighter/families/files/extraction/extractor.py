"""Reads what tenants keep in files that anybody may have made: always in another process, never in the caller's."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from lamplighter.families.files.extraction.child_process import ChildProcess
from lamplighter.families.files.extraction.extracted import Extracted, ExtractionFailed, ExtractorDown
from lamplighter.families.files.extraction.limits import Limits
from lamplighter.families.files.extraction.wire import Request

_READERS = "lamplighter.families.files.extraction.readers:readers"
_LONGEST_NAME = 1000  # characters; its end says what it is


class Extractor:
    """A few processes that read one file after the other. They are started when there is something to read.

    Args:
        processes: how many files are read at once.
        limits: of each file.
        readers: where a table of readers by type is, or a function that gives it, as "module:name".
    """

    def __init__(self, *, processes: int = 2, limits: Limits | None = None, readers: str = _READERS) -> None:
        self._limits = limits or Limits()
        self._readers = readers
        self._places = asyncio.Semaphore(processes)
        self._idle: list[ChildProcess] = []
        self._all: set[ChildProcess] = set()
        self._endings: dict[ChildProcess, asyncio.Task[None]] = {}
        self._is_open = False

    async def __aenter__(self) -> Self:
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        self._idle.clear()
        for child in tuple(self._all):
            self._discard(child)
        await asyncio.gather(*self._endings.values())

    async def extract(self, path: Path, *, name: str, mime_type: str | None = None) -> Extracted:
        """What the file is and says. `name` and `mime_type`, as its source tells them, count where its content says
        nothing. If the caller is cancelled, the process that reads is killed.

        Raises:
            ExtractionFailed: the file cannot be read, or costs more than the limits allow.
            ExtractorDown: no process could be started.
        """
        request = Request(
            path=os.path.abspath(path),  # noqa: ASYNC240 - it asks the file system nothing
            name=name[-_LONGEST_NAME:],
            mime_type=mime_type and mime_type[:_LONGEST_NAME],
        )
        async with self._places:
            child = await self._take()
            try:
                answer = await child.ask(request)
            except BaseException:
                self._discard(child)
                raise
            self._give_back(child)
        if answer.found is None:
            raise ExtractionFailed(answer.failed or "its reader gave no answer.")
        return answer.found

    async def _take(self) -> ChildProcess:
        if not self._is_open:
            raise ExtractorDown("this extractor is not open: enter it with `async with` before it is asked.")
        while self._idle:
            child = self._idle.pop()
            if child.is_usable:
                return child
            self._discard(child)
        child = await ChildProcess.start(self._limits, self._readers)
        self._all.add(child)
        try:
            await child.greet()
        except BaseException:
            self._discard(child)
            raise
        return child

    def _give_back(self, child: ChildProcess) -> None:
        if child.is_usable and self._is_open:
            self._idle.append(child)
        else:
            self._discard(child)

    def _discard(self, child: ChildProcess) -> None:
        """Kill it now; nobody waits until it is gone but the end of all."""
        if child in self._endings:
            return
        child.kill()
        self._endings[child] = asyncio.create_task(self._bury(child))

    async def _bury(self, child: ChildProcess) -> None:
        await child.end()
        self._all.discard(child)
        self._endings.pop(child, None)
