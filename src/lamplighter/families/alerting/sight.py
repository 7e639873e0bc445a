"""What is looked at before anybody is alerted: the same few figures, however many jobs there are.

None: it could not be seen this time. What goes by it then neither begins nor ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec import Struct

from lamplighter.app.why.sight import WorkerSeen
from lamplighter.core.flow_control import GateView
from lamplighter.core.model import QueueStats
from lamplighter.observe.history.slot import Slot


class Disk(NamedTuple):
    """What is free where a folder is, `host:/path`, and how much there is in all, in bytes."""

    folder: str
    free: int
    total: int


class Answering(NamedTuple):
    """How the store answers: why it does not, or within how many seconds 99 of 100 calls of this process did lately."""

    error: str | None
    p99: float | None


class Seen(Struct, frozen=True, kw_only=True):
    """All of it, as of `now`.

    `crons`: how overdue each schedule is. `past`: what was done in each queue, by how far back that goes. `down`:
    providers that are left alone. `lapsing`: by how soon, how many integrations of each provider have a refresh that is
    late and a token that ends. `refused`: by how far back, how many of each provider lost their access. `broken`: by
    tenant, what is wrong with its audit log. `unarchived`: for how long that cannot be archived.
    """

    now: datetime
    stats: Sequence[QueueStats] | None = None
    workers: Sequence[WorkerSeen] | None = None
    crons: Mapping[str, timedelta] | None = None
    gates: Sequence[GateView] | None = None
    past: Mapping[timedelta, Slot] | None = None
    down: Sequence[str] | None = None
    lapsing: Mapping[timedelta, Mapping[str, int]] | None = None
    refused: Mapping[timedelta, Mapping[str, int]] | None = None
    broken: Mapping[str, str] | None = None
    unarchived: Mapping[str, timedelta] | None = None
    disks: Sequence[Disk] | None = None
    store: Answering | None = None
