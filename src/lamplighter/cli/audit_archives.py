"""`lamplighter audit archive`, `archives`, `restore` and `export`: what lies elsewhere, and how it comes back."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import msgspec
import typer

from lamplighter.cli.audit import SHARED, Since, Tenant, Until, chain_of, moment
from lamplighter.cli.integrations import with_service
from lamplighter.cli.output import Json, StoreUrl, ago, count, next_of, print_json, print_table, say, say_more
from lamplighter.cli.progress import progress
from lamplighter.cli.which import Before
from lamplighter.core.config import load
from lamplighter.core.duration import parse_duration
from lamplighter.core.errors import ConfigError, LamplighterError

if TYPE_CHECKING:
    from lamplighter.families.audit.archive import Archive
    from lamplighter.families.audit.exporting import Exported, Writer
    from lamplighter.families.audit.storage import Storage
    from lamplighter.families.audit.tidying import Tidied
    from lamplighter.integrations.service import Service

FORMATS = ("jsonl", "parquet")

Id = Annotated[str, typer.Argument(metavar="ARCHIVE", help="Which archive, by its id.")]


class NoSuchArchive(LamplighterError):
    """There is no archive of that id."""


def archive(*, store: StoreUrl = None, json: Json = False) -> None:
    """Do here and now what workers do every hour: seal, archive, destroy what is past its time.

    It may run beside them. Ends with 1 if a chain could not be archived.
    """
    settings = load(flags={"store": store}).settings

    async def run(service: Service) -> Tidied:
        from lamplighter.families.audit.storage import open_storage  # noqa: PLC0415 - optional
        from lamplighter.families.audit.tidying import tidy  # noqa: PLC0415 - optional

        with progress() as step:
            return await tidy(service.database, open_storage(settings), settings, step=step)

    done = with_service(store, run)
    if json:
        print_json(done._asdict())
    else:
        say(
            f"{done.sealed:,} sealed, {done.archived:,} archived in {count(done.objects, 'object')}, "
            f"{done.destroyed:,} destroyed, {done.returned:,} restored copies deleted."
        )
        if settings.audit_archive is None:
            say("Nothing is archived, since audit_archive is not set.")
        if done.failed:
            say(f"{count(done.failed, 'chain')} could not be archived: `lamplighter audit chains` says why.")
    if done.failed:
        raise typer.Exit(1)


def archives(
    *,
    tenant: Tenant = None,
    day: Annotated[str | None, typer.Option("--day", metavar="DAY", help="Only of this day (UTC): 2026-01-31.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most so many.")] = 50,
    before: Before = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """List archives, the latest written first."""
    chain = None if tenant is None else chain_of(tenant)

    async def read(service: Service) -> list[Archive]:
        from lamplighter.families.audit.archive import Archives  # noqa: PLC0415 - optional

        return await Archives(service.database).page(chain=chain, day=day, limit=limit, before=before)

    found = with_service(store, read)
    if json:
        print_json({"archives": [msgspec.to_builtins(one) for one in found], "next": next_of(found, limit)})
        return
    columns = ("id", "tenant", "day", "state", "records", "destroyed", "bytes", "restored until", "key")
    rows = [
        (
            one.id,
            one.chain or SHARED,
            one.day,
            one.state,
            one.count,
            one.destroyed or None,
            one.size,
            one.restored_until and ago(one.restored_until),
            one.key,
        )
        for one in found
    ]
    print_table(columns, rows, empty="No archives.")
    say_more(found, limit, "--before")


def restore(
    archive: Id,
    *,
    lasting: Annotated[
        str,
        typer.Option("--for", metavar="TIME", help="How long the copies stay in the table, such as 7d; at most 90d."),
    ] = "7d",
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Bring copies of an archive's records back into the live table for a while.

    The archive stays, and nothing of it is destroyed meanwhile. It may be repeated.
    """

    async def run(service: Service) -> int:
        from lamplighter.families.audit.restoring import Restoring  # noqa: PLC0415 - optional

        found = await _found(service, archive)
        return await Restoring(service.database, _storage(store)).restore(found, _lasting(lasting))

    copies = with_service(store, run)
    if json:
        print_json({"restored": copies})
    else:
        say(f"{count(copies, 'record')} restored for {lasting}.")


