"""Sources by their kind: what is checked before one is stored, and how it is opened."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import httpx2
from msgspec import Struct

from lamplighter.core.errors import ConfigError
from lamplighter.families.files.source import Source, SourceRefused
from lamplighter.families.files.sources.api import TIMEOUT, Api
from lamplighter.families.files.sources.box import Box
from lamplighter.families.files.sources.dropbox import Dropbox
from lamplighter.families.files.sources.folder import LocalFolder
from lamplighter.families.files.sources.gdrive import GoogleDrive
from lamplighter.families.files.sources.onedrive import OneDrive
from lamplighter.families.files.sources.place import (
    Bucket,
    Credentials,
    check_credentials,
    read_bucket,
    read_drive,
    read_folder,
    read_webdav,
)
from lamplighter.families.files.sources.walk import AHEAD
from lamplighter.families.files.sources.webdav import WebDav
from lamplighter.integrations.provider import Provider
from lamplighter.integrations.service import Service
from lamplighter.integrations.trust import trust

DRIVES: Mapping[str, Callable[[Api, str], Source]] = MappingProxyType(
    {"gdrive": GoogleDrive, "onedrive": OneDrive, "dropbox": Dropbox, "box": Box}
)
LIMITS = httpx2.Limits(max_connections=AHEAD)


class Asked(Struct, frozen=True, kw_only=True):
    """A source to be opened. `roots`: below which folders of this machine may be, from the settings."""

    place: str
    service: Service | None = None
    integration_id: str | None = None
    drive: str | None = None
    credentials: Credentials | None = None
    roots: tuple[Path, ...] = ()


class Kind(NamedTuple):
    """`check` raises ConfigError for what can never be opened, without asking anybody but our own tables."""

    check: Callable[[Asked], object]
    open: Callable[[Asked], AbstractAsyncContextManager[Source]]


@asynccontextmanager
async def open_source(
    kind: str,
    place: str,
    *,
    service: Service | None = None,
    integration_id: str | None = None,
    credentials: Credentials | None = None,
    roots: Sequence[Path] = (),
) -> AsyncIterator[Source]:
    """A source, open for as long as the block lasts.

    A drive needs `service` and `integration_id`, WebDAV and S3 `credentials`, a folder the `roots` of the settings.

    Raises:
        ConfigError: no such kind, or the place or the credentials are none for it.
        SourceRefused: the integration is not there any more, or its provider has no drive.
        VaultError, StoreError: our own set-up or database is at fault.
    """
    asked = Asked(
        place=place, service=service, integration_id=integration_id, credentials=credentials, roots=tuple(roots)
    )
    async with _kind(kind).open(asked) as source:
        yield source


def check_source(
    kind: str,
    place: str,
    *,
    drive: str | None = None,
    credentials: Credentials | None = None,
    roots: Sequence[Path] = (),
) -> None:
    """Look whether it could be opened, before it is stored. `drive`: what the integration's provider speaks.

    Raises ConfigError: one sentence about what to correct.
    """
    _kind(kind).check(Asked(place=place, drive=drive, credentials=credentials, roots=tuple(roots)))


@asynccontextmanager
async def _open_drive(asked: Asked) -> AsyncIterator[Source]:
    if asked.service is None or asked.integration_id is None:
        raise ConfigError("a drive is opened by an integration: say which one.")
    provider = await _provider(asked.service, asked.integration_id)
    drive, place = _read_drive(provider.drive, asked.place)
    async with (
        asked.service.access.http(asked.integration_id, timeout=TIMEOUT, limits=LIMITS, verify=trust()) as http,
        httpx2.AsyncClient(timeout=TIMEOUT, verify=trust()) as plain,
    ):
        yield DRIVES[drive](Api(provider, http, plain), place)


@asynccontextmanager
async def _open_webdav(asked: Asked) -> AsyncIterator[Source]:
    root, credentials = _read_webdav(asked)
    login = httpx2.BasicAuth(credentials.user, credentials.password.reveal())
    timeout = httpx2.Timeout(60.0, connect=15.0, pool=None)  # folders that are fetched ahead wait for one another
    async with (
        httpx2.AsyncClient(auth=login, timeout=timeout, limits=LIMITS, verify=trust()) as http,
        aclosing(WebDav(http, root)) as source,
    ):
        yield source


@asynccontextmanager
async def _open_bucket(asked: Asked) -> AsyncIterator[Source]:
    bucket, credentials = _read_bucket(asked)
    try:
        from lamplighter.families.files.sources.objects import Objects  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise ConfigError("S3 needs obstore: install lamplighter[files].") from error
    yield Objects(bucket, credentials.user, credentials.password)


@asynccontextmanager
async def _open_folder(asked: Asked) -> AsyncIterator[Source]:
    async with aclosing(LocalFolder(_read_folder(asked))) as source:
        yield source


def _read_drive(drive: str | None, place: str) -> tuple[str, str]:
    if drive is None:
        raise ConfigError("the integration's provider has no drive: register it again, with `drive` in its table.")
    return drive, read_drive(drive, place)


def _check_drive(asked: Asked) -> None:
    _read_drive(asked.drive, asked.place)


def _read_webdav(asked: Asked) -> tuple[str, Credentials]:
    return read_webdav(asked.place), check_credentials(asked.credentials)


def _read_bucket(asked: Asked) -> tuple[Bucket, Credentials]:
    return read_bucket(asked.place), check_credentials(asked.credentials)


def _read_folder(asked: Asked) -> Path:
    return read_folder(asked.place, asked.roots)


async def _provider(service: Service, integration_id: str) -> Provider:
    integration = await service.integrations.get(integration_id)
    if integration is None:
        raise SourceRefused(f"there is no integration {integration_id!r:.60}: connect the drive again.")
    return await service.registrations.get(integration.provider_slug)


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "drive": Kind(_check_drive, _open_drive),
        "webdav": Kind(_read_webdav, _open_webdav),
        "s3": Kind(_read_bucket, _open_bucket),
        "folder": Kind(_read_folder, _open_folder),
    }
)


def _kind(name: str) -> Kind:
    if name not in KINDS:
        raise ConfigError(f"no kind of source is called {name!r:.60}: take one of {', '.join(KINDS)}.")
    return KINDS[name]
