"""How often somebody may ask: so many times a second, and some at once. Counted in this process, in bounded memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from ipaddress import IPv6Address, ip_address

from starlette.requests import Request

from lamplighter.core.errors import LamplighterError

MOST = 10_000  # names that are remembered; the longest silent are forgotten first


class TooMany(LamplighterError):
    """Somebody asked too often. `retry_in`: how long to wait."""

    def __init__(self, retry_in: timedelta) -> None:
        super().__init__("too many requests: wait as long as Retry-After says, and ask less often.")
        self.retry_in = retry_in


class Allowance:
    """The same for everybody (GCRA, as the pace of providers)."""

    def __init__(
        self, per_second: float, at_once: int, *, most: int = MOST, passed: Callable[[], float] = time.monotonic
    ) -> None:
        self._step = 1 / per_second
        self._at_once = at_once
        self._most = most
        self._passed = passed
        self._used_up: dict[str, float] = {}  # by name, until when what was taken lasts; the latest asked comes last

    def take(self, name: str) -> None:
        """Let somebody ask once more.

        Raises:
            TooMany: not now.
        """
        now = self._passed()
        used_up = max(now, self._used_up.pop(name, now))
        wait = used_up - now - (self._at_once - 1) * self._step
        self._used_up[name] = used_up if wait > 0 else used_up + self._step
        if len(self._used_up) > self._most:
            del self._used_up[next(iter(self._used_up))]
        if wait > 0:
            raise TooMany(timedelta(seconds=wait))


def address_of(request: Request) -> str:
    """Whence a request comes. Of IPv6 the network, for whoever has an address there has all of them."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))
    return host