def export(
    archive: Annotated[str | None, typer.Argument(metavar="[ARCHIVE]", help="Only what is in this one.")] = None,
    *,
    tenant: Tenant = None,
    since: Since = None,
    until: Until = None,
    format_: Annotated[str, typer.Option("--format", metavar="FORMAT", help=" or ".join(FORMATS) + ".")] = "jsonl",
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="By default stdout.")] = None,
    store: StoreUrl = None,
) -> None:
    """Write records of a time, live and archived ones, of one tenant after the other, by their places in its chain.

    Ends with 1 if some moved into an archive meanwhile, and may be missing: then do it again.
    """
    if format_ not in FORMATS:
        raise ConfigError(f"there is no format {format_!r:.60}: give one of {', '.join(FORMATS)}.")
    if format_ == "parquet" and output is None:
        raise ConfigError("a Parquet file is none for a terminal: give --output FILE.")

    async def run(service: Service) -> Exported:
        from lamplighter.families.audit.exporting import Exported, export, export_archive  # noqa: PLC0415 - optional

        with _opened(output) as file:
            writer = _writer(format_, file)
            if archive is not None:
                records = await export_archive(_storage(store), await _found(service, archive), writer)
                done = Exported(records, is_whole=True)
            else:
                done = await export(
                    service.database,
                    _storage(store, must_be=False),
                    writer,
                    chains=await _chains(service, tenant),
                    since=moment(since),
                    until=moment(until),
                )
            writer.close()
        return done

    done = with_service(store, run)
    print(f"{count(done.records, 'record')} written.", file=sys.stderr)
    if not done.is_whole:
        print("Some moved meanwhile, and may be missing: do it again.", file=sys.stderr)
        raise typer.Exit(1)


class _Stdout:
    """Stdout as a file that is not closed."""

    def __enter__(self) -> BinaryIO:
        return sys.stdout.buffer

    def __exit__(self, *exc: object) -> None:
        sys.stdout.buffer.flush()


def _opened(output: Path | None) -> _Stdout | BinaryIO:
    """A new file: an older export is not written over by a slip."""
    if output is None:
        return _Stdout()
    try:
        return output.open("xb")
    except OSError as error:
        raise ConfigError(f"{output} cannot be written ({error.strerror}): give another file.") from None


def _writer(format_: str, file: BinaryIO) -> Writer:
    from lamplighter.families.audit.exporting import JsonLines, Parquet  # noqa: PLC0415 - optional

    return Parquet(file) if format_ == "parquet" else JsonLines(file)


async def _chains(service: Service, tenant: str | None) -> list[str]:
    if tenant is not None:
        return [chain_of(tenant)]
    from lamplighter.families.audit.verifying import Verifying  # noqa: PLC0415 - optional

    names: list[str] = []
    while found := await Verifying(service.database, None).chains(after=names[-1] if names else None):
        names += [one.chain for one in found]
    return names


async def _found(service: Service, id_: str) -> Archive:
    from lamplighter.families.audit.archive import Archives  # noqa: PLC0415 - optional

    found = await Archives(service.database).get(id_)
    if found is None:
        raise NoSuchArchive(f"there is no archive {id_!r:.60}: `lamplighter audit archives` lists them.")
    return found


def _storage(store: str | None, *, must_be: bool = True) -> Storage:
    from lamplighter.families.audit.storage import open_storage  # noqa: PLC0415 - optional

    storage = open_storage(load(flags={"store": store}).settings)
    if storage is None and must_be:
        raise ConfigError("archives cannot be read: set audit_archive to where they are.")
    return storage  # type: ignore[return-value]  # where it need not be, None is taken


def _lasting(written: str) -> timedelta:
    try:
        return parse_duration(written)
    except ValueError:
        raise ConfigError(f"--for is {written!r:.60}: give a time such as 7d.") from None
