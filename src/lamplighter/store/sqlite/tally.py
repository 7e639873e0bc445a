"""How many children of each job there are, and how they ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from lamplighter.core.model import State
from lamplighter.store.pack import pack
from lamplighter.store.sqlite.batch import run
from lamplighter.store.sqlite.connection import Connection

COLUMNS = ("added", State.DONE, State.FAILED, State.CANCELLED)


def tally(connection: Connection, counted: Iterable[tuple[str, str, int]]) -> None:
    """Add to how many children of a group are in a state, or were added at all."""
    sums: Counter[tuple[str, str]] = Counter()
    for group, what, n in counted:
        sums[group, what] += n
    groups = {group for group, _ in sums}
    if groups:
        rows = [(group, *(sums[group, what] for what in COLUMNS)) for group in groups]
        run(connection, "tally", rows=pack(rows))
