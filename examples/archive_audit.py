"""An audit log is sealed, archived, searched, and caught when somebody changes it: `python archive_audit.py`."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import timedelta
from pathlib import Path

from sqlalchemy import update

from lamplighter.core.clock import utcnow
from lamplighter.core.config import Settings
from lamplighter.families.audit.search import Filter, Search
from lamplighter.families.audit.storage import open_storage
from lamplighter.families.audit.tidying import tidy
from lamplighter.families.audit.verifying import Verifying
from lamplighter.integrations.audit import Actor, Resource, acting, record
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.migrate import upgrade
from lamplighter.integrations.storage.tables import audit


async def main() -> None:
    """Two people do something, one of them long ago; then somebody would like it to have been another."""
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(store=f"sqlite:///{home}/audit.db", audit_archive=f"file://{_made(home)}")
        async with Database(settings.store) as database:
            await upgrade(database)
            await _did(database, "auth|ada", "queue.pause", ago=timedelta(days=120))
            await _did(database, "auth|bea", "queue.resume", ago=timedelta(hours=1))
            storage = open_storage(settings)
            done = await tidy(database, storage, settings)
            print(f"{done.sealed} sealed, {done.archived} archived")
            page = await Search(database, storage).page(Filter(chains=["acme"]), archived=True)
            for hit in page.hits:
                print(f"{hit.record.user_id} {hit.record.action} ({'archived' if hit.archive_id else 'live'})")
            verifying = Verifying(database, storage)
            [chain] = await verifying.chains()
            verdict = await verifying.verify(chain)
            print(verdict.what or "whole")
            forged = update(audit).where(audit.c.user_id == "auth|bea").values(user_id="auth|cem")
            await database.write(lambda connection: connection.execute(forged))
            verdict = await verifying.verify(chain)
            print(f"{verdict.what} at {verdict.seq}")


def _made(home: str) -> Path:
    """The folder of archives has to be there: one that is missing may be a disk that is not mounted."""
    archive = Path(home, "archive")
    archive.mkdir()
    return archive


async def _did(database: Database, user_id: str, action: str, *, ago: timedelta) -> None:
    with acting(Actor(user_id=user_id)):
        about = [Resource("queue", "mail", "acme")]
        await database.write(lambda connection: record(connection, action, about, utcnow() - ago))


if __name__ == "__main__":
    asyncio.run(main())
