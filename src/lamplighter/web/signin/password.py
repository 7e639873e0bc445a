"""The admin's password, for those without an identity provider. The store has its argon2id hash (RFC 9106)."""

from __future__ import annotations

import asyncio

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from msgspec import Struct

from lamplighter.core.clock import Clock
from lamplighter.core.errors import ConfigError
from lamplighter.core.model import Record
from lamplighter.core.secret import Secret
from lamplighter.store.base import Store

KIND = "admin_password"
NAME = "admin"
SHORTEST, LONGEST = 12, 1000  # characters


class _Hashed(Struct, frozen=True):
    hash: str


class AdminPassword:
    """The one in a store."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._hasher = PasswordHasher()
        self._one_by_one = asyncio.Lock()  # a check takes 64 MiB

    async def set(self, password: Secret) -> None:
        """From now on it is this one.

        Raises:
            ConfigError: it is too short, or too long.
        """
        if not SHORTEST <= len(password.reveal()) <= LONGEST:
            raise ConfigError(f"a password has {SHORTEST} to {LONGEST:,} characters: take a few random words.")
        hashed = await asyncio.to_thread(self._hasher.hash, password.reveal())
        await self._store.put(Record(kind=KIND, name=NAME, value=msgspec.json.encode(_Hashed(hashed)).decode()))

    async def is_set(self) -> bool:
        """Whether there is one."""
        return await self._hash() is not None

    async def is_right(self, password: Secret) -> bool:
        """Whether it is this one."""
        stored = await self._hash()
        if stored is None or len(password.reveal()) > LONGEST:
            return False
        async with self._one_by_one:
            return await asyncio.to_thread(self._verify, stored, password)

    async def _hash(self) -> str | None:
        records = await self._store.records(KIND, now=self._clock())
        found = [msgspec.json.decode(record.value, type=_Hashed).hash for record in records if record.name == NAME]
        return found[0] if found else None

    def _verify(self, stored: str, password: Secret) -> bool:
        try:
            return self._hasher.verify(stored, password.reveal())
        except (VerificationError, InvalidHashError):
            return False
