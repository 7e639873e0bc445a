"""Everything about integrations, opened together on one database."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from lamplighter.core.clock import Clock, utcnow
from lamplighter.core.config import Settings
from lamplighter.core.errors import ConfigError
from lamplighter.integrations.audit import AuditLog
from lamplighter.integrations.connecting.connections import Connections
from lamplighter.integrations.connecting.disconnect import Disconnecting
from lamplighter.integrations.health.checker import Checker
from lamplighter.integrations.health.healths import Healths
from lamplighter.integrations.http_pool import HttpPool
from lamplighter.integrations.integrations import Integrations
from lamplighter.integrations.notices.notices import Notices
from lamplighter.integrations.notices.own_templates import Templates
from lamplighter.integrations.notices.preferences import Preferences
from lamplighter.integrations.notices.recipients import Recipients
from lamplighter.integrations.oauth import TokenClient
from lamplighter.integrations.refreshing.access import TokenAccess
from lamplighter.integrations.refreshing.gates import Gates
from lamplighter.integrations.refreshing.journal import Journal
from lamplighter.integrations.refreshing.planner import Planner
from lamplighter.integrations.refreshing.refresher import Refresher
from lamplighter.integrations.registrations import Registrations
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.migrate import upgrade
from lamplighter.integrations.tenants import Tenants
from lamplighter.integrations.vault import KeyRing, MwapCipher, Vault, check_keys
from lamplighter.observe.meter import Meter


class Service(NamedTuple):
    """The tables and the refresher, over one database, vault and HTTP client."""

    database: Database
    vault: Vault
    tenants: Tenants
    registrations: Registrations
    integrations: Integrations
    refresher: Refresher
    access: TokenAccess
    connections: Connections
    disconnecting: Disconnecting
    checker: Checker
    healths: Healths
    audit: AuditLog
    http: HttpPool
    notices: Notices
    recipients: Recipients
    preferences: Preferences
    templates: Templates


@asynccontextmanager
async def open_service(
    settings: Settings, planner: Planner, *, clock: Clock = utcnow, meter: Meter | None = None
) -> AsyncIterator[Service]:
    """Open everything, its tables brought to the newest version. `meter`: counts what refreshes come to.

    The recovery journal lies in the folder that the settings name, and in development the key too: by default beside
    the database file, or in the current directory if the database is a server.

    Raises:
        ConfigError: a key is missing or weak, or the database's URL is wrong.
        StoreError: the database cannot be opened.
        JournalError: the journal cannot be written.
    """
    database = Database(database_url(settings))
    vault = await asyncio.to_thread(open_vault, settings, database)
    async with database, HttpPool() as http:
        await upgrade(database)
        with Journal(journal_folder(settings, database), vault) as journal:
            token_client = TokenClient(http)
            tenants = Tenants(database, clock=clock)
            registrations = Registrations(database, vault, clock=clock)
            integrations = Integrations(database, vault, planner, clock=clock)
            async with Refresher(
                database, vault, journal, token_client, planner, clock=clock, meter=meter
            ) as refresher:
                access = TokenAccess(integrations, registrations, refresher, planner, clock=clock)
                yield Service(
                    database,
                    vault,
                    tenants,
                    registrations,
                    integrations,
                    refresher,
                    access,
                    Connections(database, vault, registrations, integrations, token_client, clock=clock),
                    Disconnecting(database, vault, registrations, access, http, clock=clock),
                    Checker(integrations, registrations, http, Gates(clock, random.random), clock=clock),
                    Healths(database, clock=clock),
                    AuditLog(database, clock=clock),
                    http,
                    Notices(database, clock=clock),
                    Recipients(database, vault, settings, clock=clock),
                    Preferences(database, clock=clock),
                    Templates(database, public_url=settings.public_url, clock=clock),
                )


def database_url(settings: Settings) -> str:
    """Where the service's tables are: in the store's database, unless the settings say otherwise."""
    return settings.database or settings.store


def is_with_jobs(settings: Settings) -> bool:
    """Whether the service's tables are where the jobs are, so that one transaction can hold both."""
    return settings.database is None or _place(settings.database) == _place(settings.store)


def journal_folder(settings: Settings, database: Database) -> Path:
    """Where this process writes down tokens that are not stored yet.

    Each database has its own: whoever finds an entry of another's would take it for outdated, and drop it.
    """
    if settings.folder is None and database.path is not None:
        return database.path.with_suffix(".journal")
    digest = hashlib.blake2b(database.place.encode(), digest_size=6).hexdigest()
    return folder_of(settings, database) / f"lamplighter-{digest}.journal"


def folder_of(settings: Settings, database: Database) -> Path:
    """Where is kept what must outlive this process, and no database may hold."""
    return (settings.folder or (database.path.parent if database.path else Path())).absolute()


def open_vault(settings: Settings, database: Database) -> Vault:
    """The vault with the keys of the settings; reads what MWAP encrypted if its key is given too."""
    keys: KeyRing = check_keys(settings.mode, settings.encryption_keys, folder=folder_of(settings, database))
    mwap = settings.mwap_encryption_key
    return Vault(keys, MwapCipher(mwap.reveal()) if mwap else None)


def _place(url: str) -> str | None:
    try:
        return Database(url).place
    except ConfigError:  # jobs can be where no tables can
        return None
