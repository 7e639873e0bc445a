"""`lamplighter migrate`: bring tables to the version that this Lamplighter wants."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import quote, urlsplit

import typer

from lamplighter.cli.extras import has
from lamplighter.cli.opened import run_async
from lamplighter.cli.output import Json, StoreUrl, print_json, say
from lamplighter.core.config import load
from lamplighter.core.errors import ConfigError, StoreDamaged
from lamplighter.store.open import open_store

T = TypeVar("T")


def migrate(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; end with 1 if there is something to do.")
    ] = False,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Make the tables of a store, or bring them to this version.

    Only forward, and safe to run again.
    """
    from lamplighter.store.sqlite.url import parse  # noqa: PLC0415 - `--help` need not wait for it

    settings = load(flags={"store": store}).settings
    open_store(settings.store)  # says what is wrong with a URL; nothing is opened yet
    if urlsplit(settings.store).scheme != "sqlite":
        raise ConfigError(f"{urlsplit(settings.store).scheme}:// has no tables, so there is nothing to migrate.")
    jobs, service = parse(settings.store), settings.database or settings.store
    if not check:
        _migrate_jobs(jobs.path)
        _migrate_service(service)
    pending = [*_pending_jobs(jobs.path, jobs.patience), *_pending_service(parse(service).path, jobs.patience)]
    _tell(pending, json=json)
    if pending:
        raise typer.Exit(1)


def _migrate_jobs(path: Path) -> None:
    from lamplighter.store.sqlite.schema import migrate as run  # noqa: PLC0415

    run(path)


def _migrate_service(url: str) -> None:
    if not has("integrations"):
        return  # it has no tables of theirs
    from lamplighter.integrations.database import Database  # noqa: PLC0415 - optional
    from lamplighter.integrations.migrate import upgrade  # noqa: PLC0415

    async def run() -> None:
        async with Database(url) as database:
            await upgrade(database)

    run_async(run())


def _pending_jobs(path: Path, patience: float) -> list[str]:
    from lamplighter.store.sqlite.schema import NEWEST, version_of  # noqa: PLC0415

    version = _look(path, patience, version_of) or 0
    if version > NEWEST:
        raise StoreDamaged(f"the database file {path} was written by a newer Lamplighter: upgrade this one.")
    return ["jobs"] if version < NEWEST else []


def _pending_service(path: Path, patience: float) -> list[str]:
    if not has("integrations"):
        return []
    from lamplighter.integrations.migrate import newest  # noqa: PLC0415 - optional

    return ["integrations"] if _look(path, patience, _service_version) != newest() else []


def _service_version(connection: sqlite3.Connection) -> str | None:
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'lamp_alembic_version'").fetchone():
        return None
    row = connection.execute("SELECT version_num FROM lamp_alembic_version").fetchone()
    return None if row is None else str(row[0])


def _look(path: Path, patience: float, read: Callable[[sqlite3.Connection], T]) -> T | None:
    """What a file holds, None if there is none. A store's own connection would make it, or turn it to WAL."""
    from lamplighter.store.sqlite.connection import explain  # noqa: PLC0415

    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=patience)) as connection:
            return read(connection)
    except sqlite3.Error as error:
        raise explain(error, path) from error


def _tell(pending: list[str], *, json: bool) -> None:
    if json:
        print_json({"pending": pending})
    elif pending:
        say(f"To be migrated: the tables of {' and '.join(pending)}. Run `lamplighter migrate`.")
    else:
        say("All tables are of this version.")
