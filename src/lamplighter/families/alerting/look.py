"""Looking: one sight of the service, in a few reads that do not grow with the number of jobs."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from socket import gethostname
from typing import Any, NamedTuple

from lamplighter.app import App
from lamplighter.app.crons import overdue
from lamplighter.app.workers import workers_alive
from lamplighter.core.errors import StoreError
from lamplighter.families.alerting.kinds import AnyRule, Lapsing, Refused, windows
from lamplighter.families.alerting.sight import Answering, Disk, Seen
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.auditing import trouble
from lamplighter.integrations.losing import lapsing, lost
from lamplighter.integrations.refreshing.outage import left_alone
from lamplighter.integrations.service import database_url, journal_folder
from lamplighter.observe.histogram import Counts, quantile
from lamplighter.observe.meter import Meter
from lamplighter.store.open import folder_of

PATIENCE = 10.0  # seconds: a store that answers later than that does not answer
GATES = 1000  # that are looked at

_log = logging.getLogger("lamplighter.alerts")


class _Service(NamedTuple):
    """What the tables of integrations show."""

    down: Sequence[str]
    lapsing: Mapping[timedelta, Mapping[str, int]]
    refused: Mapping[timedelta, Mapping[str, int]]
    broken: Mapping[str, str]
    unarchived: Mapping[str, timedelta]


class Looker:
    """Looks at what an app works on, and at its integrations if it has any."""

    def __init__(self, app: App[Any], tokens: TokenFamily | None) -> None:
        self._app = app
        self._tokens = tokens
        self._calls = Calls(app.meter)

    async def look(self, rules: Sequence[AnyRule]) -> Seen:
        """A sight for these rules. What cannot be seen is not in it."""
        now = self._app.clock()  # what is seen is as of then, or later
        store, service, disks = await asyncio.gather(
            self._store(rules), self._service(rules), asyncio.to_thread(self._disks)
        )
        return Seen(
            now=now,
            **store | {"store": Answering(store["store"], self._calls.p99())},
            down=service and service.down,
            lapsing=service and service.lapsing,
            refused=service and service.refused,
            broken=service and service.broken,
            unarchived=service and service.unarchived,
            disks=disks,
        )

    async def _store(self, rules: Sequence[AnyRule]) -> dict[str, Any]:
        app, now = self._app, self._app.clock()
        try:
            async with asyncio.timeout(PATIENCE):
                stats, workers, crons, gates = await asyncio.gather(
                    app.store.stats(),
                    workers_alive(app.store, now=now),
                    overdue(app.store, now=now),
                    app.store.gates(limit=GATES, now=now),
                )
                past = {back: await app.past.during(back) for back in windows(rules)}
        except StoreError as error:
            return {"store": str(error)}
        except TimeoutError:
            return {"store": f"it gave no answer within {PATIENCE:g} s."}
        return {"stats": stats, "workers": workers, "crons": crons, "gates": gates, "past": past, "store": None}

    async def _service(self, rules: Sequence[AnyRule]) -> _Service | None:
        soon = {one.within for one in rules if isinstance(one, Lapsing) and one.enabled}
        back = {one.within for one in rules if isinstance(one, Refused) and one.enabled}
        if self._tokens is None:
            return _Service((), {within: {} for within in soon}, {within: {} for within in back}, {}, {})
        database, now = self._tokens.service.database, self._app.clock()
        try:
            async with asyncio.timeout(PATIENCE):
                return await database.read(
                    lambda connection: _Service(
                        list(left_alone(connection)),
                        {within: lapsing(connection, within, now) for within in soon},
                        {within: lost(connection, now - within) for within in back},
                        trouble.broken(connection),
                        trouble.failing(connection, now),
                    )
                )
        except (StoreError, TimeoutError) as error:
            _log.debug("The tables of integrations cannot be looked at for now: %s", error)
            return None

    def _disks(self) -> list[Disk]:
        """Where the files are: of the jobs, the tables and the journal. One place has one row."""
        found: dict[tuple[int, int], Disk] = {}
        for folder in self._folders():
            try:
                usage = shutil.disk_usage(folder)
                device = folder.stat().st_dev
            except OSError:
                continue
            found.setdefault((device, usage.total), Disk(f"{gethostname()}:{folder}", usage.free, usage.total))
        return list(found.values())

    def _folders(self) -> list[Path]:
        settings = self._app.settings
        urls = [settings.store] if self._tokens is None else [settings.store, database_url(settings)]
        folders = [folder_of(url) for url in urls]
        if self._tokens is not None:
            folders.append(journal_folder(settings, self._tokens.service.database).parent)
        return [one for one in folders if one is not None]


class Calls:
    """How long the calls of this process's store took, since it was last asked."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._before: Counts = {}

    def p99(self) -> float | None:
        """Within how many seconds 99 of 100 were answered; None: there were none."""
        now: dict[int, int] = {}
        for one in list(self._meter.operations.values()):
            for bucket, n in enumerate(one.took.counts):
                now[bucket] = now.get(bucket, 0) + n
        came = {bucket: n - self._before.get(bucket, 0) for bucket, n in now.items()}
        self._before = now
        return quantile({bucket: n for bucket, n in came.items() if n > 0}, 0.99)
