"""API keys: made once and shown once, `lamp_<id>_<secret>`. The store has a digest of the secret, and no more.

A digest without salt and stretching is enough, for nobody guesses 256 random bits. When a key was last used is a record
of its own: written beside what says that it is revoked, it could undo that.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
from msgspec import Struct

from lamplighter.core.clock import Clock
from lamplighter.core.errors import ConfigError, LamplighterError
from lamplighter.core.model import Record
from lamplighter.core.secret import Secret
from lamplighter.store.base import Store
from lamplighter.web.roles import Caller, Role
from lamplighter.web.signin.recalled import Recalled

KIND = "api_key"
USED = "api_key_used"
PREFIX = "lamp_"
MOST = 1000  # keys: they are read together
MOST_TENANTS = 1000
LONGEST_NAME = 200  # characters, of a key or of a tenant
EVERY = timedelta(minutes=1)  # how often it is written down that a key is in use
SEEN_AFTER_END = timedelta(days=90)  # that a key has expired or was revoked
READERS = (Role.TENANT, Role.SUPERADMIN)  # of access tokens; an operator sees no secrets


class UnknownKey(LamplighterError):
    """There is no key of that id."""


class Key(Struct, frozen=True, kw_only=True):
    """What is stored of a key."""

    id: str
    digest: str
    name: str
    role: Role
    tenants: tuple[str, ...] = ()
    may_read_tokens: bool = False
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        """Whether it lets anybody in."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    @property
    def caller(self) -> Caller:
        """Who calls with it."""
        return Caller(
            user_id=f"key:{self.id}",
            role=self.role,
            tenants=frozenset(self.tenants),
            may_read_tokens=self.may_read_tokens,
        )


class Use(Struct, frozen=True):
    """When a key was last used, to the minute."""

    at: datetime


class Made(NamedTuple):
    """A new key; nothing can tell its text again."""

    key: Key
    text: Secret


class Keys:
    """The keys in a store."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._keys = Recalled(store, KIND, Key, clock=clock)
        self._noted: dict[str, datetime] = {}

    async def caller(self, text: str) -> Caller | None:
        """Whose key that is; None if it lets nobody in, for whatever reason. Raises StoreError."""
        id_, _, secret = text.removeprefix(PREFIX).partition("_")
        now, key, digest = self._clock(), await self._keys.get(id_), _digest(secret)
        if key is None or not hmac.compare_digest(key.digest, digest) or not key.is_live(now):
            return None
        await self._note_use(key, now)
        return key.caller

    async def make(
        self,
        name: str,
        role: Role,
        *,
        tenants: Collection[str] = (),
        may_read_tokens: bool = False,
        life: timedelta | None = None,
    ) -> Made:
        """A new key, which counts from now on.

        Raises:
            ConfigError: there can be no such key.
        """
        _check(name, role, tenants, may_read_tokens=may_read_tokens)
        if len(await self._keys.all()) >= MOST:
            raise ConfigError(f"there are {MOST:,} keys already: revoke those that nobody uses.")
        now, secret = self._clock(), secrets.token_urlsafe(32)
        key = Key(
            id=secrets.token_hex(6),
            digest=_digest(secret),
            name=name,
            role=role,
            tenants=tuple(sorted(set(tenants))),
            may_read_tokens=may_read_tokens,
            created_at=now,
            expires_at=None if life is None else now + life,
        )
        await self._put(key)
        return Made(key, Secret(f"{PREFIX}{key.id}_{secret}"))

    async def revoke(self, id_: str) -> Key:
        """Let nobody in with it any more: at once here, in other processes within seconds (`recalled.KNOWN`).

        Raises:
            UnknownKey: there is none.
        """
        found = (await self._keys.all()).get(id_)
        if found is None:
            raise UnknownKey(f"there is no key {id_!r:.60}: `lamplighter keys` lists those there are.")
        revoked = msgspec.structs.replace(found, revoked_at=found.revoked_at or self._clock())
        await self._put(revoked)
        return revoked

    async def all(self) -> list[tuple[Key, datetime | None]]:
        """Every key, the oldest first, and when it was last used."""
        records = await self._store.records(USED, now=self._clock())
        used = {record.name: msgspec.json.decode(record.value, type=Use).at for record in records}
        keys = sorted((await self._keys.all()).values(), key=lambda key: key.created_at)
        return [(key, used.get(key.id)) for key in keys]

    async def has_live(self) -> bool:
        """Whether somebody can come in with one."""
        now = self._clock()
        return any(key.is_live(now) for key in (await self._keys.all()).values())

    async def _put(self, key: Key) -> None:
        ends = min((moment for moment in (key.expires_at, key.revoked_at) if moment), default=None)
        kept_until = None if ends is None else ends + SEEN_AFTER_END
        await self._store.put(Record(kind=KIND, name=key.id, value=_json(key), expires_at=kept_until))
        self._keys.forget()

    async def _note_use(self, key: Key, now: datetime) -> None:
        noted = self._noted.get(key.id)
        if noted is None or not timedelta() <= now - noted < EVERY:
            self._noted[key.id] = now
            kept_until = now + 5 * SEEN_AFTER_END
            await self._store.put(Record(kind=USED, name=key.id, value=_json(Use(now)), expires_at=kept_until))


def _check(name: str, role: Role, tenants: Collection[str], *, may_read_tokens: bool) -> None:
    if not all(one.strip() and one.isprintable() and len(one) <= LONGEST_NAME for one in (name, *tenants)):
        raise ConfigError(f"names of keys and tenants have 1 to {LONGEST_NAME} printable characters: correct them.")
    if len(tenants) > MOST_TENANTS:
        raise ConfigError(f"a key acts for {MOST_TENANTS:,} tenants at most: make several.")
    if (role is Role.TENANT) != bool(tenants):
        raise ConfigError("a key of the role tenant acts for tenants that it names, and others for none: correct that.")
    if may_read_tokens and role not in READERS:
        raise ConfigError(f"{role}s see no secrets: only keys of {' or '.join(READERS)} may read access tokens.")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _json(value: Struct) -> str:
    return msgspec.json.encode(value).decode()
