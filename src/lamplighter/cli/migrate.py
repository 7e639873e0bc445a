"""`lamplighter migrate`: bring tables to the version that this Lamplighter wants."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

import typer

from lamplighter.cli.extras import has
from lamplighter.cli.opened import run_async
from lamplighter.cli.output import Json, StoreUrl, print_json, print_table, say
from lamplighter.core.config import Settings, load
from lamplighter.core.errors import ConfigError, StoreDamaged
from lamplighter.core.secret import redact_url
from lamplighter.store.migrate import Phase, Schema, Step, refuse_newer
from lamplighter.store.migrate import migrate as take_pending
from lamplighter.store.open import schema_of

Of = Literal["jobs", "integrations"]
State = Literal["taken before", "taken now", "pending"]


class Line(NamedTuple):
    """One step, and how it stands."""

    of: Of
    step: int
    phase: Phase
    title: str
    state: State


def migrate(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; end with 1 if there is something to do.")
    ] = False,
    post: Annotated[
        bool,
        typer.Option("--post", help="Also take away what only older workers needed: once none of them runs any more."),
    ] = False,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Make the tables of a store, or bring them to this version.

    Only forward, safe to run again, and while workers run. Run it before new code is deployed, and with --post once
    no worker of older code is left.
    """
    settings = load(flags={"store": store}).settings
    lines = [*_jobs(schema_of(settings.store), check=check, post=post), *_integrations(settings, check=check)]
    todo = [line for line in lines if line.state == "pending" and (post or line.phase == "pre")]
    _tell(lines, todo, json=json)
    if todo:
        raise typer.Exit(1)


def _jobs(schema: Schema | None, *, check: bool, post: bool) -> list[Line]:
    if schema is None:
        return []  # such a store has no tables

    async def run() -> tuple[list[Step], list[Step]]:
        now = [] if check else await take_pending(schema, post=post)
        return now, await schema.taken()

    now, taken = run_async(run())
    refuse_newer(schema.what, schema.steps, taken)
    steps = {step.number: step for step in (*taken, *schema.steps)}
    return [Line("jobs", *steps[number], _state(steps[number], taken, now)) for number in sorted(steps)]


def _state(step: Step, taken: Sequence[Step], now: Sequence[Step]) -> State:
    if step.number in {one.number for one in now}:
        return "taken now"
    return "taken before" if step.number in {one.number for one in taken} else "pending"


def _integrations(settings: Settings, *, check: bool) -> list[Line]:
    url = _service_url(settings)
    if url is None:
        return []
    from lamplighter.integrations.storage.migrate import steps  # noqa: PLC0415 - optional

    before = _service_version(url)
    if not check:
        _migrate_service(url)
    versions = list(steps())
    taken, after = _count(versions, before, url), _count(versions, _service_version(url), url)
    return [
        Line(
            "integrations", n, "pre", title, "taken before" if n <= taken else "taken now" if n <= after else "pending"
        )
        for n, title in enumerate(steps().values(), start=1)
    ]


def _service_url(settings: Settings) -> str | None:
    """Where the service's tables are; None if they are not wanted, or cannot be where the jobs are."""
    if not has("integrations"):
        return None
    from lamplighter.integrations.storage.database import Database  # noqa: PLC0415 - optional

    try:
        Database(settings.database or settings.store)
    except ConfigError:
        if settings.database:
            raise
        return None
    return settings.database or settings.store


def _migrate_service(url: str) -> None:
    from lamplighter.integrations.storage.database import Database  # noqa: PLC0415 - optional
    from lamplighter.integrations.storage.migrate import upgrade  # noqa: PLC0415 - optional

    async def run() -> None:
        async with Database(url) as database:
            await upgrade(database)

    run_async(run())


def _service_version(url: str) -> str | None:
    """Looks without making anything, which opening a file would."""
    if urlsplit(url).scheme != "sqlite":
        return run_async(_current(url))
    from lamplighter.store.sqlite.schema import look  # noqa: PLC0415 - `--help` need not wait for it
    from lamplighter.store.sqlite.url import parse  # noqa: PLC0415

    return look(parse(url).path, parse(url).patience, _read_version)


async def _current(url: str) -> str | None:
    from lamplighter.integrations.storage.database import Database  # noqa: PLC0415 - optional
    from lamplighter.integrations.storage.migrate import current  # noqa: PLC0415 - optional

    async with Database(url) as database:
        return await current(database)


def _read_version(connection: sqlite3.Connection) -> str | None:
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'lamp_alembic_version'").fetchone():
        return None
    row = connection.execute("SELECT version_num FROM lamp_alembic_version").fetchone()
    return None if row is None else str(row[0])


def _count(versions: list[str], version: str | None, url: str) -> int:
    """How many steps lead to a version."""
    if version is not None and version not in versions:
        raise StoreDamaged(f"the tables at {redact_url(url)} were made by a newer Lamplighter: upgrade this one.")
    return 0 if version is None else versions.index(version) + 1


def _tell(lines: list[Line], todo: list[Line], *, json: bool) -> None:
    if json:
        print_json(
            {"steps": [line._asdict() for line in lines], "pending": list(dict.fromkeys(one.of for one in todo))}
        )
        return
    print_table(Line._fields, lines, empty="There are no tables here, so there is nothing to migrate.")
    if todo:
        say("Run `lamplighter migrate` to take what is pending.")
    elif any(line.state == "pending" for line in lines):
        say("Once no worker of older code is left, run `lamplighter migrate --post`.")
