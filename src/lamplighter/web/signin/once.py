"""Login links that are good once, for ten minutes, in the process that made them."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from lamplighter.core.clock import Clock
from lamplighter.core.secret import Secret

LIFE = timedelta(minutes=10)


class Once:
    """Kept in memory: taking one out is a single step there, and nobody needs a link of a process that has ended."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._made: dict[str, datetime] = {}

    def make(self) -> Secret:
        """What the link has to say."""
        text = secrets.token_urlsafe(32)
        self._made[_digest(text)] = self._clock()
        return Secret(text)

    def take(self, text: str) -> bool:
        """Whether a link that says this is good: from now on it is not."""
        made_at = self._made.pop(_digest(text), None)
        return made_at is not None and timedelta() <= self._clock() - made_at < LIFE


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
