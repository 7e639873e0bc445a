"""Where a job stands among those that wait for it, and those that it waits for: some of each, in a few reads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from lamplighter.core.model import JobView, Where
from lamplighter.store.base import Store

HIGHEST = 10  # jobs above
WIDEST = 20  # children whose own are shown
EACH = 10  # of these


class Tree(NamedTuple):
    """`above`: the jobs that wait for it, the outermost first. `below`: of its children that have some, the newest of
    those, by id. `is_cut`: there is more above or below."""

    above: list[JobView]
    below: dict[str, list[JobView]]
    is_cut: bool

    @property
    def is_flat(self) -> bool:
        """Whether its children are all there is to tell."""
        return not self.above and not self.below


async def tree_of(store: Store, job: JobView, children: Sequence[JobView]) -> Tree:
    """The tree around a job, some of whose children are known."""
    families = [one for one in children if one.children is not None]
    above, *below = await asyncio.gather(
        _above(store, job), *(store.page(Where(groups=(one.id,)), limit=EACH) for one in families[:WIDEST])
    )
    is_cut = (
        len(families) > WIDEST
        or any(len(some) == EACH for some in below)
        or (len(above) == HIGHEST and above[0].group is not None)
    )
    return Tree(above, dict(zip((one.id for one in families), below, strict=False)), is_cut)


async def _above(store: Store, job: JobView) -> list[JobView]:
    found: list[JobView] = []
    while (group := (found[0] if found else job).group) is not None and len(found) < HIGHEST:
        some = await store.page(Where(ids=(group,)), limit=1)
        if not some:  # it is forgotten
            break
        found = [*some, *found]
    return found
