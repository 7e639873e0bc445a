"""Very many audit records, archived while the archiver is killed again and again: nothing is lost, nothing doubled.

Records of several tenants and days are written. A process seals and archives them, and is killed (SIGKILL) at random
points; another goes on. Then what is live and what is archived is held against what was written, row by row, and every
chain is verified. Run it with `.venv/bin/python -m bench.audit`. It ends with 1 if a promise was not held.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from bench.audit_originals import SOME, Compared, Originals, originals
from bench.audit_worker import settings_of
from sqlalchemy import func, insert, select

from lamplighter.cli.progress import Step, progress
from lamplighter.core.clock import to_us
from lamplighter.core.ids import first_id
from lamplighter.families.audit import objects
from lamplighter.families.audit.archive import Archives
from lamplighter.families.audit.storage import Storage, open_storage
from lamplighter.families.audit.verifying import Verifying
from lamplighter.integrations.auditing.chain import Content, content_of, stored
from lamplighter.integrations.storage.audit_tables import audit_archives, audit_chains
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.migrate import upgrade
from lamplighter.integrations.storage.tables import audit
from lamplighter.testing.servers import private_postgres

HERE = Path(__file__).parent
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
LATE = timedelta(days=2)  # by which one record in ten was committed later than it says
LOOK_EVERY = 0.05  # seconds
ACTIONS = ("integration.connected", "integration.revoked", "queue.pause", "file.search")


def made(count: int, tenants: int, days: int) -> Iterator[Content]:
    """The same records each time."""
    dice = random.Random(5)
    for n in range(count):
        at = BEGAN + timedelta(days=days) * n / count - (LATE * dice.random() if dice.random() < 0.1 else timedelta())
        tenant = dice.randrange(tenants + 1)
        yield {
            "id": f"{first_id(to_us(BEGAN))[:14]}{n:012x}{dice.getrandbits(40):010x}",
            "tenant_id": f"tenant-{tenant}" if tenant < tenants else None,
            "user_id": f"auth|{dice.randrange(500)}",
            "action": dice.choice(ACTIONS),
            "resource_type": "integration",
            "resource_id": f"{dice.getrandbits(64):016x}",
            "details": {"method": "POST", "endpoint": "/connect", "changes": {"status": ["active", "révoqué"], "n": n}},
            "result": "success",
            "error_message": None,
            "at": to_us(at),
        }


async def fill(database: Database, kept: Originals, options: argparse.Namespace, look: Step) -> None:
    """Write them, into the table and beside it."""
    done = 0
    for some in _batched(made(options.records, options.tenants, options.days), SOME):
        await database.write(lambda connection, rows=some: connection.execute(insert(audit), rows))  # type: ignore[misc]
        kept.write(some)
        done += len(some)
        look("writing", done, options.records)


async def archive(database: Database, url: str, folder: Path, options: argparse.Namespace, look: Step) -> int:
    """Until all of it is archived, though the process that does it is killed; returns how often it was."""
    dice, kills = random.Random(options.seed), 0
    work = 2 * options.records  # each record is sealed, then archived
    enough = sorted(dice.sample(range(work), options.kills))
    while True:
        command = (sys.executable, "-m", "bench.audit_worker", url, str(folder))
        process = await asyncio.create_subprocess_exec(*command, cwd=HERE.parent)
        while process.returncode is None:
            done = await _done(database)
            look(f"archiving, killed {kills} times", done, work)
            if kills < len(enough) and done >= enough[kills]:
                await asyncio.sleep(dice.random() * options.delay)  # so that it is at anything when it is killed
                if process.returncode is None:
                    process.kill()
                    kills += 1
                    await process.wait()
                    break
            await asyncio.sleep(LOOK_EVERY)
        else:
            if process.returncode != 0:
                raise SystemExit(f"the archiver ended with {process.returncode}")
            return kills


async def _done(database: Database) -> int:
    """Records that are sealed, and once more those that are archived."""
    sealed, moved = select(func.sum(audit_chains.c.seq)), select(func.sum(audit_archives.c.count))
    return await database.read(lambda one: int(one.scalar(sealed) or 0) + int(one.scalar(moved) or 0))


async def compare(database: Database, storage: Storage, kept: Originals, look: Step, total: int) -> Compared:
    """What there is now with what was written."""
    live = archived = doubled = 0
    after = ""
    while rows := await database.read(partial(_live, after=after)):
        count, twice = kept.find([content_of(row) for row in rows])
        live, doubled, after = live + count, doubled + twice, rows[-1].id
    before = None
    while page := await Archives(database).page(limit=100, before=before):
        for one in page:
            async for some in await objects.read(storage, one):
                count, twice = kept.find([record.content for record in some if record.content is not None])
                archived, doubled = archived + count, doubled + twice
            look("comparing", live + archived, total)
        before = page[-1].id
    lost, differ = kept.wrong()
    return Compared(live, archived, lost, doubled, differ)


def _live(connection: Any, after: str) -> Any:
    return connection.execute(stored().where(audit.c.id > after).order_by(audit.c.id).limit(SOME)).all()


async def verify(database: Database, storage: Storage, look: Step) -> list[str]:
    """What is wrong with the chains."""
    verifying = Verifying(database, storage)
    verdicts = [await verifying.verify(chain, step=look) for chain in await verifying.chains(limit=10_000)]
    print(f"  chains verified    {len(verdicts):>10,} with {sum(one.places for one in verdicts):,} records")
    return [f"{one.chain or '_'}: {one.says}" for one in verdicts if one.says is not None]


async def measure(url: str, folder: Path, options: argparse.Namespace, look: Step) -> bool:
    """All of it, on one database."""
    (folder / "archive").mkdir()
    storage = open_storage(settings_of(url, folder))
    assert storage is not None
    with originals(folder) as kept:
        async with Database(url) as database:
            await upgrade(database)
            await _timed("written", options.records, fill(database, kept, options, look))
            kills = await _timed("sealed, archived", options.records, archive(database, url, folder, options, look))
            print(f"  killed             {kills:>10,} times")
            comparing = compare(database, storage, kept, look, options.records)
            compared: Compared = await _timed("compared", options.records, comparing)
            print(f"  {compared}")
            wrong = await _timed("verified", options.records, verify(database, storage, look))
    objects_there = [path for path in (folder / "archive").rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in objects_there)
    print(f"  objects            {len(objects_there):>10,} with {size / 1e6:,.0f} MB")
    print(f"  most memory        {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:>10,.0f} MB (archiver)")
    print(f"                     {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:>10,.0f} MB (this process)")
    for sentence in wrong:
        print(f"  broken: {sentence}")
    return compared.is_whole and not wrong and kills == options.kills


async def _timed(what: str, records: int, work: Any) -> Any:
    began = time.perf_counter()
    result = await work
    took = time.perf_counter() - began
    print(f"  {what:<18} {records / took:>10,.0f} records/s  {took:,.0f} s", flush=True)
    return result


@asynccontextmanager
async def _database(options: argparse.Namespace, folder: Path) -> AsyncIterator[str]:
    if options.database == "sqlite":
        yield f"sqlite:///{folder}/audit.db"
        return
    with private_postgres() as server:
        yield server.url


def _batched(records: Iterator[Content], size: int) -> Iterator[list[Content]]:
    while some := list(islice(records, size)):
        yield some


async def _run(options: argparse.Namespace) -> bool:
    with tempfile.TemporaryDirectory(dir=options.folder) as name, progress() as look:
        folder = Path(name)
        async with _database(options, folder) as url:
            print(f"{options.database}: {options.records:,} records, {options.tenants} tenants, {options.days} days")
            return await measure(url, folder, options, look)


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    """From the command line, or from these."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--tenants", type=int, default=10)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=7, help="of when it is killed")
    parser.add_argument("--delay", type=float, default=0.2, help="at most so many seconds later")
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--folder", type=Path, default=HERE, help="where the databases and archives are, meanwhile")
    return parser.parse_args(arguments)


def main() -> None:
    """Measure, and show."""
    sys.exit(not asyncio.run(_run(options_of())))


if __name__ == "__main__":
    main()
