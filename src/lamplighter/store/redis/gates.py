"""Gates and lines as people see them, from what scripts answer. `lua/_gate.lua` has the same fields in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from lamplighter.core.clock import to_us
from lamplighter.core.flow_control import Gate, GateRule, GateView, ShareView, Turned
from lamplighter.store.redis.find import STRETCH, batched
from lamplighter.store.redis.link import Link
from lamplighter.store.redis.scripts import script
from lamplighter.store.rules import read_rule


class _Row(msgspec.Struct, array_like=True, gc=False):
    running: int
    tat: int
    until: int = 0
    openings: int = 0
    probing: bool = False
    held: bool = False
    oks: int = 0
    bads: int = 0
    since: int = 0
    told: bool = False


_decode = msgspec.msgpack.Decoder(_Row).decode


class Answer(NamedTuple):
    """A gate as `gates.lua` answers: `packed` and `rule` are empty where there is none."""

    key: bytes
    packed: bytes
    rule: bytes
    waiting: int

    @property
    def gate(self) -> Gate:
        """What is known of it."""
        key = self.key.decode()
        return Gate(key=key, **msgspec.structs.asdict(_decode(self.packed))) if self.packed else Gate(key=key)

    def matters(self, now: datetime) -> bool:
        """Whether it is in use, not closed, or has jobs waiting."""
        gate = self.gate
        return bool(gate.running or gate.is_open or gate.until > to_us(now) or self.waiting)

    def view(self, now: datetime) -> GateView:
        """As people see it."""
        rule = read_rule(self.rule.decode() or None, GateRule)
        return self.gate.view(rule, self.waiting, to_us(now))


async def find(link: Link, keys: Sequence[str], limit: int, now: datetime) -> list[GateView]:
    """The gates of these keys; of none, those of all known at which anything is the matter."""
    found = _named(link, sorted(set(keys))[: max(0, limit)]) if keys else _that_matter(link, limit, now)
    return [answer.view(now) async for answer in found]


async def _named(link: Link, keys: Sequence[str]) -> AsyncIterator[Answer]:
    for some in batched(keys, STRETCH):
        for answer in _answers(await link.run(script("gates"), "", 0, *some, again=True)):
            yield answer


async def _that_matter(link: Link, limit: int, now: datetime) -> AsyncIterator[Answer]:
    start, left = b"-", limit
    while left > 0:
        some = _answers(await link.run(script("gates"), start, STRETCH, again=True))
        for answer in [answer for answer in some if answer.matters(now)][:left]:
            left -= 1
            yield answer
        if len(some) < STRETCH:
            return
        start = b"(" + some[-1].key


def _answers(flat: Sequence[Any]) -> list[Answer]:
    return [Answer(*flat[at : at + 4]) for at in range(0, len(flat), 4)]


def shares(queue: str, flat: Sequence[Any]) -> list[ShareView]:
    """What `shares.lua` returned."""
    return [
        ShareView(queue=queue, priority=int(priority), tenant=tenant.decode(), queued=int(n), tag=int(tag))
        for priority, tenant, n, tag in (flat[at : at + 4] for at in range(0, len(flat), 4))
    ]


def turned(flat: Sequence[Any]) -> tuple[Turned, ...]:
    """The breakers of which `sweep.lua` tells."""
    return tuple(Turned(flat[at].decode(), opened=bool(flat[at + 1])) for at in range(0, len(flat), 2))
