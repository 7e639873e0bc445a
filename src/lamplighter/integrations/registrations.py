"""The providers that this service is a registered client of."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select

from lamplighter.core.clock import Clock, from_us, to_us, utcnow
from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret
from lamplighter.integrations.audit import Resource, record
from lamplighter.integrations.provider import Provider, ProviderFacts
from lamplighter.integrations.storage.database import Database, insert_into
from lamplighter.integrations.storage.tables import providers
from lamplighter.integrations.vault import Vault


class UnknownProvider(ConfigError):
    """Nobody registered a provider of that slug."""


class Registrations:
    """Providers with our client id and secret there, in the database."""

    def __init__(self, database: Database, vault: Vault, *, clock: Clock = utcnow) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._known: dict[str, tuple[int, Provider]] = {}

    async def register(self, provider: Provider) -> None:
        """Add the provider, or change the one of its slug. Refreshers of any process use it from their next refresh."""
        now = to_us(self._clock())
        facts = msgspec.structs.asdict(provider)
        client_id, client_secret = facts.pop("client_id"), facts.pop("client_secret")
        values = {
            "display_name": provider.display_name,
            "client_id": client_id,
            "client_secret": self._vault.encrypt(client_secret.reveal(), secret_place(provider.slug)),
            "facts": msgspec.to_builtins(facts),
            "updated_at": now,
        }

        def write(connection: Connection) -> None:
            statement = insert_into(connection, providers).values(
                slug=provider.slug, version=1, created_at=now, **values
            )
            changed = values | {"version": providers.c.version + 1}
            connection.execute(statement.on_conflict_do_update(index_elements=["slug"], set_=changed))
            about = [Resource("provider", provider.slug, None)]
            record(connection, "provider.registered", about, from_us(now), changes={"client_id": client_id})

        await self._database.write(write)

    async def get(self, slug: str) -> Provider:
        """The provider of that slug. Raises UnknownProvider, and VaultError if its secret cannot be read."""
        row = await self._database.read(
            lambda connection: connection.execute(select(providers).where(providers.c.slug == slug)).first()
        )
        if row is None:
            raise UnknownProvider(f"no provider {slug!r:.60} is registered: register it first.")
        provider = self._provider(row)
        self._known[slug] = (row.version, provider)
        return provider

    async def current(self, slug: str, version: int) -> Provider:
        """The provider, from memory if it still has this version."""
        known = self._known.get(slug)
        return known[1] if known and known[0] == version else await self.get(slug)

    async def all(self) -> list[Provider]:
        """All of them, by slug."""
        rows = await self._database.read(
            lambda connection: connection.execute(select(providers).order_by(providers.c.slug)).all()
        )
        return [self._provider(row) for row in rows]

    def _provider(self, row: Row[Any]) -> Provider:
        client_secret = Secret(self._vault.decrypt(row.client_secret, secret_place(row.slug)))
        return msgspec.convert(row.facts, ProviderFacts).with_client(row.client_id, client_secret)


def secret_place(slug: str) -> str:
    """Where the vault says that a provider's client secret is."""
    return f"provider/{slug}/client_secret"
