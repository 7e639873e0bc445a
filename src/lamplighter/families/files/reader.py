"""Reading one file: fetched to a private folder, hashed on the way, then given to the extractor."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from types import TracebackType
from typing import Protocol

from lamplighter.families.files.extraction.extracted import Extracted, ExtractionFailed
from lamplighter.families.files.reading import ToRead, Verdict
from lamplighter.families.files.source import FileRefused, Source
from lamplighter.observe.meter import Meter


class Extractor(Protocol):
    """What finds out what a file says, while it is open."""

    async def __aenter__(self) -> object: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> object: ...
    async def extract(self, path: Path, *, name: str, mime_type: str | None) -> Extracted:
        """Raises ExtractionFailed."""


class TooBig(Exception):
    """The file is larger than files that are read."""


class Reader:
    """Reads files of one source. `largest`: bytes of a file that is read at all."""

    def __init__(self, source: Source, extractor: Extractor, folder: Path, *, largest: int, meter: Meter) -> None:
        self._source = source
        self._extractor = extractor
        self._folder = folder
        self._largest = largest
        self._meter = meter

    async def read(self, file: ToRead) -> Verdict:
        """What became of it. Raises what the source raises, but for FileRefused, and what the extractor should not."""
        path = self._folder / str(file.id)
        try:
            digest = await self._fetch(file, path)
            if digest == file.digest:
                return Verdict(file=file)
            return Verdict(file=file, digest=digest, extracted=await self._extract(file, path))
        except TooBig:
            return Verdict(file=file, reason=f"it is larger than {self._largest:,} bytes: it is found by its name only")
        except (FileRefused, ExtractionFailed) as error:
            return Verdict(file=file, reason=str(error))
        finally:
            path.unlink(missing_ok=True)

    async def _fetch(self, file: ToRead, path: Path) -> str:
        """Its SHA-256."""
        if (file.entry.size or 0) > self._largest:
            raise TooBig
        digest, size = hashlib.sha256(), 0
        with path.open("xb") as target:
            async with self._source.open(file.entry) as pieces:
                async for piece in pieces:
                    size += len(piece)
                    if size > self._largest:
                        raise TooBig
                    digest.update(piece)
                    target.write(piece)
                    self._meter.fetched(len(piece))
        return digest.hexdigest()

    async def _extract(self, file: ToRead, path: Path) -> Extracted:
        began = time.perf_counter()
        try:
            return await self._extractor.extract(path, name=file.entry.name, mime_type=file.entry.mime_type)
        finally:
            self._meter.extracted(time.perf_counter() - began)
