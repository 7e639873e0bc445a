"""Disconnecting: the provider is told, and the tokens are deleted here whatever it answers."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from datetime import timedelta
from functools import partial

from msgspec import Struct

from lamplighter.core.clock import Clock, utcnow
from lamplighter.core.errors import LamplighterError
from lamplighter.core.secret import Secret
from lamplighter.integrations.connecting.revocation import Held, revoke
from lamplighter.integrations.http_pool import Http
from lamplighter.integrations.integration import place
from lamplighter.integrations.refreshing import row
from lamplighter.integrations.refreshing.access import TokenAccess
from lamplighter.integrations.refreshing.outcome import Busy, Gone
from lamplighter.integrations.registrations import Registrations
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.vault import Vault, VaultError

LOCK_TIME = timedelta(seconds=30)
LOOK_EVERY = 0.1  # seconds, at a lock
TRIES = 300  # looks: longer than a refresh takes that asks twice


class Disconnected(Struct, frozen=True, kw_only=True):
    """The tokens are deleted. `not_revoked` says why the provider may honour them until they expire, if it may."""

    integration_id: str
    not_revoked: str | None = None


class Disconnecting:
    """Gives tokens back. A refresh that is under way is waited for, since what it brings has to be given back too."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        registrations: Registrations,
        access: TokenAccess,
        http: Http,
        *,
        clock: Clock = utcnow,
    ) -> None:
        self._database = database
        self._vault = vault
        self._registrations = registrations
        self._access = access
        self._http = http
        self._clock = clock

    async def disconnect(self, integration_id: str) -> Disconnected:
        """Revoke the tokens at the provider where that can be done, and delete them. Doing it twice does no harm.

        Raises:
            Gone: there is no such integration, or it was connected anew meanwhile.
            Busy: it is being refreshed for longer than is bearable; nothing was changed.
            StoreError: the database failed.
        """
        if await self._needs_access_token(integration_id):
            with suppress(LamplighterError):  # it will do without
                await self._access.get(integration_id)
        held = await self._seize(integration_id)
        reason = await self._revoke(held)
        now = self._clock()
        if await self._database.write(lambda connection: row.disconnect(connection, held, now)):
            return Disconnected(integration_id=integration_id, not_revoked=reason)
        await self._database.write(lambda connection: row.release(connection, held))
        raise Gone("the integration was connected anew meanwhile: disconnect it again if that is still wanted.")

    async def _needs_access_token(self, integration_id: str) -> bool:
        """Where the access token is what revokes, one that has expired would leave the refresh token alive."""
        [seen] = await self._database.read(lambda connection: row.peek(connection, [integration_id]))
        if seen is None:
            raise Gone(f"there is no integration {integration_id!r:.60}: check the id.")
        provider = await self._registrations.current(seen.provider_slug, seen.provider_version)
        return provider.revocation != "token" and seen.has_refresh_token and seen.status in row.REFRESHABLE

    async def _seize(self, integration_id: str) -> row.Seized:
        owner = f"disconnect-{secrets.token_hex(6)}"
        for _ in range(TRIES):
            now = self._clock()
            seize = partial(row.seize, integration_id=integration_id, owner=owner, now=now, until=now + LOCK_TIME)
            held = await self._database.write(seize)
            if held is not None:
                return held
            await asyncio.sleep(LOOK_EVERY)
        raise Busy("the integration is being refreshed: disconnect it when that has ended.", LOCK_TIME)

    async def _revoke(self, held: row.Seized) -> str | None:
        tokens = Held(
            self._opened(held.access_token, place(held.id, "access_token")),
            self._opened(held.refresh_token, place(held.id, "refresh_token")),
        )
        if tokens.longest_lived is None:
            return None
        return await revoke(self._http, await self._registrations.get(held.provider_slug), tokens)

    def _opened(self, stored: str | None, where: str) -> Secret | None:
        try:
            return None if stored is None else Secret(self._vault.decrypt(stored, where))
        except VaultError:  # nobody can give back what cannot be read: it is deleted
            return None
