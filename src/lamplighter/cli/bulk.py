"""Cancelling from the command line: by filter or tree, and telling how far it is."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta

from lamplighter.app.bulk import do_to_all
from lamplighter.app.tree import cancel_tree
from lamplighter.core.model import LIVE, Cancelled, Where
from lamplighter.store.base import Store


class Cancelling:
    """Cancels, and remembers whom; what it ends is kept for so long."""

    def __init__(self, now: datetime, keep: timedelta) -> None:
        self.gone = Cancelled([], [])
        self._now = now
        self._keep_until = now + keep

    async def all(self, store: Store, where: Where, limit: int) -> None:
        """All that match."""
        await do_to_all(store, where, LIVE, limit, self._cancel, told=tell)

    async def trees(self, store: Store, where: Where) -> None:
        """These jobs, and all that hangs below them."""
        for root in where.ids:
            gone = await cancel_tree(store, root, now=self._now, keep_until=self._keep_until, told=_tell_tree)
            self._add(gone)

    async def _cancel(self, store: Store, where: Where, limit: int) -> list[str]:
        gone = await store.cancel(where, limit=limit, now=self._now, keep_until=self._keep_until)
        self._add(gone)
        return [*gone.ended, *gone.asked]

    def _add(self, gone: Cancelled) -> None:
        self.gone.ended.extend(gone.ended)
        self.gone.asked.extend(gone.asked)


def _tell_tree(gone: Cancelled) -> None:
    tell(len(gone.ended) + len(gone.asked))


def tell(jobs: int) -> None:
    """How far it is, for who looks on."""
    if sys.stderr.isatty():
        print(f"\r{jobs:,} jobs so far", end="\r", file=sys.stderr, flush=True)
