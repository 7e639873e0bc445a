"""One provider's API: its calls by name, answers as they should be, and what every other answer means.

A token goes where `TokenAccess.http` lets it go; a download that is redirected elsewhere is fetched without it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote, urljoin, urlsplit

import httpx2
import msgspec

from lamplighter.core.clock import utcnow
from lamplighter.families.files.source import CursorReset, FileRefused, SourceDown, SourceError, SourceRefused
from lamplighter.families.files.sources.pieces import pieces_of, read_bounded
from lamplighter.integrations.answer import HEADERS, Answer
from lamplighter.integrations.provider import Call, Provider
from lamplighter.integrations.safe_url import is_loopback, is_safe

TIMEOUT = httpx2.Timeout(60.0, connect=15.0)  # seconds without a byte
LARGEST_PAGE = 16 * 1024 * 1024  # bytes of JSON: a thousand entries take a tenth of it
MOST_REDIRECTS = 3
DOWN = frozenset({408, 425, 429})  # and all of 5xx

T = TypeVar("T")
Refusal = type[SourceRefused] | type[FileRefused]


class Api:
    """`http` carries the integration's token, `plain` none."""

    def __init__(self, provider: Provider, http: httpx2.AsyncClient, plain: httpx2.AsyncClient) -> None:
        self.provider = provider
        self._http = http
        self._plain = plain

    def call(self, name: str) -> Call:
        """Where a call goes. Raises SourceRefused: the provider's table does not say."""
        if name not in self.provider.calls:
            raise SourceRefused(
                f"{self._name} is registered without the call {name!r}: register it again, with that call in its table."
            )
        return self.provider.calls[name]

    def url(self, name: str, place: str = "", **query: str) -> str:
        """The call's URL with an id or a path in it, which can lead to no other call."""
        url = self.call(name).url.replace("{}", quote(place, safe=""))
        return str(httpx2.URL(url).copy_merge_params(query)) if query else url

    def own(self, link: str) -> str:
        """A link from an answer of the provider. Raises SourceRefused if it leads to somebody else."""
        if not is_safe(link) or urlsplit(link).netloc not in self.provider.hosts:
            raise SourceRefused(f"{self._name} links to a host that is not its own: add that to its api_hosts.")
        return link

    async def ask(
        self, kind: type[T], url: str, method: str = "GET", *, refusal: Refusal = SourceRefused, **how: Any
    ) -> T:
        """The answer's JSON as `kind`. Raises SourceDown, CursorReset, and `refusal` for whatever else is no answer."""
        async with self._streaming(method, url, refusal, **how) as response:
            body = await read_bounded(response, LARGEST_PAGE, self._name)
        try:
            return msgspec.json.decode(body, type=kind, strict=False)  # Google writes numbers as text
        except msgspec.MsgspecError as error:
            raise SourceDown(f"{self._name} answered something else than its API says: try again later.") from error

    @asynccontextmanager
    async def download(self, url: str, method: str = "GET", **how: Any) -> AsyncIterator[AsyncIterator[bytes]]:
        """The content there, in pieces. Raises FileRefused, SourceDown."""
        async with self._streaming(method, url, FileRefused, **how) as response:
            if not response.has_redirect_location:
                yield pieces_of(response, self._name)
                return
            location = urljoin(url, response.headers["Location"])
        async with self._elsewhere(location) as response:
            yield pieces_of(response, self._name)

    @asynccontextmanager
    async def _elsewhere(self, location: str) -> AsyncIterator[httpx2.Response]:
        """What a pre-signed URL leads to. It is a secret for as long as it is good, so no error shows it."""
        for _ in range(MOST_REDIRECTS):
            self._check_elsewhere(location)
            async with self._sending(self._plain, "GET", location) as response:
                if not response.has_redirect_location:
                    await self._check(response, FileRefused)
                    yield response
                    return
                location = urljoin(location, response.headers["Location"])
        raise FileRefused(f"{self._name} redirects a download again and again: see whether it opens there.")

    def _check_elsewhere(self, location: str) -> None:
        """https only; a provider on this machine may send us to this machine."""
        at_home = any(is_loopback(urlsplit(f"//{host}").hostname or "") for host in self.provider.hosts)
        is_near = is_safe(location) and is_loopback(urlsplit(location).hostname or "")
        if not is_safe(location) or (is_near and not at_home):
            raise FileRefused(f"{self._name} redirects a download to an unsafe place: it is not followed.")

    @asynccontextmanager
    async def _streaming(self, method: str, url: str, refusal: Refusal, **how: Any) -> AsyncIterator[httpx2.Response]:
        async with self._sending(self._http, method, url, **how) as response:
            await self._check(response, refusal)
            yield response

    @asynccontextmanager
    async def _sending(
        self, client: httpx2.AsyncClient, method: str, url: str, headers: Mapping[str, str] | None = None, **how: Any
    ) -> AsyncIterator[httpx2.Response]:
        try:
            async with client.stream(
                method, url, headers={**HEADERS, "Accept": "*/*", **(headers or {})}, follow_redirects=False, **how
            ) as response:
                yield response
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise SourceDown(f"{self._name} cannot be reached: try again later.") from error

    async def _check(self, response: httpx2.Response, refusal: Refusal) -> None:
        if response.status_code < 400:
            return
        try:
            answer = await Answer.read(response)
        except httpx2.TransportError:
            answer = Answer(response.status_code, response.headers.get("Retry-After", ""), None)
        raise self._error(answer, refusal)

    def _error(self, answer: Answer, refusal: Refusal) -> SourceError:
        """An answer that is none, as what it means. Which codes ask to wait is among the provider's facts."""
        code = answer.code(self.provider.api_codes)
        told = f"{self._name} answered {answer.status}{': ' + quoted if (quoted := answer.quote(())) else ''}"
        asks_to_wait = self.provider.api_codes.get(code) == "error"
        if answer.status in DOWN or answer.status >= 500 or asks_to_wait:
            return SourceDown(f"{told}: try again later.", answer.retry_after(utcnow()))
        if is_reset(answer):
            return CursorReset(f"{told}: list everything anew.")
        return refusal(f"{told}: see whether it is still there, and may be read with what was consented to.")

    @property
    def _name(self) -> str:
        return self.provider.display_name


def is_reset(answer: Answer) -> bool:
    """Whether it was asked with a cursor that is over: 410, Dropbox's 409 `reset`, Google's 400 about a page token."""
    match answer.status, answer.body:
        case (
            (410, _)
            | (409, {"error": {".tag": "reset"}})
            | (400, {"error": {"errors": [{"location": "pageToken"}, *_]}})
        ):
            return True
        case (409, {"error_summary": str(summary)}):
            return summary.startswith("reset")
    return False
