"""What is wrong with integrations: their tokens, their providers, and the keys that they are encrypted with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec import Struct
from sqlalchemy import Connection, func, select

from lamplighter.app.why.telling import rough
from lamplighter.core.clock import to_us
from lamplighter.core.config import Settings
from lamplighter.core.errors import ConfigError
from lamplighter.integrations.integration import place
from lamplighter.integrations.losing import LAPSING, lapsing
from lamplighter.integrations.refreshing.outage import left_alone
from lamplighter.integrations.service import folder_of, open_vault
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.tables import integrations, providers
from lamplighter.integrations.vault import KEY_FILE, KEYS_SETTING, Vault, VaultError

FAILED_OVER, FAILED_MOST = timedelta(minutes=10), 10
NO_FAILURE = ("refreshed", "disconnected")  # what else an integration's last outcome is, was a failure
SAMPLE = 100  # integrations at each end: those under a key that was left out are among the first
MOST_PROVIDERS = 1000

_row = integrations.c


class TokensSeen(Struct, frozen=True, kw_only=True):
    """What the tables told, by provider. `failing`: integrations whose last refresh, lately, failed."""

    now: datetime
    lapsing: Mapping[str, int]
    failing: Mapping[str, Mapping[str, int]]
    down: Mapping[str, datetime]


class Sealed(NamedTuple):
    """A stored secret, and the place that it was encrypted for."""

    value: str
    place: str


async def look(database: Database, *, now: datetime) -> TokensSeen:
    """Read all that the checks need. Looks through every integration once: 0.1 s for 100,000 in SQLite.

    Raises:
        StoreError: the database cannot be reached, or read.
    """

    def read(connection: Connection) -> TokensSeen:
        return TokensSeen(
            now=now,
            lapsing=lapsing(connection, LAPSING, now),
            failing=_failing(connection, now),
            down=left_alone(connection),
        )

    return await database.read(read)


def tokens_about_to_lapse(seen: TokensSeen) -> Iterator[str]:
    """Their refresh is late, and they have no more than minutes."""
    for slug, number in sorted(seen.lapsing.items()):
        yield (
            f"{number:,} at {slug} have an access token that lapses within 2 minutes, and their refresh is late: see "
            "no-worker, breaker-open and refreshes-failing, or `lamplighter integrations refresh ID`."
        )


def refreshes_failing(seen: TokensSeen) -> Iterator[str]:
    """More than now and then."""
    for slug, outcomes in sorted(seen.failing.items()):
        if (number := sum(outcomes.values())) > FAILED_MOST:
            told = ", ".join(f"{outcome}: {n:,}" for outcome, n in sorted(outcomes.items()))
            yield (
                f"the last refresh of {number:,} integrations at {slug} failed within 10 minutes ({told}): "
                f"`lamplighter integrations list --provider {slug}` tells why."
            )


def breaker_open(seen: TokensSeen) -> Iterator[str]:
    """A provider does not answer, and is left alone."""
    for slug, until in sorted(seen.down.items()):
        left = (until - seen.now).total_seconds()
        when = f"in {rough(left)}" if left > 0 else "any moment"
        yield (
            f"provider {slug} does not answer and is left alone, one request tries again {when}: see its status page, "
            "and whether this machine reaches it; refreshes go on by themselves."
        )


CHECKS: Mapping[str, Callable[[TokensSeen], Iterator[str]]] = {
    check.__name__.replace("_", "-"): check for check in (tokens_about_to_lapse, refreshes_failing, breaker_open)
}


async def keys(database: Database, settings: Settings) -> list[str]:
    """Whether the key ring is there, and opens what is stored: a sample of it. No key is made."""
    sealed = await database.read(_sample)
    file = folder_of(settings, database) / KEY_FILE
    if settings.encryption_keys is None and settings.mode == "development" and not file.exists():
        return [_gone(str(file), len(sealed))] if sealed else []
    try:
        vault = open_vault(settings, database)
    except ConfigError as error:
        return [str(error)]
    return _unreadable(vault, sealed)


def _unreadable(vault: Vault, sealed: Sequence[Sealed]) -> list[str]:
    """The first reason of each kind, and how many there are in all."""
    reasons, number = dict[type[VaultError], str](), 0
    for value, where in sealed:
        try:
            vault.decrypt(value, where)
        except VaultError as error:
            number += 1
            reasons.setdefault(type(error), str(error))
    return [f"{number:,} of {len(sealed):,} stored secrets do not open: {reason}" for reason in reasons.values()]


def _gone(file: str, number: int) -> str:
    return (
        f"{KEYS_SETTING} is not set and the key file {file} is not there, but at least {number:,} secrets are stored "
        f"under a key: put the file back from its backup, or set {KEYS_SETTING}; without it the tokens are lost."
    )


def _sample(connection: Connection) -> list[Sealed]:
    clients = select(providers.c.client_secret, providers.c.slug).limit(MOST_PROVIDERS)
    found = [Sealed(value, f"provider/{slug}/client_secret") for value, slug in connection.execute(clients)]
    for order in (_row.id.asc(), _row.id.desc()):
        some = select(_row.id, _row.access_token, _row.refresh_token).order_by(order).limit(SAMPLE)
        for id_, *tokens in connection.execute(some):
            pairs = zip(tokens, ("access_token", "refresh_token"), strict=True)
            found += [Sealed(value, place(id_, field)) for value, field in pairs if value]
    return list(dict.fromkeys(found))


def _failing(connection: Connection, now: datetime) -> dict[str, dict[str, int]]:
    statement = (
        select(_row.provider_slug, _row.last_outcome, func.count())
        .where(_row.updated_at > to_us(now - FAILED_OVER), _row.last_outcome.not_in(NO_FAILURE))
        .group_by(_row.provider_slug, _row.last_outcome)
    )
    found: dict[str, dict[str, int]] = {}
    for slug, outcome, number in connection.execute(statement):
        found.setdefault(slug, {})[outcome] = number
    return found
