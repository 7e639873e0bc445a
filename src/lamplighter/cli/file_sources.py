"""`lamplighter files sources`: where tenants' files are; add a place, look at it now, pause it, remove it."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from lamplighter.cli.integrations import with_service
from lamplighter.cli.output import (
    Json,
    StoreUrl,
    ago,
    end_by_id,
    harmless,
    next_of,
    print_json,
    print_table,
    say,
    say_more,
)
from lamplighter.cli.program import Noun
from lamplighter.core.config import load
from lamplighter.core.errors import ConfigError

if TYPE_CHECKING:
    from lamplighter.families.files.file_source import FileSource
    from lamplighter.families.files.file_sources import FileSources
    from lamplighter.integrations.service import Service

KINDS = ("drive", "webdav", "s3", "folder")
ASKED_FOR = {"webdav": ("user", "password"), "s3": ("user", "password")}
LONGEST_LINE = 10_000  # characters read of a credential

group = typer.Typer(cls=Noun, help="See and set where tenants' files are.")

Ids = Annotated[list[str], typer.Argument(metavar="ID", help="Which sources.")]


@group.command("list")
def list_sources(
    *,
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", metavar="TENANT", help="Only of this tenant.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most so many.")] = 50,
    after: Annotated[str | None, typer.Option(metavar="ID", help="Go on after the last id of the page before.")] = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """List sources of files, by id, and how far each is."""

    async def read(service: Service) -> list[FileSource]:
        return await sources_of(service).page(tenant_id=tenant, limit=limit, after=after or "")

    found = with_service(store, read)
    if json:
        print_json({"sources": [msgspec.to_builtins(one) for one in found], "next": next_of(found, limit)})
        return
    columns = ("id", "tenant", "name", "kind", "state", "files", "to read", "not readable", "looked at", "failure")
    rows = [
        (
            one.id,
            one.tenant_id,
            one.name,
            one.kind,
            one.state,
            one.files,
            one.pending,
            one.failed,
            ago(one.synced_at),
            one.failure and harmless(one.failure),
        )
        for one in found
    ]
    print_table(columns, rows, empty="No such sources." if tenant else "No sources of files.")
    say_more(found, limit, "--after")


@group.command()
def add(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"{', '.join(KINDS)}.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the tenant calls it.")],
    place: Annotated[
        str, typer.Argument(metavar="PLACE", help="A URL or a folder; of a drive a folder in it, by default all.")
    ] = "",
    *,
    tenant: Annotated[str, typer.Option("--tenant", "-t", metavar="TENANT", help="Whose files they are.")],
    integration: Annotated[
        str | None, typer.Option("--integration", metavar="ID", help="Of a drive: how it is read.")
    ] = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Index a place from now on.

    User and password of WebDAV and S3 (a key's id, and the key) are asked for, or read from stdin, a line each: no
    command line should hold one.
    """
    if kind not in KINDS:
        raise ConfigError(f"there is no kind of source {kind!r:.40}: give one of {', '.join(KINDS)}.")
    credentials = {one: _asked(one) for one in ASKED_FOR.get(kind, ())}

    async def act(service: Service) -> FileSource:
        from lamplighter.families.files.adding import add_source  # noqa: PLC0415 - optional
        from lamplighter.families.files.file_source import NewSource  # noqa: PLC0415

        new = NewSource(
            tenant_id=tenant,
            kind=kind,  # type: ignore[arg-type]  # checked above
            name=name,
            place=place,
            integration_id=integration,
            credentials=credentials,
        )
        return await add_source(service, new, roots=load().settings.file_roots)

    added = with_service(store, act)
    if json:
        print_json({"source": msgspec.to_builtins(added)})
    else:
        say(f"{added.id}: {added.name} of {added.tenant_id} is indexed from now on, while a worker runs.")


@group.command()
def pause(ids: Ids, *, store: StoreUrl = None, json: Json = False) -> None:
    """Look at sources no more; what is indexed stays. Ends with 1 if one is not there, or paused already."""
    _change(ids, lambda sources, id_: sources.pause(id_), "paused", store=store, json=json)


@group.command()
def resume(ids: Ids, *, store: StoreUrl = None, json: Json = False) -> None:
    """Look at sources again, also at refused ones. Ends with 1 if one is not there, or not paused."""
    _change(ids, lambda sources, id_: sources.resume(id_), "resumed", store=store, json=json)


@group.command()
def sync(ids: Ids, *, store: StoreUrl = None, json: Json = False) -> None:
    """Have sources looked at now. Ends with 1 if one is not there, or not active."""
    _change(ids, lambda sources, id_: sources.sync_now(id_), "asked for", store=store, json=json)


@group.command()
def remove(ids: Ids, *, store: StoreUrl = None, json: Json = False) -> None:
    """Forget sources and all that was indexed of them. Ends with 1 if one is not there."""
    _change(ids, lambda sources, id_: sources.remove(id_), "removed", store=store, json=json)


def _change(
    ids: list[str],
    change: Callable[[FileSources, str], Awaitable[bool]],
    done: str,
    *,
    store: str | None,
    json: bool,
) -> None:
    async def act(service: Service) -> list[str]:
        sources = sources_of(service)
        return [id_ for id_ in ids if await change(sources, id_)]

    end_by_id(ids, with_service(store, act), done=done, noun="source, or not in that state", json=json)


def sources_of(service: Service) -> FileSources:
    """Those of the service."""
    from lamplighter.families.files.file_sources import FileSources  # noqa: PLC0415 - optional

    return FileSources(service.database, service.vault)


def _asked(name: str) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(name, hide_input=name == "password"))
    return sys.stdin.readline(LONGEST_LINE).rstrip("\r\n")
