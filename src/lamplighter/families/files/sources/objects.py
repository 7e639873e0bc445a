"""A bucket of S3-like storage, or what begins with a prefix in it.

It tells nothing of what changed, and has no folders. Keys come in their order, so where a listing stands is the last
key that was told.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import obstore
from msgspec import Struct
from obstore.exceptions import BaseError, InvalidPathError
from obstore.store import S3Store

from lamplighter.core.secret import Secret
from lamplighter.families.files.source import (
    CursorReset,
    Entry,
    FileRefused,
    Page,
    SourceDown,
    SourceError,
    SourceRefused,
)
from lamplighter.families.files.sources import cursor as cursors
from lamplighter.families.files.sources.pieces import PIECE
from lamplighter.families.files.sources.place import Bucket

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ClientConfig, RetryConfig, S3Credential

MOST = 1000  # entries of a page, as of a page of S3's
STATUS = re.compile(r"status code: (\d{3})")
REFUSED = range(400, 500)
BUSY = frozenset({408, 425, 429})


class After(Struct, frozen=True):
    """The last key that was told; None: there are no more."""

    key: str | None


class Objects:
    """The objects of a bucket, with a key that may list and read them."""

    has_delta = False

    def __init__(self, bucket: Bucket, key_id: str, secret: Secret) -> None:
        self._bucket = bucket
        self._store = open_bucket(bucket, key_id, secret)

    async def list(self, cursor: str | None) -> Page:
        """The next page of everything that is there."""
        after = None if cursor is None else cursors.read(cursor, After).key
        if cursor is not None and after is None:
            raise CursorReset("this cursor is at the end of its list: list everything anew.")
        found = await self._after(after)
        is_last = len(found) < MOST
        last = None if is_last else found[-1]["path"]
        entries = [self._entry(one) for one in found]
        return Page(entries=entries, cursor=cursors.write(After(last)), is_last=is_last)

    async def delta(self, cursor: str) -> Page:  # noqa: ARG002 - as the protocol has it
        """There is none."""
        raise CursorReset("S3 does not tell what changed: list everything anew.")

    @asynccontextmanager
    async def open(self, entry: Entry) -> AsyncIterator[AsyncIterator[bytes]]:
        """The content."""
        try:
            found = await obstore.get_async(self._store, entry.id)
        except (BaseError, OSError) as error:  # what is not found is an OSError
            if isinstance(refused := self._error(error), SourceDown):
                raise refused from None
            raise FileRefused(f"an object of {self._name} cannot be had: it is gone, or may not be read.") from None
        yield self._pieces(found.stream(min_chunk_size=PIECE))

    async def aclose(self) -> None:
        """Nothing is held."""

    async def _after(self, key: str | None) -> Sequence[ObjectMeta]:
        try:
            async for some in obstore.list(self._store, self._bucket.prefix or None, offset=key, chunk_size=MOST):
                return some
        except (BaseError, OSError) as error:
            raise self._error(error) from None  # its text holds whatever the server sent
        return []

    async def _pieces(self, stream: obstore.BytesStream) -> AsyncIterator[bytes]:
        try:
            async for some in stream:
                content = memoryview(some)
                for start in range(0, len(content), PIECE):
                    yield bytes(content[start : start + PIECE])
        except (BaseError, OSError) as error:
            raise self._error(error) from None

    def _error(self, error: Exception) -> SourceError:
        if isinstance(error, InvalidPathError):
            return SourceRefused(f"{self._name} has a key with an empty part, as in 'a//b': rename it, or index less.")
        status = STATUS.search(str(error))
        refused = isinstance(error, PermissionError | FileNotFoundError) or type(error).__name__ in PERMANENT
        if refused or (status and int(status[1]) in REFUSED and int(status[1]) not in BUSY):
            return SourceRefused(f"{self._name} may not be listed: see whether it is there, and what the key may do.")
        return SourceDown(f"{self._name} cannot be reached: try again later.")

    def _entry(self, one: ObjectMeta) -> Entry:
        path = one["path"].removeprefix(self._bucket.prefix).removeprefix("/")
        return Entry(
            id=one["path"],
            name=path.rpartition("/")[2],
            path=path,
            revision=one["e_tag"] or f"{one['last_modified'].isoformat()}/{one['size']}",
            size=one["size"],
            modified_at=one["last_modified"],
        )

    @property
    def _name(self) -> str:
        return f"the bucket {self._bucket.name}"


PERMANENT = frozenset({"PermissionDeniedError", "UnauthenticatedError", "NotFoundError"})


def open_bucket(bucket: Bucket, key_id: str, secret: Secret) -> S3Store:
    """Everything is said, for what is not would be taken from AWS_* variables of this process."""

    def credentials() -> S3Credential:
        return {"access_key_id": key_id, "secret_access_key": secret.reveal(), "token": None, "expires_at": None}

    client: ClientConfig = {
        "allow_http": (bucket.endpoint or "").startswith("http://"),
        "connect_timeout": "15s",
        "read_timeout": "60s",
        "timeout": "6h",  # of a whole content
    }
    retry: RetryConfig = {"max_retries": 1}  # whoever asked asks again later
    return S3Store(
        bucket.name,
        region=bucket.region,
        endpoint=bucket.endpoint or _endpoint_of_amazon(bucket),
        virtual_hosted_style_request=bucket.virtual_hosted,
        credential_provider=credentials,
        client_options=client,
        retry_config=retry,
    )


def _endpoint_of_amazon(bucket: Bucket) -> str:
    host = f"s3.{bucket.region}.amazonaws.com"
    return f"https://{bucket.name}.{host}" if bucket.virtual_hosted else f"https://{host}"
