"""All that is done to the audit log from time to time, in its order."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from lamplighter.core.clock import Clock, utcnow
from lamplighter.core.config import Settings
from lamplighter.families.audit.archiver import Archiver, Step
from lamplighter.families.audit.destroyer import Destroyer
from lamplighter.families.audit.restoring import Restoring
from lamplighter.families.audit.storage import Storage
from lamplighter.integrations.auditing.expiry import destroy_expired
from lamplighter.integrations.auditing.sealing import seal
from lamplighter.integrations.storage.database import Database


class Tidied(NamedTuple):
    """How many records that was done to, how many objects came, and how many chains could not be archived."""

    sealed: int
    archived: int
    objects: int
    destroyed: int
    returned: int
    failed: int


async def tidy(
    database: Database,
    storage: Storage | None,
    settings: Settings,
    *,
    clock: Clock = utcnow,
    is_over: Callable[[], bool] = lambda: False,
    step: Step = lambda _what, _done, _total: None,
) -> Tidied:
    """Seal, destroy what is past its time, archive what is due, and delete restored copies whose time is over.

    `is_over`: asked now and then, whether to leave the rest for another time. Raises ArchiveDown.
    """
    sealed = 0
    while not is_over() and (some := await seal(database)):
        sealed += some
        step("sealing", sealed, sealed)
    destroyed = await destroy_expired(database, settings, clock())
    if storage is None:
        return Tidied(sealed, 0, 0, destroyed, 0, 0)
    archiver = Archiver(database, storage, settings, clock=clock, step=step)
    moved = await archiver.run(is_over)
    destroyed += await Destroyer(database, storage, settings, clock=clock).run(is_over)
    returned = await Restoring(database, storage, clock=clock).give_back()
    return Tidied(sealed, moved.records, moved.objects, destroyed, returned, moved.failed)
