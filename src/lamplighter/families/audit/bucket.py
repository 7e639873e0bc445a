"""Archives in a bucket of S3-like storage, which must know conditional writes (`If-None-Match: *`)."""

from __future__ import annotations

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from lamplighter.core.secret import Secret
from lamplighter.families.audit.storage import ArchiveAltered, ArchiveDown, ArchiveMissing
from lamplighter.families.files.sources.objects import open_bucket
from lamplighter.families.files.sources.place import Bucket

PIECE = 1024 * 1024  # bytes


class BucketStorage:
    """What is below the prefix of a bucket."""

    def __init__(self, bucket: Bucket, key_id: str, secret: str) -> None:
        self._bucket = bucket
        self._store = open_bucket(bucket, key_id, Secret(secret))

    @property
    def place(self) -> str:
        return "/".join(filter(None, (f"s3://{self._bucket.name}", self._bucket.prefix)))

    async def put_new(self, key: str, content: bytes) -> bool:
        try:
            await obstore.put_async(self._store, self._path(key), content, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        except (BaseError, OSError) as error:
            raise self._down(error) from None  # its text holds whatever the server sent
        return True

    async def get(self, key: str, most: int) -> bytes:
        content = bytearray()
        try:
            found = await obstore.get_async(self._store, self._path(key))
            async for some in found.stream(min_chunk_size=PIECE):
                content += some
                if len(content) > most:
                    raise ArchiveAltered(f"the archive {key} is longer than it was written: look who wrote it.")
        except FileNotFoundError:
            raise ArchiveMissing(f"the archive {key} is not in {self.place}: bring it back from a backup.") from None
        except (BaseError, OSError) as error:
            raise self._down(error) from None
        return bytes(content)

    async def delete(self, key: str) -> None:
        try:
            await obstore.delete_async(self._store, self._path(key))
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise self._down(error) from None

    def _path(self, key: str) -> str:
        return "/".join(filter(None, (self._bucket.prefix, key)))

    def _down(self, error: Exception) -> ArchiveDown:
        return ArchiveDown(
            f"the archives in {self.place} cannot be reached ({type(error).__name__}): see whether the bucket is there "
            "and answers, and whether the key may read, write and delete in it."
        )
