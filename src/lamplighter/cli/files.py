"""`lamplighter files`: what is indexed of tenants' files, and what is found by what it says."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from lamplighter.cli.integrations import with_service
from lamplighter.cli.output import (
    Json,
    StoreUrl,
    ago,
    harmless,
    print_json,
    print_lines,
    print_table,
    say,
    say_on,
    text,
)
from lamplighter.cli.program import Noun
from lamplighter.core.errors import ConfigError, LamplighterError

if TYPE_CHECKING:
    from lamplighter.families.files.file import File
    from lamplighter.families.files.files import Filter, Hit, Looked
    from lamplighter.families.files.marked import Piece
    from lamplighter.integrations.service import Service

MOST = 200  # in one page, as the API has it
LARGEST_ID = 2**63 - 1
STATUSES = ("pending", "processed", "error")

group = typer.Typer(cls=Noun, help="Search in tenants' files; see and set where those are.")

Tenant = Annotated[str, typer.Option("--tenant", "-t", metavar="TENANT", help="Whose files.")]
Source = Annotated[str | None, typer.Option("--source", metavar="ID", help="Only of this source.")]
Type = Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Only if its type begins so, e.g. image/.")]
Language = Annotated[str | None, typer.Option("--language", metavar="CODE", help="Only in this language, e.g. en.")]
Status = Annotated[str | None, typer.Option("--status", "-s", metavar="STATUS", help=f"Only if {', '.join(STATUSES)}.")]
Folder = Annotated[str | None, typer.Option("--folder", metavar="PATH", help="Only below this folder.")]


class NoSuchFile(LamplighterError):
    """The tenant has no such file."""


@group.command("list")
def list_files(
    *,
    tenant: Tenant,
    source: Source = None,
    type_: Type = None,
    language: Language = None,
    status: Status = None,
    folder: Folder = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=MOST, help="At most so many.")] = 50,
    after: Annotated[str | None, typer.Option(metavar="NEXT", help="Go on where the page before ended.")] = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """List a tenant's files and folders, by path."""

    async def read(service: Service) -> Looked:
        from lamplighter.families.files.files import Files  # noqa: PLC0415 - optional

        which = _filter(source, type_, language, status, folder)
        return await Files(service.database).look(tenant, which, limit=limit, after=after or "")

    looked = with_service(store, read)
    found, next_ = looked.files, looked.next
    if json:
        print_json({"files": [msgspec.to_builtins(one) for one in found], "next": next_})
        return
    columns = ("id", "path", "type", "size", "status", "language", "changed", "reason")
    rows = [
        (
            str(one.id),
            harmless(one.path),
            "folder" if one.is_folder else one.mime_type,
            one.size,
            None if one.is_folder else one.status,
            one.language,
            ago(one.modified_at),
            one.reason and harmless(one.reason),
        )
        for one in found
    ]
    print_table(columns, rows, empty="No such files." if next_ is None else "None among those that were looked at.")
    say_on(next_, "--after")


