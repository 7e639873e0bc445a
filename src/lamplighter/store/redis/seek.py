"""Finds the server that has our keys: the one named, the master that Sentinel names, or the node of a cluster."""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hiredis

from lamplighter.core.errors import ConfigError
from lamplighter.store.redis.connect import Hear, connect, connect_sentinel
from lamplighter.store.redis.errors import Away, explain, show
from lamplighter.store.redis.url import Address, Place
from lamplighter.store.redis.wire import Lost, Wire

SLOTS = 16384


class Seeker:
    """Knows where the server was last, and asks anew when it is not there any more."""

    def __init__(self, place: Place) -> None:
        self.at: Address = place.addresses[0]
        """The server that was last connected to, or tried."""
        self._place = place
        self._slot = binascii.crc_hqx(place.prefix.encode(), 0) % SLOTS
        self._clustered: bool | None = None
        self._nodes: list[Address] = []

    async def connect(self, *, hear: Hear | None = None) -> Wire:
        """A connection to the server that has our keys now.

        Raises:
            Away: no server that could tell or serve is there.
            StoreUnavailable, ConfigError: as `connect` does.
        """
        candidates = list(dict.fromkeys([*self._nodes, *self._place.addresses]))
        away: Away | None = None
        for candidate in candidates:
            try:
                return await self._by(candidate, self._place.patience / len(candidates), hear)
            except Away as error:
                away = error
        assert away is not None, "there is one address at least"
        raise away

    def moved(self, error: hiredis.ReplyError) -> None:
        """Remember what a node said: MOVED slot host:port."""
        self._clustered = True
        host, _, port = str(error).split()[-1].rpartition(":")
        old = self.at[0] if isinstance(self.at, tuple) else host
        self._first(host.strip("[]") or old, int(port))

    def not_here(self) -> None:
        """The server that we were at turned out to be a replica: begin with another next time."""
        if self._place.master is None and self._clustered is not True:
            others = [address for address in self._place.addresses if address != self.at]
            self._nodes = others

    def _first(self, host: str, port: int) -> None:
        address = (host, port)
        self._nodes = [address, *(node for node in self._nodes if node != address)]

    async def _by(self, candidate: Address, timeout: float, hear: Hear | None) -> Wire:
        if self._place.master is not None:
            return await self._by_sentinel(candidate, self._place.master, timeout, hear)
        self.at = candidate
        wire = await connect(self._place, candidate, timeout=timeout, hear=hear)
        with _closed_unless_done(wire, candidate):
            if self._clustered is None:
                self._clustered = await _is_clustered(wire)
            if not self._clustered:
                return wire
            owner = await self._owner(wire, candidate)
            if owner == candidate:
                return wire
        wire.close()
        self.at = owner
        return await connect(self._place, owner, timeout=timeout, hear=hear)

    async def _by_sentinel(self, candidate: Address, master: str, timeout: float, hear: Hear | None) -> Wire:
        sentinel = await connect_sentinel(self._place, candidate, timeout=timeout)
        with _closed_unless_done(sentinel, candidate):
            reply = await sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", master)
        sentinel.close()
        if isinstance(reply, hiredis.ReplyError):
            raise explain(reply, candidate)
        if reply is None:
            raise ConfigError(f"the Sentinel at {show(candidate)} knows no master {master!r}: correct ?master=.")
        self.at = reply[0].decode(), int(reply[1])
        wire = await connect(self._place, self.at, timeout=timeout, hear=hear)
        with _closed_unless_done(wire, self.at):
            role = await wire.ask("ROLE")
            if isinstance(role, list) and role[0] != b"master":  # Sentinel has not heard of the failover yet
                raise Away(f"the Redis server at {show(self.at)} is no master any more: wait until Sentinel names it.")
        return wire

    async def _owner(self, wire: Wire, asked: Address) -> Address:
        reply = await wire.ask("CLUSTER", "SLOTS")
        if isinstance(reply, hiredis.ReplyError):
            raise explain(reply, asked)
        ranges = [(low, high, [_node(node, asked) for node in nodes]) for low, high, *nodes in reply]
        owners = [nodes[0] for low, high, nodes in ranges if low <= self._slot <= high]
        if not owners:
            raise Away(f"the cluster that {show(asked)} belongs to serves no slot {self._slot}: see CLUSTER INFO.")
        self._nodes = list(dict.fromkeys([*owners, *(node for _, _, nodes in ranges for node in nodes)]))
        return owners[0]


def _node(node: list[Any], asked: Address) -> Address:
    host, port = node[0], int(node[1])
    known = host and host != b"?"
    return (host.decode() if known else asked[0]), port


async def _is_clustered(wire: Wire) -> bool:
    reply = await wire.ask("INFO", "cluster")
    return isinstance(reply, bytes) and b"cluster_enabled:1" in reply


@contextmanager
def _closed_unless_done(wire: Wire, address: Address) -> Iterator[None]:
    try:
        yield
    except Lost as error:
        raise Away(f"the Redis server at {show(address)} closed the connection: is it up?") from error
    except BaseException:
        wire.close()
        raise
