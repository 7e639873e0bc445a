"""What a job may be told at most: each refuses what cannot be, in one sentence."""

from __future__ import annotations

from datetime import timedelta

from lamplighter.core.errors import ConfigError

LONGEST_TIMEOUT = timedelta(days=7).total_seconds()
LONGEST_KEPT = timedelta(days=3650)
MOST_CRASHES = 1000


def timeout_in_seconds(timeout: float | timedelta | None) -> float | None:
    """How long an attempt may take; None for as long as it likes."""
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if seconds is not None and not 0 < seconds <= LONGEST_TIMEOUT:
        raise ConfigError(f"timeout={timeout} is not between 0 and 7 days: change it, or give None for no limit.")
    return seconds


def check_memory(memory_mb: int | None, *, process: bool) -> None:
    """Only a process of its own can be bounded."""
    if memory_mb is not None and (not process or memory_mb < 1):
        raise ConfigError("memory_mb bounds a process of its own: give process=True and at least 1.")


def check_kept(*times: timedelta | None) -> None:
    """How long ended jobs are kept; None is what the settings say."""
    for kept in times:
        if kept is not None and not timedelta() <= kept <= LONGEST_KEPT:
            raise ConfigError(f"a job cannot be kept for {kept}: give between 0 and ten years.")


def check_crashes(most: object) -> None:
    """How many workers it may be lost with. Without a bound, one job could take down every worker, for ever."""
    if not isinstance(most, int) or isinstance(most, bool) or not 1 <= most <= MOST_CRASHES:
        raise ConfigError(f"max_crashes={most!r:.60} is not a whole number from 1 to {MOST_CRASHES:,}: change it.")
