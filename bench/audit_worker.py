"""What `bench.audit` kills: it seals and archives all that there is: `python -m bench.audit_worker URL FOLDER`."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

from lamplighter.cli.opened import run_async
from lamplighter.core.config import Settings
from lamplighter.families.audit.archiver import Archiver
from lamplighter.families.audit.storage import open_storage
from lamplighter.integrations.auditing.sealing import seal
from lamplighter.integrations.storage.database import Database

AFTER = timedelta(days=1)  # so that everything that the bench writes is to be archived


def settings_of(url: str, folder: Path) -> Settings:
    """Of the bench: archives lie in a folder beside the database."""
    return Settings(store=url, audit_archive=f"file://{folder / 'archive'}", audit_archive_after=AFTER)


async def _work(url: str, folder: Path) -> None:
    settings = settings_of(url, folder)
    storage = open_storage(settings)
    assert storage is not None
    async with Database(url) as database:
        while await seal(database):
            pass
        moved = await Archiver(database, storage, settings).run()
        assert (moved.is_done, moved.failed) == (True, 0), moved


if __name__ == "__main__":
    run_async(_work(sys.argv[1], Path(sys.argv[2])))
