"""Flows on their way to the store: their jobs, a batch at a time, each after the one that is held for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from lamplighter.core.clock import to_us
from lamplighter.core.errors import ConfigError
from lamplighter.core.flow import Flow
from lamplighter.core.ids import made_at, new_id
from lamplighter.core.model import NewJob


def batches(
    flow: Flow[Any], id_: str | None, now: datetime, parent: str | None, *, size: int
) -> Iterator[list[NewJob]]:
    """The jobs of a flow, drafted no earlier than they are asked for. `parent`: the running job that adds them.

    Raises:
        ConfigError: the id is none of ours, or the flow cannot be (see `Flow.jobs`).
    """
    if id_ is not None and made_at(id_) is None:
        raise ConfigError(f"id={id_!r:.60} is no UUID of version 7: leave it out, or give `ctx.id_for(name)`.")
    jobs = (job for _, job in flow.jobs(id_ or new_id(to_us(now)), now, parent=parent))
    while some := list(islice(jobs, size)):
        yield some
