"""`lamplighter migrate`: bring tables to the version that this Lamplighter wants."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from lamplighter.cli.opened import run_async
from lamplighter.cli.output import Json, StoreUrl, print_json, say
from lamplighter.core.config import load
from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import redact_url


def migrate(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; end with 1 if there is something to do.")
    ] = False,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Bring the tables of the store's file to this version, or make them. Only forward; safe to run again."""
    from lamplighter.store.sqlite.url import parse  # noqa: PLC0415 - `--help` need not wait for it

    settings = load(flags={"store": store}).settings
    if urlsplit(settings.store).scheme != "sqlite":
        raise ConfigError(f"the store {redact_url(settings.store)} has no tables: there is nothing to migrate.")
    jobs, service = parse(settings.store).path, settings.database or settings.store
    if not check:
        _migrate_jobs(jobs)
        _migrate_service(service)
    pending = [*_pending_jobs(jobs), *_pending_service(service, parse(service).path)]
    _tell(pending, json=json)
    if pending:
        raise typer.Exit(1)


def _migrate_jobs(path: Path) -> None:
    from lamplighter.store.sqlite.schema import migrate as run  # noqa: PLC0415

    run(path)


def _migrate_service(url: str) -> None:
    try:
        from lamplighter.integrations.database import Database  # noqa: PLC0415 - optional
        from lamplighter.integrations.migrate import upgrade  # noqa: PLC0415
    except ImportError:
        return  # installed without integrations: it has no tables of theirs

    async def run() -> None:
        async with Database(url) as database:
            await upgrade(database)

    run_async(run())


def _pending_jobs(path: Path) -> list[str]:
    from lamplighter.store.sqlite.connection import connect  # noqa: PLC0415
    from lamplighter.store.sqlite.schema import NEWEST, version_of  # noqa: PLC0415

    if not path.exists():
        return ["jobs"]  # to open it would make it
    with closing(connect(path)) as connection:
        return ["jobs"] if version_of(connection) < NEWEST else []


def _pending_service(url: str, path: Path) -> list[str]:
    try:
        from lamplighter.integrations.database import Database  # noqa: PLC0415 - optional
        from lamplighter.integrations.migrate import current, newest  # noqa: PLC0415
    except ImportError:
        return []
    if not path.exists():
        return ["integrations"]

    async def is_behind() -> bool:
        async with Database(url) as database:
            return await current(database) != newest()

    return ["integrations"] if run_async(is_behind()) else []


def _tell(pending: list[str], *, json: bool) -> None:
    if json:
        print_json({"pending": pending})
    elif pending:
        say(f"To be migrated: {', '.join(pending)}. Run `lamplighter migrate`.")
    else:
        say("All tables are of this version.")
