"""Rotating the vault's keys while refreshers run."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import select, union_all, update
from tests.integrations.support import KEY, Endpoint, Service

from lamplighter.integrations.integrations import Integrations
from lamplighter.integrations.reencrypt import Reencrypted, reencrypt
from lamplighter.integrations.storage.tables import integrations, providers
from lamplighter.integrations.vault import Vault, new_key


async def stored(ours: Service) -> list[str]:
    columns = (providers.c.client_secret, integrations.c.access_token, integrations.c.refresh_token)
    values = union_all(*map(select, columns))
    return list(await ours.database.read(lambda connection: connection.execute(values).scalars().all()))


async def test_every_value_comes_under_the_first_key(endpoint: Endpoint, ours: Service) -> None:
    provider = endpoint.provider()
    await ours.registrations.register(provider)
    connected = await ours.connect(provider, "a", "r")
    newer = new_key()
    both, only_new = Vault.from_text(f"{newer},{KEY}"), Vault.from_text(newer)
    assert await reencrypt(ours.database, both, batch=1) == Reencrypted(3)
    assert await reencrypt(ours.database, both) == Reencrypted(0)
    assert not any(only_new.needs_reencrypt(value) for value in await stored(ours))
    rotated = ours._replace(vault=only_new)
    assert await rotated.tokens(connected.id) == ("a", "r")


async def test_what_no_key_opens_is_named_and_holds_up_nothing(endpoint: Endpoint, ours: Service) -> None:
    provider = endpoint.provider()
    await ours.registrations.register(provider)
    strange = ours._replace(integrations=Integrations(ours.database, Vault.from_text(new_key())))
    connected = await strange.connect(provider, "a", "r")
    done = await reencrypt(ours.database, Vault.from_text(f"{new_key()},{KEY}"))
    assert done.changed == 1
    assert done.unreadable == tuple(
        f"integration/{connected.id}/{field}" for field in ("access_token", "refresh_token")
    )


async def test_a_refresh_meanwhile_is_not_overwritten(endpoint: Endpoint, ours: Service) -> None:
    provider = endpoint.provider()
    await ours.registrations.register(provider)
    connected = await ours.connect(provider, "a", "r", life=-1)
    vault = _Meanwhile(ours, f"{new_key()},{KEY}")
    await reencrypt(ours.database, vault)
    assert vault.refreshed
    assert (await ours.get(connected.id)).token_version == 2
    after = ours._replace(vault=vault)
    assert await after.tokens(connected.id) == ("new-access", "new-refresh")


class _Meanwhile(Vault):
    """Another process refreshes the integration when its refresh token was read, and is not yet written again."""

    def __init__(self, ours: Service, keys: str) -> None:
        from lamplighter.integrations.vault import KeyRing

        super().__init__(KeyRing.from_text(keys))
        self.refreshed = False
        self._ours = ours

    def decrypt(self, stored: str, place: str) -> str:
        if place.endswith("refresh_token") and not self.refreshed:
            self.refreshed = True
            store = update(integrations).values(
                refresh_token=self._ours.vault.encrypt("new-refresh", place),
                access_token=self._ours.vault.encrypt("new-access", place.replace("refresh_token", "access_token")),
                token_version=2,
            )
            with ThreadPoolExecutor(1) as other:
                other.submit(asyncio.run, self._ours.database.write(lambda c: c.execute(store).close())).result()
        return super().decrypt(stored, place)
