"""From the provider's answer to the database: tokens that were received are stored, whatever it takes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple, Self

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from lamplighter.core.clock import Clock, from_us, maybe_from_us, to_us
from lamplighter.core.errors import StoreUnavailable
from lamplighter.core.secret import Secret
from lamplighter.integrations.integration import place
from lamplighter.integrations.oauth import Tokens
from lamplighter.integrations.refreshing import fault, row
from lamplighter.integrations.refreshing.journal import Entry, Journal, JournalError
from lamplighter.integrations.refreshing.planner import Planner, plan_after, planned_within
from lamplighter.integrations.refreshing.schedule import Dice, refresh_at
from lamplighter.integrations.refreshing.together import Together
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.vault import Unreadable, Vault, VaultError

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0  # seconds between tries to store


class Unsaved(StoreUnavailable):
    """Tokens came, but the database does not take them: they are kept, in memory and in the journal."""


class Obtained(Struct, frozen=True, omit_defaults=True):
    """What a provider gave, as the journal keeps it, encrypted. `owner`: the lock under which it was asked for."""

    owner: str
    issued_at: int
    access_token: str | None = None
    refresh_token: str | None = None
    expires_at: int | None = None
    scope: str | None = None

    @classmethod
    def from_tokens(cls, owner: str, tokens: Tokens, started: datetime) -> Self:
        """A whole answer."""
        return cls(
            owner,
            to_us(started),
            tokens.access_token.reveal(),
            tokens.refresh_token.reveal() if tokens.refresh_token else None,
            to_us(tokens.expires_at),
            tokens.scope,
        )

    @classmethod
    def from_rotation(cls, owner: str, refresh_token: Secret, started: datetime) -> Self:
        """An answer that only rotated the refresh token."""
        return cls(owner, to_us(started), refresh_token=refresh_token.reveal())

    def __repr__(self) -> str:
        return "Obtained(...)"


class Saved(NamedTuple):
    """Stale: newer tokens were there. `refresh_at`: when the next refresh is planned, if it is."""

    is_stale: bool
    refresh_at: datetime | None


class Recovered(Struct, frozen=True):
    """What became of tokens that had not been stored. `unreadable`: integrations whose vault key is missing."""

    saved: int = 0
    stale: int = 0
    unreadable: tuple[str, ...] = ()


class _Pending(NamedTuple):
    """Tokens on their way into the row whose tokens still have `version`."""

    answer: row.Answer
    entry: Entry | None
    forget: Callable[[Entry], None]  # in the journal

    @property
    def integration_id(self) -> str:
        return self.answer.id

    @property
    def at(self) -> datetime | None:
        return maybe_from_us(self.answer.tokens.refresh_at)


class Savings:
    """Stores tokens, and keeps those that cannot be stored until they can. `patience`: seconds of trying at once."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        journal: Journal,
        planner: Planner,
        *,
        clock: Clock,
        random: Dice,
        patience: float,
    ) -> None:
        self._database = database
        self._vault = vault
        self._journal = journal
        self._planner = planner
        self._clock = clock
        self._random = random
        self._patience = patience
        self._unsaved: dict[str, _Pending] = {}
        self._recovering = asyncio.Lock()
        self._with_plans = Together(partial(self._save_many, plan=True))
        self._without_plans = Together(partial(self._save_many, plan=False))

    async def keep(self, held: row.Held, obtained: Obtained) -> Saved:
        """Write them down, store them with their successor's plan, then forget the note. Raises Unsaved."""
        entry = self._record(held, obtained)
        fault.reach(fault.AFTER_TOKEN_RESPONSE)
        pending = self._seal(held.id, held.token_version, obtained, entry, self._journal.settle)
        try:
            return await self._save_hard(pending)
        except Exception as error:
            self._unsaved[held.id] = pending
            raise Unsaved(
                f"new tokens came, but could not be stored ({type(error).__name__}): they are kept and stored later; "
                "see that the database takes writes."
            ) from error

    async def save_unsaved(self, integration_id: str) -> None:
        """Store what is still kept for this integration, if anything. Raises StoreError."""
        if pending := self._unsaved.get(integration_id):
            await self._save(pending, plan=True)
            self._unsaved.pop(integration_id, None)

    async def recover(self) -> Recovered:
        """Store everything kept here, and everything that dead processes left in the journal. Raises StoreError."""
        async with self._recovering:
            results = [await self._save(pending, plan=True) for pending in list(self._unsaved.values())]
            self._unsaved.clear()
            unreadable = []
            for entry in sorted(self._journal.orphans(), key=lambda entry: entry.token_version):
                saved = await self._replay(entry)
                results += [saved] if saved else []
                unreadable += [] if saved else [entry.integration_id]
            stale = sum(saved.is_stale for saved in results)
            return Recovered(len(results) - stale, stale, tuple(unreadable))

    async def _replay(self, entry: Entry) -> Saved | None:
        """None: it cannot be read now, and stays in the journal."""
        version = await self._database.read(lambda connection: row.token_version(connection, entry.integration_id))
        if version != entry.token_version:
            self._journal.discard(entry)
            return Saved(is_stale=True, refresh_at=None)
        try:
            obtained = _read(entry)
        except VaultError as error:
            log.warning("The recovery journal keeps a token of integration %s: %s", entry.integration_id, error)
            return None
        pending = self._seal(entry.integration_id, entry.token_version, obtained, entry, self._journal.discard)
        return await self._save(pending, plan=True)

    def _record(self, held: row.Held, obtained: Obtained) -> Entry | None:
        try:
            return self._journal.record(held.id, held.token_version, msgspec.json.encode(obtained))
        except JournalError as error:  # it is the second line: the first, the database, may well hold
            log.warning("A token is on its way to the database without a note in the journal: %s", error)
            return None

    def _seal(
        self,
        integration_id: str,
        version: int,
        obtained: Obtained,
        entry: Entry | None,
        forget: Callable[[Entry], None],
    ) -> _Pending:
        sealed = row.Sealed(
            access_token=self._encrypt(obtained.access_token, integration_id, "access_token"),
            refresh_token=self._encrypt(obtained.refresh_token, integration_id, "refresh_token"),
            issued_at=obtained.issued_at,
            expires_at=obtained.expires_at,
            refresh_at=self._next(obtained),
            scopes=obtained.scope,
        )
        return _Pending(row.Answer(integration_id, version, obtained.owner, sealed), entry, forget)

    def _encrypt(self, token: str | None, integration_id: str, field: str) -> str | None:
        return None if token is None else self._vault.encrypt(token, place(integration_id, field))

    def _next(self, obtained: Obtained) -> int | None:
        if obtained.expires_at is None:
            return None
        return to_us(refresh_at(from_us(obtained.issued_at), from_us(obtained.expires_at), random=self._random))

    async def _save_hard(self, pending: _Pending) -> Saved:
        deadline, pause = time.monotonic() + self._patience, FIRST_PAUSE
        try:
            return await self._save(pending, plan=True)
        except Exception as error:  # noqa: BLE001 - whatever it is, the tokens come first
            await self._prepare_for_the_worst(pending, error)
        while True:
            try:  # the planner may be what fails: it is asked again when the tokens are safe
                return await self._save(pending, plan=False)
            except Exception:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _prepare_for_the_worst(self, pending: _Pending, error: Exception) -> None:
        log.warning("New tokens of integration %s are not stored yet, trying again: %r", pending.integration_id, error)
        if pending.entry is not None:
            try:
                await asyncio.to_thread(pending.entry.sync)
            except JournalError as failure:
                log.warning("The recovery journal may not outlive a power cut: %s", failure)

    async def _save(self, pending: _Pending, *, plan: bool) -> Saved:
        stored, planned = await (self._with_plans if plan else self._without_plans).one(pending)
        if pending.entry is not None:
            pending.forget(pending.entry)
        if stored and pending.at is not None and not planned:
            await plan_after(self._planner, pending.integration_id, pending.at)
        return Saved(is_stale=not stored, refresh_at=pending.at)

    async def _save_many(self, pending: Sequence[_Pending], *, plan: bool) -> Sequence[tuple[bool, bool]]:
        now = self._clock()
        return await self._database.write(lambda connection: self._store(connection, pending, now, plan=plan))

    def _store(
        self, connection: Connection, pending: Sequence[_Pending], now: datetime, *, plan: bool
    ) -> list[tuple[bool, bool]]:
        """Whether the tokens were stored, and whether their successors are planned in the same transaction."""
        stored = row.store(connection, [one.answer for one in pending], now)
        plans = [
            (one.integration_id, one.at)
            for one, is_stored in zip(pending, stored, strict=True)
            if is_stored and one.at is not None
        ]
        planned = plan and planned_within(self._planner, connection, plans)
        return [(is_stored, planned) for is_stored in stored]


def _read(entry: Entry) -> Obtained:
    try:
        return msgspec.json.decode(entry.payload, type=Obtained)
    except msgspec.MsgspecError:
        raise Unreadable(
            "an entry of the recovery journal is none of ours: remove its file once you know it."
        ) from None
