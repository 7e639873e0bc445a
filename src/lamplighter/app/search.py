"""Searching jobs by their arguments: among the newest that match, for stores have no index of what jobs were given."""

from __future__ import annotations

import asyncio
import math
import re
from typing import NamedTuple

import msgspec

from lamplighter.core.model import Arguments, JobView, Where
from lamplighter.store.base import Store

MOST = 10_000  # jobs that one search looks at
AT_ONCE = 500  # of these in one read
PATIENCE = 0.08  # seconds after which no further read begins, where somebody waits for an answer over HTTP
MOST_TEXT = 16 * 1024 * 1024  # characters that it reads, where arguments are long
BREATH = 1024 * 1024  # characters after which others have their turn: less than a millisecond

_FIELD = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)


class Found(NamedTuple):
    """The jobs found, the newest first, among `looked_at`; there is more after `next`, unless that is None."""

    jobs: list[JobView]
    looked_at: int
    next: str | None


async def search(
    store: Store,
    where: Where,
    text: str,
    *,
    limit: int,
    before: str | None = None,
    patience: float | None = None,
) -> Found:
    """Up to `limit` jobs whose arguments hold a text, of the 10,000 newest that match.

    `field=value` finds what has a field of that name and value too, however deep. `patience`: seconds after which fewer
    must do, for a store may have to pass over very many that do not match.
    """
    now = asyncio.get_running_loop().time
    until = math.inf if patience is None else now() + patience
    look = _Look(texts_of(text), limit, before)
    await look.through(store, where)
    while not look.is_over and now() < until:
        await look.through(store, where)
    jobs = await store.page(Where(ids=tuple(look.found)), limit=limit) if look.found else []
    return Found(jobs, look.looked_at, look.last)


def texts_of(text: str) -> list[str]:
    """What to look for in arguments as they are stored: any of these."""
    texts = [text, _as_json(text)[1:-1]]  # as it stands, and as it is within a text of JSON
    if field := _FIELD.fullmatch(text):
        name, value = f"{_as_json(field[1])}:", field[2]
        texts.append(name + _as_json(value))
        if re.fullmatch(r"true|false|null|-?[0-9][0-9.eE+-]*", value):
            texts += [f"{name}{value}{end}" for end in ",}"]
    return list(dict.fromkeys(texts))


def _as_json(text: str) -> str:
    return msgspec.json.encode(text).decode()


class _Look:
    """How far a search is. `last`: the id of the last job looked at; None once there are no more."""

    def __init__(self, texts: list[str], limit: int, before: str | None) -> None:
        self.found: list[str] = []
        self.looked_at = 0
        self.last = before
        self.is_over = False
        self._texts = texts
        self._limit = limit
        self._read = 0

    async def through(self, store: Store, where: Where) -> None:
        """The next lot of jobs."""
        asked = min(AT_ONCE, MOST - self.looked_at)
        some = await store.arguments(where, limit=asked, before=self.last)
        for one in some:
            self._look_at(one)
            if self.is_over:
                return
            if self._read // BREATH != (self._read - len(one.args)) // BREATH:
                await asyncio.sleep(0)
        if len(some) < asked:
            self.last, self.is_over = None, True
        await asyncio.sleep(0)  # some stores answer at once

    def _look_at(self, one: Arguments) -> None:
        self.last = one.id
        self.looked_at += 1
        self._read += len(one.args)
        if any(text in one.args for text in self._texts):
            self.found.append(one.id)
        self.is_over = len(self.found) == self._limit or self.looked_at == MOST or self._read >= MOST_TEXT
