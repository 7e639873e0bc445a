"""What an HTTP answer of a provider says: read bounded, and told without secrets."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, Self
from urllib.parse import quote_plus

import httpx2

from lamplighter.core.secret import REDACTED
from lamplighter.integrations.http_pool import Http
from lamplighter.observe.tracing import http_request

LARGEST = 64 * 1024  # bytes
LONGEST_RETRY_AFTER = 3600.0  # seconds
LONGEST_QUOTE = 200  # characters of the provider's own words

CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
TOKEN_LIKE = re.compile(r"[\w.~+/=%-]{24,}")

# Headers of every request: a few compressed bytes could unzip to gigabytes.
HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "Lamplighter"}


class Answer(NamedTuple):
    """`body` is the JSON object in it, if there is one; `is_cut`: it was too long to be read."""

    status: int
    retry_after_header: str
    body: dict[str, Any] | None
    is_cut: bool = False

    @classmethod
    async def read(cls, response: httpx2.Response) -> Self:
        """Read an answer that is being streamed."""
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > LARGEST:
                break
        is_cut = len(body) > LARGEST
        header = response.headers.get("Retry-After", "")
        return cls(response.status_code, header, None if is_cut else _parse(bytes(body)), is_cut)

    @property
    def is_success(self) -> bool:
        """Whether it says so; Slack and GitHub answer errors with 200."""
        return 200 <= self.status < 300

    @property
    def is_yes(self) -> bool:
        """Whether it means it, too."""
        return self.is_success and (self.body or {}).get("ok") is not False

    @property
    def codes(self) -> list[str]:
        """Its error codes, the most exact one first."""
        return list(dict.fromkeys(_codes(self.body or {})))

    def code(self, known: Iterable[str]) -> str:
        """The most exact of its codes that is known; else the first of all, else ''."""
        codes, known = self.codes, set(known)
        return next((code for code in codes if code in known), codes[0] if codes else "")

    def quote(self, secrets: Iterable[str]) -> str:
        """The provider's own words, without secrets, control characters or anything as long as a token, then cut."""
        return scrub(_description(self.body or {}), secrets)

    def retry_after(self, now: datetime) -> timedelta | None:
        """How long it asks to be left alone."""
        return read_retry_after(self.retry_after_header, now)


async def ask(http: Http, method: str, url: str, *, within: float, **how: Any) -> Answer:
    """The answer, all of it within so many seconds; no redirect is followed. Raises RequestError or TimeoutError."""
    with http_request(method, url) as span:
        async with (
            asyncio.timeout(within),
            http.stream(method, url, follow_redirects=False, **how) as response,
        ):
            span.answered(response.status_code)
            return await Answer.read(response)


def read_retry_after(header: str, now: datetime) -> timedelta | None:
    """RFC 9110, 10.2.3: seconds or a date, here between now and an hour from now."""
    try:
        seconds = float(header)
    except ValueError:
        when = _http_date(header)
        seconds = (when - now).total_seconds() if when else math.nan
    return None if math.isnan(seconds) else timedelta(seconds=min(max(seconds, 0.0), LONGEST_RETRY_AFTER))


def scrub(text: str, secrets: Iterable[str]) -> str:
    """Without secrets, control characters or anything as long as a token, then cut."""
    for secret in secrets:
        for form in (secret, quote_plus(secret)):
            text = text.replace(form, REDACTED) if form else text
    text = TOKEN_LIKE.sub(REDACTED, text)
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:LONGEST_QUOTE]


def _parse(body: bytes) -> dict[str, Any] | None:
    """The JSON object in `body`. The standard library's reader, for it knows NaN: a bad number must not cost tokens."""
    try:
        answer = json.loads(body, parse_int=float)  # float, for int() refuses 5,000 digits
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _codes(body: dict[str, Any]) -> Iterator[str]:
    match body:
        case {"error_codes": [float(number), *_]}:  # Microsoft: a number that says more than `error`
            yield f"AADSTS{number:.0f}"
    match body:
        case {"error": str(code)}:  # RFC 6749, Slack, GitHub
            yield code
        case {"error": {".tag": str(code)}}:  # Dropbox
            yield code
        case {"error": {"errors": [{"reason": str(code)}, *_]}}:  # Google's APIs
            yield code
        case {"error": {"code": str(code)} | {"status": str(code)}}:  # Microsoft Graph, newer Google
            yield code
        case {"code": str(code)}:  # Box
            yield code


def _description(body: dict[str, Any]) -> str:
    match body:
        case {"error_description": str(text)} | {"error": {"message": str(text)}} | {"message": str(text)}:
            return text
    return ""


def _http_date(header: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(header)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
