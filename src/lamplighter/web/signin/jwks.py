"""The public keys of an identity provider (RFC 7517), asked for when they are needed and kept for a while.

A token that names a key which is not known makes us ask again: keys are rotated. But no more than once in `PATIENCE`,
for anybody can make up a name. While the provider is down, the keys that are known stay good for a day.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx2
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from lamplighter.core.clock import Clock
from lamplighter.core.errors import ConfigError, LamplighterError
from lamplighter.integrations.answer import HEADERS, ask
from lamplighter.integrations.http_pool import Http
from lamplighter.integrations.safe_url import is_safe

FRESH = timedelta(minutes=10)
LONGEST = timedelta(days=1)  # that keys are good for without an answer
PATIENCE = timedelta(seconds=10)
TIMEOUT = 5.0  # seconds
MOST = 50  # keys of one provider
SHORTEST_MODULUS = 342  # characters, which are 2,048 bits

PublicKey = RSAKey | ECKey

_log = logging.getLogger("lamplighter.web")


class NoKeys(LamplighterError):
    """The identity provider cannot be asked for its keys."""


class Jwks:
    """The keys at one URL. `http` is opened and closed by others.

    Raises:
        ConfigError: the URL is not one to be asked.
    """

    def __init__(self, http: Http, url: str, *, clock: Clock) -> None:
        if not is_safe(url):
            raise ConfigError("jwt_jwks_url must be an https:// URL without user name, password or fragment.")
        self._http = http
        self.url = url
        self._clock = clock
        self._keys: list[PublicKey] = []
        self._read_at: datetime | None = None
        self._asked_at: datetime | None = None
        self._asking = asyncio.Lock()

    async def find(self, kid: str | None) -> PublicKey | None:
        """The key of that id; of none, the only key, if there is but one.

        Raises:
            NoKeys: none are known, and there is no answer.
        """
        found = self._find(kid)
        if found is None or (self._is_past(self._read_at, FRESH) and not self._asking.locked()):
            async with self._asking:  # of those whose key is known, one waits for the answer, and the others go on
                if self._is_past(self._asked_at, PATIENCE):
                    await self._ask()
                found = self._find(kid)
        if self._is_past(self._read_at, LONGEST):
            raise NoKeys("the identity provider cannot be asked for its keys: try again, and tell the operator.")
        return found

    def _find(self, kid: str | None) -> PublicKey | None:
        matching = [key for key in self._keys if kid is None or key.get("kid") == kid]
        return matching[0] if len(matching) == 1 else None

    async def _ask(self) -> None:
        self._asked_at = self._clock()
        try:
            answer = await ask(self._http, "GET", self.url, headers=HEADERS, within=TIMEOUT)
        except (httpx2.RequestError, TimeoutError) as error:
            _log.warning("The keys at %s cannot be read (%s).", self.url, type(error).__name__)
            return
        keys = list(_usable((answer.body or {}).get("keys"))) if answer.status == httpx2.codes.OK else []
        if not keys:
            _log.warning("There are no keys for signatures at %s (status %s).", self.url, answer.status)
            return
        self._keys, self._read_at = keys, self._clock()

    def _is_past(self, moment: datetime | None, age: timedelta) -> bool:
        return moment is None or not timedelta() <= self._clock() - moment < age


def _usable(told: Any) -> Iterator[PublicKey]:
    """Those that can verify a signature; what is of other kinds is no fault, for sets serve many purposes."""
    for one in told[:MOST] if isinstance(told, list) else ():
        match one:
            case {"use": str(use)} if use != "sig":
                continue
            case {"kty": "RSA", "n": str(modulus)} if len(modulus) >= SHORTEST_MODULUS:
                yield from _imported(RSAKey, one)
            case {"kty": "EC"}:
                yield from _imported(ECKey, one)


def _imported(kind: type[PublicKey], one: dict[str, Any]) -> Iterator[PublicKey]:
    try:
        yield kind.import_key(one)
    except (JoseError, ValueError, TypeError, KeyError):
        _log.warning("A key of the identity provider cannot be read: it counts as not there.")
