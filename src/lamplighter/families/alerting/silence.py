"""Silences: until when nobody is told, of what, why, and who wants it so. What is bad is seen all the same."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from msgspec import Struct

from lamplighter.core.errors import ConfigError
from lamplighter.families.alerting.course import Alert

LONGEST = timedelta(days=30)
LONGEST_REASON = 500  # characters
LONGEST_PATTERN = 200
MOST = 200  # at once


class Silence(Struct, frozen=True, kw_only=True):
    """`rule` and `subject` are names or patterns such as `mail-*`."""

    id: str
    rule: str
    subject: str
    until: datetime
    reason: str
    user_id: str
    created_at: datetime

    def covers(self, alert: Alert, now: datetime) -> bool:
        """Whether nobody is told of it now."""
        is_meant = fnmatchcase(alert.rule, self.rule) and fnmatchcase(alert.subject, self.subject)
        return is_meant and now < self.until


def is_silenced(alert: Alert, silences: Iterable[Silence], now: datetime) -> bool:
    """Whether one of them covers it."""
    return any(one.covers(alert, now) for one in silences)


def check_silence(rule: str, subject: str, lasts: timedelta, reason: str) -> None:
    """Raises ConfigError if there can be no such silence."""
    for what, text in (("rule", rule), ("subject", subject)):
        if not 0 < len(text) <= LONGEST_PATTERN or not text.isprintable():
            raise ConfigError(f"the {what} of a silence is a name or a pattern such as mail-*: give one, or * for all.")
    if not timedelta() < lasts <= LONGEST:
        raise ConfigError(f"a silence lasts up to {LONGEST.days} days: say for how long, such as 2h.")
    if not 0 < len(reason.strip()) <= LONGEST_REASON or not reason.isprintable():
        raise ConfigError("whoever finds a silence wants to know why it is there: give a reason, in one line.")


def too_many() -> ConfigError:
    """There are as many as there may be."""
    return ConfigError(f"there are {MOST} silences already: end one first, or let one cover more.")
