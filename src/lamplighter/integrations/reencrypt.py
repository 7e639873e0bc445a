"""After a new vault key was put first: bring every stored value under it, so that the old key can be retired."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec import Struct
from sqlalchemy import Column, Connection, bindparam, select, update

from lamplighter.integrations.file_credentials import place as credentials_place
from lamplighter.integrations.integration import place
from lamplighter.integrations.notices.recipients import place as recipient_place
from lamplighter.integrations.registrations import secret_place
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.file_tables import file_sources
from lamplighter.integrations.storage.tables import integrations, providers, recipients
from lamplighter.integrations.vault import Vault, VaultError

log = logging.getLogger(__name__)

BATCH = 500  # rows in one transaction: refreshes wait for no more


class Reencrypted(Struct, frozen=True):
    """How many values are now under the first key, and the places of those that no key of the ring opens."""

    changed: int
    unreadable: tuple[str, ...] = ()


class _Kind(NamedTuple):
    """One column of stored values, the key of its rows, and the place of each."""

    key: Column[Any]
    column: Column[Any]
    place: Callable[[str], str]


KINDS = (
    _Kind(providers.c.slug, providers.c.client_secret, secret_place),
    _Kind(integrations.c.id, integrations.c.access_token, lambda key: place(key, "access_token")),
    _Kind(integrations.c.id, integrations.c.refresh_token, lambda key: place(key, "refresh_token")),
    _Kind(recipients.c.id, recipients.c.address, lambda key: recipient_place(key, "address")),
    _Kind(recipients.c.id, recipients.c.secret, lambda key: recipient_place(key, "secret")),
    _Kind(file_sources.c.id, file_sources.c.credentials, credentials_place),
)


async def reencrypt(database: Database, vault: Vault, *, batch: int = BATCH) -> Reencrypted:
    """Encrypt anew whatever is not under the first key, what MWAP wrote included. Safe beside running refreshers:
    a value that changed meanwhile is left as it is, for whoever changed it used the first key.

    What cannot be read is left, named and logged: it must not keep the others under the old key.
    """
    changed, unreadable = 0, list[str]()
    for kind in KINDS:
        last = ""
        while rows := await database.read(_after(kind, last, batch)):
            outdated = [(key, stored) for key, stored in rows if stored and vault.needs_reencrypt(stored)]
            swaps = [swap for key, stored in outdated if (swap := _swap(vault, kind, key, stored, unreadable))]
            changed += await database.write(_apply(kind, swaps)) if swaps else 0
            last = rows[-1][0]
    return Reencrypted(changed, tuple(unreadable))


class _Swap(NamedTuple):
    key: str
    old: str
    new: str


def _after(kind: _Kind, last: str, limit: int) -> Callable[[Connection], list[tuple[str, str | None]]]:
    statement = select(kind.key, kind.column).where(kind.key > last).order_by(kind.key).limit(limit)
    return lambda connection: [(key, stored) for key, stored in connection.execute(statement)]


def _swap(vault: Vault, kind: _Kind, key: str, stored: str, unreadable: list[str]) -> _Swap | None:
    where = kind.place(key)
    try:
        return _Swap(key, stored, vault.encrypt(vault.decrypt(stored, where), where))
    except VaultError as error:
        log.warning("What is stored at %s stays under its old key: %s", where, error)
        unreadable.append(where)
        return None


def _apply(kind: _Kind, swaps: list[_Swap]) -> Callable[[Connection], int]:
    statement = (
        update(kind.key.table)
        .where(kind.key == bindparam("row"), kind.column == bindparam("old"))
        .values({kind.column.name: bindparam("new")})
    )
    parameters = [{"row": swap.key, "old": swap.old, "new": swap.new} for swap in swaps]
    # one by one, because not every driver counts what many at once have changed
    return lambda connection: sum(connection.execute(statement, one).rowcount for one in parameters)
