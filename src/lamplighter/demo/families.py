"""Token families: every token that descends from one consent, kept as one small record.

A token names its family and itself under a MAC, so nothing is stored per token: memory stays flat under load, and a
refresh token spent a million refreshes ago is still recognised.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import math
import secrets
import time
from collections import Counter
from collections.abc import Callable
from typing import Literal, NamedTuple

import msgspec

MOST = 10_000  # families kept; past it the one idle for longest is forgotten, which ends it

Kind = Literal["access", "refresh"]


class Family(msgspec.Struct, kw_only=True, eq=False):
    """One consent and what became of it."""

    id: int
    user: str
    scope: str
    issued: int = 0  # tokens so far; each takes the next number
    live: int = 0  # the number of the one refresh token that still works
    refreshes: int = 0  # requests, whatever their answer
    refused: int = 0  # of them, those since it was revoked
    revoked: bool = False


class Token(NamedTuple):
    """A token that this world issued. Has the methods that Authlib asks of a token."""

    family: Family
    kind: Kind
    number: int
    expired: bool

    @property
    def spent(self) -> bool:
        return self.kind == "refresh" and self.number != self.family.live

    def check_client(self, _client: object) -> bool:
        return True  # each provider has one client, and its own key: another's token cannot be read

    def get_scope(self) -> str:
        return self.family.scope

    def is_expired(self) -> bool:
        return self.expired

    def is_revoked(self) -> bool:
        return self.family.revoked


class Families:
    """The families of one provider. Bounded: see `MOST`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.reuses = 0  # families revoked because a spent refresh token came back
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._ids = itertools.count(1)
        self._kept: dict[int, Family] = {}

    def open(self, user: str, scope: str) -> Family:
        """A new family, without tokens yet."""
        family = Family(id=next(self._ids), user=user, scope=scope)
        self._keep(family)
        return family

    def issue_access(self, family: Family, lifetime: float) -> str:
        """An access token that works for `lifetime` seconds."""
        return self._issue(family, "access", self._clock() + lifetime)

    def issue_refresh(self, family: Family) -> str:
        """The family's next refresh token, which spends the one before."""
        token = self._issue(family, "refresh", math.inf)
        family.live = family.issued
        return token

    def read(self, text: str, kind: Kind) -> Token | None:
        """The token, whatever its state; None if it is no token of that kind from here or its family is forgotten."""
        body, _, mac = text.rpartition(".")
        if not hmac.compare_digest(mac.encode(), self._mac(body).encode()):
            return None
        found, family_id, number, expires_at = body.split("~")
        family = self._kept.get(int(family_id))
        if family is None or found != kind:
            return None
        return Token(family, kind, int(number), self._clock() >= float(expires_at))

    def redeem(self, text: str) -> Token | None:
        """The live refresh token behind the text, else None.

        A spent one tells that two parties hold the family: it is revoked (RFC 9700, section 4.14.2).
        """
        token = self.read(text, "refresh")
        if token is None:
            return None
        family = token.family
        family.refreshes += 1
        if token.spent and not family.revoked:
            family.revoked = True
            self.reuses += 1
        if family.revoked:
            family.refused += 1
            return None
        self._keep(family)
        return token

    def revoke(self, user: str) -> None:
        """End every family that the user has now."""
        for family in self._kept.values():
            if family.user == user:
                family.revoked = True

    def refreshes(self) -> dict[str, int]:
        """Refresh requests by user, over the families kept."""
        return self._by_user(lambda family: family.refreshes)

    def refused(self) -> dict[str, int]:
        """Refresh requests by user with what a revoked family had, over the families kept."""
        return self._by_user(lambda family: family.refused)

    def _by_user(self, count: Callable[[Family], int]) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for family in self._kept.values():
            counts[family.user] += count(family)
        return dict(+counts)

    def _keep(self, family: Family) -> None:
        """Put the family last in line to be forgotten, and forget the first if there are too many."""
        self._kept.pop(family.id, None)
        self._kept[family.id] = family
        if len(self._kept) > MOST:
            del self._kept[next(iter(self._kept))]

    def _issue(self, family: Family, kind: Kind, expires_at: float) -> str:
        family.issued += 1
        body = f"{kind}~{family.id}~{family.issued}~{expires_at}"
        return f"{body}.{self._mac(body)}"

    def _mac(self, body: str) -> str:
        return hashlib.blake2b(body.encode(), key=self._key, digest_size=16).hexdigest()
