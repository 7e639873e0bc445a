"""Refresh one integration's tokens, such that no token is spent twice and none that was received is lost.

    look, without a write -> the provider's gate -> lock -> ask -> journal -> database (with the successor) -> settle

A provider that is down is probed by one refresh of one process at a time, which comes back for that; see `outage`.

From the lock on, the work goes on even if whoever asked for it is cancelled: a provider that rotates has spent the old
token when it answers. What could not be stored is kept, in memory and in the journal, and stored before anything else.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import random as dice
import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from types import TracebackType
from typing import Literal, NamedTuple, Self

from lamplighter.core.clock import Clock, maybe_from_us, to_us, utcnow
from lamplighter.core.errors import StoreError
from lamplighter.core.secret import Secret
from lamplighter.integrations.integration import place
from lamplighter.integrations.oauth import (
    Ambiguous,
    BadAnswer,
    GrantRevoked,
    IncompleteAnswer,
    OperatorFault,
    ProviderDown,
    TokenClient,
    Tokens,
)
from lamplighter.integrations.provider import Provider
from lamplighter.integrations.refreshing import outage, row
from lamplighter.integrations.refreshing.counted import counted
from lamplighter.integrations.refreshing.gates import Gates, Permit
from lamplighter.integrations.refreshing.journal import Journal
from lamplighter.integrations.refreshing.outcome import Busy, Gone, Refreshed, Shut, Wait
from lamplighter.integrations.refreshing.planner import Planner
from lamplighter.integrations.refreshing.savings import Obtained, Recovered, Savings, Unsaved
from lamplighter.integrations.refreshing.schedule import Dice, outage_delay
from lamplighter.integrations.refreshing.together import Together
from lamplighter.integrations.registrations import Registrations
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.vault import UnknownKey, Vault, VaultError
from lamplighter.observe.meter import Meter

__all__ = ["Busy", "Gone", "Recovered", "Refreshed", "Refresher", "Shut", "Unsaved", "Wait"]

log = logging.getLogger(__name__)

EARLY = timedelta(seconds=1)  # so much before its time counts as due: clocks and timers are not exact
LOCK_MARGIN = timedelta(seconds=30)  # over two requests: time to store what they gave
PROMPTLY = timedelta(seconds=0.1)  # after the end of a pause: not before it, where a clock is a little behind
LOOK_AGAIN = timedelta(seconds=1)  # at a lock: most are given back within a request's time


class Refresher:
    """Refreshes integrations, and brings home what crashed processes had received. Close it to let the last ones end.

    `owner` names this process in locks, and must be its own. `patience`: seconds for which storing is tried again.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        journal: Journal,
        token_client: TokenClient,
        planner: Planner,
        *,
        clock: Clock = utcnow,
        random: Dice = dice.random,
        owner: str | None = None,
        patience: float = 15,
        meter: Meter | None = None,
    ) -> None:
        self._database = database
        self._vault = vault
        self._token_client = token_client
        self._planner = planner
        self._clock = clock
        self._random = random
        self._owner = owner or f"{os.getpid()}-{secrets.token_hex(6)}"
        self._turns = itertools.count(1)
        self._lock_time = timedelta(seconds=2 * token_client.timeout) + LOCK_MARGIN
        self._gates = Gates(clock, random, longest_pause=outage.PROBE_EVERY)
        self._registrations = Registrations(database, vault, clock=clock)
        self._savings = Savings(database, vault, journal, planner, clock=clock, random=random, patience=patience)
        self._looks = Together(self._look)
        self._locks = Together(self._lock)
        self._running: set[asyncio.Task[Refreshed]] = set()
        self._meter = Meter() if meter is None else meter

    async def refresh(self, integration_id: str, *, force: bool = False, rejected: int | None = None) -> Refreshed:
        """Refresh it if it is due, or in any case with `force`, or if the tokens of version `rejected` are its last.

        Raises:
            TokenError: the provider gave no tokens; what that means for the integration is recorded.
                ProviderDown says in `retry_in` when to come back.
            Busy, Wait, Shut: not now.
            Gone: there is nothing to refresh.
            VaultError: the stored token cannot be decrypted; recorded as an error of the set-up.
            StoreError: the database failed; Unsaved, when tokens had come: they are kept, and stored by the next call.
        """
        await self._savings.save_unsaved(integration_id)
        seen = _usable(integration_id, await self._looks.one(integration_id))
        force = force or seen.token_version == rejected
        if not force and self._is_fresh(seen.status, seen.refresh_at):
            return _without_asking("fresh", integration_id, seen.refresh_at)
        with counted(self._meter, seen.provider_slug) as tell:
            refreshed = await self._refresh(integration_id, seen, force=force)
            tell(refreshed.outcome)
        return refreshed

    async def _refresh(self, integration_id: str, seen: row.Seen, *, force: bool) -> Refreshed:
        self._refuse_locked(seen)
        if seen.lock_owner is not None:  # it expired: its holder may have died with tokens in its journal
            await self._take_estate(integration_id)
        provider = await self._registrations.current(seen.provider_slug, seen.provider_version)
        self._gates.follow(provider, maybe_from_us(seen.shut_until))
        permit = await self._gates.admit(provider, integration_id)
        return await self._shielded(_Round(integration_id, provider, permit, seen, force))

    async def recover(self) -> Recovered:
        """Store what was received but not stored: by this process, and by those that died. Call it now and then.

        Raises StoreError if the database still fails.
        """
        return await self._savings.recover()

    async def give_up(self, integration_id: str, reason: str) -> bool:
        """After the last attempt: mark it expired, to be looked at again in an hour. True if it was active."""
        now = self._clock()
        return await self._database.write(lambda connection: row.give_up(connection, integration_id, reason, now))

    async def close(self) -> None:
        """Wait for the refreshes that were cancelled while a provider was asked."""
        while self._running:
            await asyncio.wait(self._running)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _look(self, ids: Sequence[str]) -> list[row.Seen | None]:
        return await self._database.read(lambda connection: row.peek(connection, ids))

    async def _lock(self, asked: Sequence[row.Asked]) -> list[row.Held | None]:
        return await self._database.write(lambda connection: row.acquire(connection, asked))

    async def _take_estate(self, integration_id: str) -> None:
        """What the last holder of an expired lock had received: its old token is spent, and must not be sent again."""
        if integration_id in (await self._savings.recover()).unreadable:
            raise UnknownKey(
                "a newer token of this integration is in the recovery journal, under a vault key that is not in "
                "the ring: add that key, or connect the integration again."
            )

    def _is_fresh(self, status: str, refresh_at: int | None) -> bool:
        return status == "active" and refresh_at is not None and to_us(self._clock() + EARLY) < refresh_at

    def _refuse_locked(self, seen: row.Seen) -> None:
        left = row.left_of(seen.lock_until, self._clock())
        if seen.lock_owner is not None and left > timedelta():
            raise self._busy(left)

    def _busy(self, left: timedelta) -> Busy:
        wait = min(left, LOOK_AGAIN * (1 + self._random()))
        return Busy("another refresh of this integration is under way: look again when it has ended.", wait)

    async def _shielded(self, work: _Round) -> Refreshed:
        task = asyncio.create_task(self._run(work))
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Refreshed]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen: when whoever asked was cancelled, what it was is in the database

    async def _run(self, work: _Round) -> Refreshed:
        with work.permit:
            if work.is_probe:
                await self._take_probe(work)
            try:
                return await self._locked(work)
            finally:
                with suppress(StoreError):  # what it came to counts for more; the outage then lasts as it was written
                    await self._tell_others(work)

    async def _take_probe(self, work: _Round) -> None:
        now, slug, seen = self._clock(), work.provider.slug, work.seen.shut_until
        assert seen is not None
        if not await self._database.write(lambda connection: outage.take_probe(connection, slug, seen, now)):
            raise Shut(f"{work.provider.display_name} is being asked whether it is back: wait.", LOOK_AGAIN)

    async def _tell_others(self, work: _Round) -> None:
        """What other processes should know of the provider."""
        slug, is_probe, now = work.provider.slug, work.is_probe, self._clock()
        match work.permit.answered, self._gates.shut_for(work.provider):
            case True, _ if is_probe:
                if await self._database.write(lambda connection: outage.end(connection, slug)):
                    await self._planner.recovered(slug)
            case False, timedelta() as shut_for:
                until = now + shut_for
                await self._database.write(lambda connection: outage.shut(connection, slug, until, is_probe=is_probe))
            case _ if is_probe:  # which found nothing out: the next one may
                await self._database.write(lambda connection: outage.shut(connection, slug, now, is_probe=True))

    async def _locked(self, work: _Round) -> Refreshed:
        held = await self._acquire(work)
        try:
            return await self._under_lock(work, held)
        except (BadAnswer, GrantRevoked, OperatorFault, ProviderDown, VaultError):
            raise  # recorded, and the lock given back with that
        except Unsaved:
            raise  # the lock stays: until they are stored, nobody may send the token that they replace
        except Exception:
            with suppress(StoreError):
                await self._release(held)
            raise

    async def _acquire(self, work: _Round) -> row.Held:
        now, owner = self._clock(), f"{self._owner}-{next(self._turns)}"
        asked = row.Asked(work.integration_id, owner, work.seen.lock_owner, to_us(now), to_us(now + self._lock_time))
        held = await self._locks.one(asked)
        if held is not None:
            return held
        seen = _usable(work.integration_id, await self._looks.one(work.integration_id))
        raise self._busy(max(row.left_of(seen.lock_until, now), timedelta(milliseconds=50)))

    async def _under_lock(self, work: _Round, held: row.Held) -> Refreshed:
        is_news = held.token_version != work.seen.token_version  # since it was looked at, another has refreshed it
        if self._is_fresh(held.status, held.refresh_at) and (is_news or not work.force):
            await self._release(held)
            return _without_asking("adopted" if is_news else "fresh", held.id, held.refresh_at)
        refresh_token = await self._decrypt(held)
        started = self._clock()
        try:
            tokens = await self._ask(work.provider, refresh_token)
        except GrantRevoked as error:
            work.permit.succeeded()
            return await self._lost_or_revoked(held, error)
        except ProviderDown as error:
            work.permit.failed(error.retry_after)
            await self._suffer_outage(work.provider, held, error)
            raise
        except OperatorFault as error:
            work.permit.failed()  # like an outage, so that a wrong secret does not hammer the provider
            await self._blame(held, str(error), "operator")
            raise
        except IncompleteAnswer as error:
            work.permit.succeeded()
            await self._keep_refresh_token(held, error, started)
            raise
        except BadAnswer as error:
            work.permit.succeeded()
            await self._note(held, error.reason)
            raise
        work.permit.succeeded()
        return await self._keep(held, tokens, started)

    async def _decrypt(self, held: row.Held) -> Secret:
        try:
            return Secret(self._vault.decrypt(held.refresh_token, place(held.id, "refresh_token")))
        except VaultError as error:
            await self._blame(held, str(error), "vault")
            raise

    async def _ask(self, provider: Provider, refresh_token: Secret) -> Tokens:
        """One request; a second if the first may have been carried out. A refusal of the second is final."""
        try:
            return await self._token_client.refresh(provider, refresh_token, self._clock)
        except Ambiguous:
            pass
        try:
            return await self._token_client.refresh(provider, refresh_token, self._clock)
        except Ambiguous as error:
            raise ProviderDown(provider, error.reason) from error

    async def _keep(self, held: row.Held, tokens: Tokens, started: datetime) -> Refreshed:
        for warning in tokens.warnings:
            log.warning("%s", warning)
        saved = await self._savings.keep(held, Obtained.from_tokens(held.owner, tokens, started))
        if saved.is_stale:
            return await self._adopted(held)
        return Refreshed(integration_id=held.id, outcome="refreshed", refresh_at=saved.refresh_at)

    async def _keep_refresh_token(self, held: row.Held, error: IncompleteAnswer, started: datetime) -> None:
        if error.refresh_token is None:
            await self._note(held, error.reason)
        else:
            await self._savings.keep(held, Obtained.from_rotation(held.owner, error.refresh_token, started))

    async def _lost_or_revoked(self, held: row.Held, error: GrantRevoked) -> Refreshed:
        now, reason = self._clock(), str(error)
        if await self._database.write(lambda connection: row.revoke(connection, held, reason, now)):
            raise error
        await self._release(held)
        return await self._adopted(held)

    async def _adopted(self, held: row.Held) -> Refreshed:
        at = await self._database.read(lambda connection: row.planned_at(connection, held.id))
        return Refreshed(integration_id=held.id, outcome="adopted", refresh_at=at)

    async def _suffer_outage(self, provider: Provider, held: row.Held, error: ProviderDown) -> None:
        """Those that others wait for come back at the end of the pause, to probe."""
        now, outages = self._clock(), 1
        with suppress(StoreError):  # a failing database must not hide the outage: the lock then ends by itself
            outages = await self._database.write(lambda connection: row.suffer_outage(connection, held, now))
        delay, shut_for = outage_delay(outages, error.retry_after, random=self._random), self._gates.shut_for(provider)
        error.retry_in = delay if shut_for is None else shut_for + PROMPTLY

    async def _blame(self, held: row.Held, reason: str, outcome: str) -> None:
        now = self._clock()
        if not await self._database.write(lambda connection: row.blame(connection, held, reason, outcome, now)):
            await self._release(held)

    async def _note(self, held: row.Held, outcome: str) -> None:
        now = self._clock()
        await self._database.write(lambda connection: row.note(connection, held, outcome, now))

    async def _release(self, held: row.Held) -> None:
        await self._database.write(lambda connection: row.release(connection, held))


class _Round(NamedTuple):
    """One refresh, as far as it is known before the lock."""

    integration_id: str
    provider: Provider
    permit: Permit
    seen: row.Seen
    force: bool

    @property
    def is_probe(self) -> bool:
        """Whether it finds out if the provider, which was down, is back."""
        return self.seen.shut_until is not None


def _usable(integration_id: str, seen: row.Seen | None) -> row.Seen:
    if seen is None:
        raise Gone(f"there is no integration {integration_id!r:.60}: check the id.")
    if seen.status not in row.REFRESHABLE:
        raise Gone(f"the integration is {seen.status}: it can be refreshed once its owner has connected it.")
    if not seen.has_refresh_token:
        raise Gone("the integration has no refresh token: ask its owner to connect it again, with offline access.")
    return seen


def _without_asking(outcome: Literal["fresh", "adopted"], integration_id: str, refresh_at: int | None) -> Refreshed:
    return Refreshed(integration_id=integration_id, outcome=outcome, refresh_at=maybe_from_us(refresh_at))