@group.command()
def search(
    words: Annotated[
        list[str], typer.Argument(metavar="WORDS", help='Words, "a phrase", begin*; after `--` also -without.')
    ],
    *,
    tenant: Tenant,
    source: Source = None,
    type_: Type = None,
    language: Language = None,
    status: Status = None,
    folder: Folder = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=MOST, help="At most so many.")] = 20,
    after: Annotated[int, typer.Option("--after", metavar="N", min=0, help="Leave out so many of the best.")] = 0,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Find a tenant's files by what they say, the best first.

    The audit log notes that you searched in this tenant's files, not what for. Ends with 1 if nothing is found.
    """

    async def read(service: Service) -> list[Hit]:
        from lamplighter.families.files.files import Files  # noqa: PLC0415 - optional
        from lamplighter.integrations.audit import Resource  # noqa: PLC0415 - optional

        which = _filter(source, type_, language, status, folder)
        async with service.audit.noting("file.search", Resource("file", tenant, tenant)):
            return await Files(service.database).search(tenant, _query(words), which, limit=limit, after=after)

    found = with_service(store, read)
    if json:
        print_json({"hits": [_hit(one) for one in found], "next": after + limit if len(found) == limit else None})
    else:
        _print_hits(found)
        say_on(str(after + limit) if len(found) == limit else None, "--after")
    if not found:
        raise typer.Exit(1)


@group.command()
def show(
    file: Annotated[int, typer.Argument(metavar="ID", min=1, max=LARGEST_ID, help="Which file.")],
    *,
    tenant: Tenant,
    contents: Annotated[bool, typer.Option("--text", help="Also what it says, which is noted.")] = False,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Show all that is known of a file."""

    async def read(service: Service) -> tuple[File, str | None]:
        from lamplighter.families.files.files import Files  # noqa: PLC0415 - optional
        from lamplighter.integrations.audit import Resource  # noqa: PLC0415 - optional

        files = Files(service.database)
        found = await files.get(tenant, file)
        if found is None:
            raise NoSuchFile(
                f"the tenant has no file {file}: `lamplighter files --tenant {tenant}` lists those it has."
            )
        if not contents:
            return found, None
        async with service.audit.noting("file.read", Resource("file", str(file), tenant)):
            return found, await files.text(tenant, file)

    found, says = with_service(store, read)
    if json:
        print_json({"file": msgspec.to_builtins(found)} | ({"text": says} if contents else {}))
        return
    print_lines(_told(found))
    if contents:
        say("")
        say("\n".join(map(harmless, says.splitlines())) if says else "It says nothing.")


def _filter(
    source: str | None, type_: str | None, language: str | None, status: str | None, folder: str | None
) -> Filter:
    from lamplighter.families.files.files import Filter  # noqa: PLC0415 - optional

    if status is not None and status not in STATUSES:
        raise ConfigError(f"there is no status {status!r}: give one of {', '.join(STATUSES)}.")
    return Filter(
        source_id=source,
        mime_type=type_,
        language=language,
        under=folder,
        status=status,  # type: ignore[arg-type]  # checked above
    )


def _query(words: list[str]) -> str:
    """What shells take quotes away from is a phrase still."""
    return " ".join(f'"{word}"' if " " in word and '"' not in word else word for word in words)


def _hit(hit: Hit) -> dict[str, Any]:
    from lamplighter.families.files.marked import pieces  # noqa: PLC0415 - optional

    told = {"name": pieces(hit.name), "snippet": pieces(hit.snippet)}
    return {"file": msgspec.to_builtins(hit.file), **msgspec.to_builtins(told)}


def _print_hits(found: list[Hit]) -> None:
    """A few lines for each. What matched is bold on a terminal."""
    from lamplighter.families.files.marked import pieces  # noqa: PLC0415 - optional

    for hit in found:
        say(f"{_shown(pieces(hit.name))}  ({hit.file.id}, {harmless(hit.file.path)})")
        if hit.snippet:
            say(f"    {_shown(pieces(hit.snippet))}")
    if not found:
        say("Nothing says that.")


def _shown(parts: list[Piece]) -> str:
    bold, plain = ("\x1b[1m", "\x1b[22m") if sys.stdout.isatty() else ("", "")
    return "".join(f"{bold}{harmless(one.text)}{plain}" if one.is_match else harmless(one.text) for one in parts)


def _told(file: File) -> list[tuple[str, object]]:
    """What people want to know, in order."""
    details = ((name.replace("_", " "), text(value)) for name, value in (file.details or {}).items())
    lines: list[tuple[str, object]] = [
        ("path", file.path),
        ("type", "folder" if file.is_folder else file.mime_type),
        ("size", file.size),
        ("status", file.status),
        ("reason", file.reason),
        ("title", file.title),
        ("author", file.author),
        ("language", file.language),
        ("pages", file.pages),
        *details,
        ("created", file.created_at),
        ("changed", file.modified_at),
        ("read", file.indexed_at),
        ("SHA-256", file.digest),
        ("source", file.source_id),
    ]
    return [(name, harmless(text(value))) for name, value in lines if value not in {None, ""}]
