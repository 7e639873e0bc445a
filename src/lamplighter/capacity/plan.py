"""What is to be simulated: whose tokens, how long they live, how they came, and who refreshes them."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, get_args

from msgspec import Struct

from lamplighter.core.duration import format_duration
from lamplighter.core.errors import ConfigError
from lamplighter.integrations.provider import MOST_AT_ONCE, SLUG

Tokens = Literal["new", "any-age", "unknown"]

MOST_INTEGRATIONS = 100_000_000
MOST_PROVIDERS = 50
MOST_WORKERS = 10_000
SHORTEST_LIFE = timedelta(seconds=30)
LONGEST = timedelta(days=366)
MINUTE = timedelta(minutes=1)
SLOWEST = timedelta(minutes=2)  # the timeout of a refresh


class Crowd(Struct, frozen=True, kw_only=True):
    """The integrations of one provider. Raises ConfigError for what cannot be.

    `limit` and `at_once`: its `max_per_second` and `max_concurrency`, which each worker process keeps for itself; a
    limit of None is none. `quota`: how many refreshes a second the provider bears from all together, if that is known.
    `jitter` False: as if all tokens of an age came due at the same moment.
    """

    slug: str
    integrations: int
    lifetime: timedelta = timedelta(hours=1)
    limit: float | None = 50
    at_once: int = 50
    quota: float | None = None
    jitter: bool = True

    def __post_init__(self) -> None:
        if not SLUG.fullmatch(self.slug):
            raise ConfigError(
                f"{self.slug!r:.60} is no provider's name: write 2 to 20 characters of a-z, 0-9 and '-', like gdrive."
            )
        _within(self._of("integrations"), self.integrations, 0, MOST_INTEGRATIONS)
        _lasts(self._of("lifetime"), self.lifetime, SHORTEST_LIFE, LONGEST)
        _within(self._of("at_once"), self.at_once, 1, MOST_AT_ONCE)
        for name in ("limit", "quota"):
            if (value := getattr(self, name)) is not None and not 0 < value <= MOST_INTEGRATIONS:
                raise ConfigError(f"{self._of(name)} must be above 0: give refreshes a second, such as 50.")

    def _of(self, name: str) -> str:
        return f"{name} of {self.slug}"


class Plan(Struct, frozen=True, kw_only=True):
    """What is to be simulated. Raises ConfigError for what cannot be.

    Integrations come evenly over `connected_over`, or all at once. Their first `tokens` are new; or of any age; or of
    an age that is not known, so that each is refreshed at once. `latency`: how long a refresh keeps a slot of its
    worker, which has `concurrency` of them.
    """

    crowds: tuple[Crowd, ...]
    duration: timedelta = timedelta(days=30)
    connected_over: timedelta = timedelta()
    tokens: Tokens = "new"
    workers: int = 1
    concurrency: int = 100
    latency: timedelta = timedelta(seconds=0.3)

    def __post_init__(self) -> None:
        if not 0 < len(self.crowds) <= MOST_PROVIDERS:
            raise ConfigError(f"there are {len(self.crowds)} providers: name 1 to {MOST_PROVIDERS}.")
        if len({crowd.slug for crowd in self.crowds}) < len(self.crowds):
            raise ConfigError("a provider is named twice: name each once.")
        if self.tokens not in get_args(Tokens):
            raise ConfigError(f"tokens cannot be {self.tokens!r:.60}: they are one of {', '.join(get_args(Tokens))}.")
        _within("integrations", self.integrations, 1, MOST_INTEGRATIONS)
        _within("workers", self.workers, 1, MOST_WORKERS)
        _within("concurrency", self.concurrency, 1, MOST_AT_ONCE)
        _lasts("the simulated time", self.duration, MINUTE, LONGEST)
        _lasts("connected_over", self.connected_over, timedelta(), LONGEST)
        _lasts("latency", self.latency, timedelta(milliseconds=1), SLOWEST)

    @property
    def integrations(self) -> int:
        """All of them."""
        return sum(crowd.integrations for crowd in self.crowds)

    @property
    def minutes(self) -> int:
        """How long it is simulated, in whole minutes."""
        return -(-self.duration // MINUTE)

    @property
    def slots_per_s(self) -> float:
        """How many refreshes the slots of all workers let through in a second."""
        return self.workers * self.concurrency / self.latency.total_seconds()


def _within(name: str, value: float, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ConfigError(f"{name} cannot be {value:,}: give a number from {least:,} to {most:,}.")


def _lasts(name: str, value: timedelta, least: timedelta, most: timedelta) -> None:
    if not least <= value <= most:
        told = f"give a duration from {format_duration(least)} to {format_duration(most)}"
        raise ConfigError(f"{name} cannot be {format_duration(value)}: {told}.")
