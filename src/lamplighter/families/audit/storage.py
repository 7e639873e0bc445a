"""Where archives are: a folder of this machine, or a bucket of S3-like storage. Nothing there is ever written over."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from lamplighter.core.config import Settings
from lamplighter.core.errors import ConfigError, LamplighterError

SCHEMES = "file:///var/lib/audit or s3://bucket/prefix?region=eu-central-1"


class ArchiveError(LamplighterError):
    """Something is not as it should be where archives are."""


class ArchiveDown(ArchiveError):
    """It does not answer, or lets us not in: later it may."""


class ArchiveMissing(ArchiveError):
    """An object is not there."""


class ArchiveAltered(ArchiveError):
    """An object is not what was written."""


class ArchiveTaken(ArchiveError):
    """Where an object is to be, another one is."""


class Storage(Protocol):
    """Objects by key. All raise ArchiveDown."""

    @property
    def place(self) -> str:
        """Where it is, fit to be shown."""

    async def put_new(self, key: str, content: bytes) -> bool:
        """Durable, whole or not at all; False: there is one under that key, which stays as it is."""

    async def get(self, key: str, most: int) -> bytes:
        """What is under a key. Raises ArchiveMissing; ArchiveAltered if it has more bytes than that."""

    async def delete(self, key: str) -> None:
        """It is gone then, also if it was before."""


def open_storage(settings: Settings) -> Storage | None:
    """What `audit_archive` names; None: nothing is archived.

    Raises:
        ConfigError: it is no such place, or the key of a bucket or an extra is missing.
    """
    url = settings.audit_archive
    if url is None:
        return None
    need_zstandard()
    match urlsplit(url).scheme:
        case "file":
            from lamplighter.families.audit.folder import Folder  # noqa: PLC0415 - only what is used

            return Folder(_folder(url))
        case "s3":
            return _bucket(url, settings)
        case _:
            raise ConfigError(f"audit_archive names no place for archives: give {SCHEMES}.")


def need_zstandard() -> None:
    """Raises ConfigError where nothing can be packed."""
    try:
        import zstandard  # noqa: F401, PLC0415 - of an extra
    except ImportError as error:
        raise ConfigError("archives of the audit log need zstandard: install lamplighter[audit].") from error


def _folder(url: str) -> Path:
    parts = urlsplit(url)
    path = Path(unquote(parts.path))
    if parts.netloc or parts.query or not path.is_absolute() or len(path.parts) < 2 or ".." in path.parts:
        raise ConfigError(f"audit_archive has to name an absolute path of its own: give {SCHEMES}.")
    return path


def _bucket(url: str, settings: Settings) -> Storage:
    from lamplighter.families.files.sources.place import read_bucket  # noqa: PLC0415 - only what is used

    bucket = read_bucket(url)
    key_id, _, secret = (settings.audit_archive_key.reveal() if settings.audit_archive_key else "").partition(":")
    if not key_id or not secret:
        raise ConfigError("audit_archive is a bucket: give audit_archive_key, the id of a key, a ':' and the key.")
    try:
        from lamplighter.families.audit.bucket import BucketStorage  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise ConfigError("archives in S3 need obstore: install lamplighter[audit].") from error
    return BucketStorage(bucket, key_id, secret)
