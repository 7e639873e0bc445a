"""WebDAV: a folder of a server and all that is below it, folder by folder. It tells nothing of what changed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote, unquote, urlsplit

import httpx2

from lamplighter.core.clock import utcnow
from lamplighter.families.files.source import CursorReset, Entry, FileRefused, Page, SourceDown, SourceRefused
from lamplighter.families.files.sources.multistatus import NotMultistatus, Reader, Resource
from lamplighter.families.files.sources.pieces import pieces_of
from lamplighter.families.files.sources.walk import MOST_IN_A_FOLDER, Listing, Walk
from lamplighter.integrations.answer import read_retry_after

ASKED = (
    b'<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop><resourcetype/><getetag/><getcontentlength/>'
    b"<getlastmodified/><creationdate/><getcontenttype/></prop></propfind>"
)
HEADERS = {
    "Accept-Encoding": "identity",
    "Content-Type": "application/xml; charset=utf-8",
    "Depth": "1",
    "User-Agent": "Lamplighter",
}
TOO_MANY = 429
NOT_THERE = frozenset({403, 404, 410})


class WebDav:
    """`root`: the URL of the folder. `http` carries the credentials."""

    has_delta = False

    def __init__(self, http: httpx2.AsyncClient, root: str) -> None:
        self._http = http
        self._root = root.rstrip("/") + "/"
        self._root_parts = _parts(urlsplit(root).path)
        self._host = urlsplit(root).hostname or ""
        self._walk = Walk(self._look)

    async def list(self, cursor: str | None) -> Page:
        """The next page of everything that is there."""
        return await self._walk.page(cursor)

    async def delta(self, cursor: str) -> Page:  # noqa: ARG002 - as the protocol has it
        """There is none."""
        raise CursorReset("WebDAV does not tell what changed: list everything anew.")

    @asynccontextmanager
    async def open(self, entry: Entry) -> AsyncIterator[AsyncIterator[bytes]]:
        """The content."""
        async with self._sending("GET", self._root + quote(entry.id)) as response:
            if response.status_code != httpx2.codes.OK:
                self._check(response)
                raise FileRefused(f"{self._host} answered {response.status_code} for a file: see whether it is there.")
            yield pieces_of(response, self._host)

    async def aclose(self) -> None:
        """Look ahead no more."""
        await self._walk.aclose()

    async def _look(self, folder: str) -> Listing | None:
        url = self._root + (quote(folder) + "/" if folder else "")
        async with self._sending("PROPFIND", url, headers=HEADERS, content=ASKED) as response:
            if response.status_code in NOT_THERE and folder:
                return None  # gone meanwhile, or not for us: what is in it is none of ours
            self._check(response)
            if response.status_code != httpx2.codes.MULTI_STATUS:
                raise SourceRefused(
                    f"{self._host} answered {response.status_code} where a WebDAV folder should be: correct its URL."
                )
            return await self._read(folder, response)

    async def _read(self, folder: str, response: httpx2.Response) -> Listing | None:
        """What is in it. The folder itself has to be in the answer, or the answer is about another one."""
        here = self._root_parts + (folder.split("/") if folder else [])
        is_told, entries = False, []
        async for resource in self._resources(response):
            parts = _parts(urlsplit(resource.href).path)
            if parts == here:
                is_told = resource.is_folder
            elif len(parts) == len(here) + 1 and parts[:-1] == here and _is_name(parts[-1]):
                entries.append(_entry(folder, parts[-1], resource))
            if len(entries) > MOST_IN_A_FOLDER:
                break
        if not is_told:
            raise SourceRefused(f"{self._host} answers for another folder, or for a file: correct the URL.")
        return entries

    async def _resources(self, response: httpx2.Response) -> AsyncIterator[Resource]:
        reader = Reader()
        try:
            async for piece in response.aiter_raw():
                for resource in reader.feed(piece):
                    yield resource
            for resource in reader.feed(b"", is_last=True):
                yield resource
        except NotMultistatus as error:
            raise SourceDown(f"{self._host} sends no list that can be read ({error}): ask whoever runs it.") from error
        except httpx2.TransportError as error:
            raise SourceDown(f"{self._host} broke off in the midst of a list: try again later.") from error

    @asynccontextmanager
    async def _sending(self, method: str, url: str, **how: object) -> AsyncIterator[httpx2.Response]:
        try:
            async with self._http.stream(method, url, follow_redirects=False, **how) as response:  # type: ignore[arg-type]
                yield response
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise SourceDown(f"{self._host} cannot be reached: try again later.") from error

    def _check(self, response: httpx2.Response) -> None:
        status = response.status_code
        if status == TOO_MANY or status >= 500:
            wait = read_retry_after(response.headers.get("Retry-After", ""), utcnow())
            raise SourceDown(f"{self._host} answered {status}: try again later.", wait)
        if status == httpx2.codes.UNAUTHORIZED:
            raise SourceRefused(f"{self._host} does not take this user name and password: give it others.")


def _parts(path: str) -> list[str]:
    return [_decoded(part) for part in path.split("/") if part]


def _decoded(part: str) -> str:
    """As UTF-8, or as it is where it is something else."""
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError:
        return part


def _is_name(name: str) -> bool:
    return name not in {".", ".."} and "/" not in name and "\0" not in name


def _entry(folder: str, name: str, resource: Resource) -> Entry:
    path = f"{folder}/{name}" if folder else name
    size = int(resource.size) if re.fullmatch("[0-9]{1,18}", resource.size) else None
    return Entry(
        id=path,
        name=name,
        is_folder=resource.is_folder,
        path=path,
        revision=None if resource.is_folder else resource.etag or f"{resource.modified}/{resource.size}",
        size=None if resource.is_folder else size,
        mime_type=resource.mime_type.partition(";")[0].strip() or None,
        created_at=_iso(resource.created),
        modified_at=_http_date(resource.modified),
    )


def _iso(text: str) -> datetime | None:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _http_date(text: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
