"""`lamplighter audit`: who did what, and whether the log is what was sealed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from lamplighter.cli.integrations import with_service
from lamplighter.cli.output import (
    Json,
    StoreUrl,
    ago,
    count,
    harmless,
    next_of,
    print_json,
    print_table,
    say,
    say_more,
    say_on,
)
from lamplighter.cli.program import Noun
from lamplighter.cli.progress import progress
from lamplighter.core.config import Settings, load
from lamplighter.core.errors import ConfigError

if TYPE_CHECKING:
    from lamplighter.families.audit.search import Page
    from lamplighter.families.audit.verifying import Chain, Verdict
    from lamplighter.integrations.service import Service

SHARED = "_"
"""What the chain of records is called that concern no single tenant."""

Tenant = Annotated[
    str | None,
    typer.Option("--tenant", "-t", metavar="TENANT", help=f"Only of this tenant; {SHARED}: of no single one."),
]
Since = Annotated[str | None, typer.Option("--since", metavar="TIME", help="From then on: 2026-01-31, or with T10:00.")]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Before then.")]

group = typer.Typer(cls=Noun, help="See who did what; verify, archive and keep the log.")


@group.command("list")
def list_records(
    *,
    tenant: Tenant = None,
    action: Annotated[
        str | None, typer.Option("--action", "-a", metavar="ACTION", help="Such as queue.pause, or 'integration.*'.")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", "-u", metavar="USER", help="Only by this one.")] = None,
    type_: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Only about such, e.g. integration.")
    ] = None,
    about: Annotated[str | None, typer.Option("--about", metavar="ID", help="Only about what has this id.")] = None,
    since: Since = None,
    until: Until = None,
    archived: Annotated[bool, typer.Option("--archived", help="Also in archives; needs --tenant.")] = False,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most so many.")] = 50,
    before: Annotated[str | None, typer.Option(metavar="NEXT", help="Go on where the page before ended.")] = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """List who did what, the latest first.

    A page looks at a bounded number of records and archives: where it found little, there may be more.
    """

    async def read(service: Service) -> Page:
        from lamplighter.families.audit.search import Filter, Search  # noqa: PLC0415 - optional
        from lamplighter.families.audit.storage import open_storage  # noqa: PLC0415 - optional
        from lamplighter.integrations.auditing.policy import checked_scope  # noqa: PLC0415 - optional

        which = Filter(
            chains=None if tenant is None else [chain_of(tenant)],
            action=action and checked_scope("", action).action,
            user_id=user,
            resource_type=type_,
            resource_id=about,
            since=moment(since),
            until=moment(until),
        )
        storage = open_storage(load(flags={"store": store}).settings) if archived else None
        search = Search(service.database, storage)
        return await search.page(which, limit=limit, before=before or "", archived=archived)

    page = with_service(store, read)
    if json:
        records = [{**msgspec.to_builtins(one.record), "archive_id": one.archive_id} for one in page.hits]
        print_json({"records": records, "next": page.next})
        return
    columns = ("when", "who", "action", "what", "tenant", "result", "archive")
    rows = [
        (
            ago(one.at),
            harmless(one.user_id),
            harmless(one.action),
            harmless(f"{one.resource_type} {one.resource_id}"),
            one.tenant_id,
            harmless(one.error_message or one.result),
            archive_id,
        )
        for one, archive_id in page.hits
    ]
    print_table(columns, rows, empty="No records." if page.next is None else "None among those that were looked at.")
    say_on(page.next, "--before")


@group.command()
def chains(
    *,
    tenant: Tenant = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most so many.")] = 50,
    after: Annotated[
        str | None, typer.Option(metavar="TENANT", help="Go on after the last of the page before.")
    ] = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """List chains, by tenant, with their heads: note those elsewhere, and `verify --head` compares.

    Ends with 1 if one is broken or cannot be archived, as far as is known.
    """

    async def read(service: Service) -> tuple[list[Chain], int]:
        from lamplighter.families.audit.verifying import Verifying  # noqa: PLC0415 - optional

        verifying = Verifying(service.database, None)
        only = None if tenant is None else [chain_of(tenant)]
        return await verifying.chains(limit=limit, after=after, only=only), await verifying.unsealed()

    found, unsealed = with_service(store, read)
    if json:
        told = [{**msgspec.to_builtins(one), "head": _head(one)} for one in found]
        print_json({"chains": told, "unsealed": unsealed, "next": next_of(found, limit)})
    else:
        rows = [
            (one.chain or SHARED, one.seq, ago(one.verified_at), one.broken, one.failure, _head(one)) for one in found
        ]
        columns = ("tenant", "records", "verified", "broken", "not archived", "head")
        print_table(columns, rows, empty="Nothing is sealed yet.")
        say(f"{count(unsealed, 'record')} not sealed yet.")
        say_more(found, limit, "--after")
    if any(one.broken or one.failure for one in found):
        raise typer.Exit(1)


@group.command()
def verify(
    tenants: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TENANT]...", help=f"Whose chains; by default all. {SHARED}: of no one."),
    ] = None,
    *,
    head: Annotated[
        list[str] | None, typer.Option("--head", metavar="TENANT:SEQ:HASH", help="What `chains` showed at some time.")
    ] = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Walk along chains, through the live table and archives, and say where one is not what was sealed.

    Ends with 1 if one is broken.
    """

    async def walk(service: Service) -> list[Verdict]:
        return await _verify(service, load(flags={"store": store}).settings, tenants or [], head or [])

    verdicts = with_service(store, walk)
    broken = [one for one in verdicts if one.what is not None]
    if json:
        print_json({"chains": [msgspec.to_builtins(one) for one in verdicts], "broken": len(broken)})
    else:
        for one in broken:
            say(f"{one.chain or SHARED}: {one.what} at {one.seq:,}: {harmless(one.says or '')}")
        whole = [one for one in verdicts if one.what is None]
        places, gone = sum(one.places for one in whole), sum(one.destroyed for one in whole)
        say(f"{count(len(whole), 'chain')} whole: {count(places, 'record')}, {gone:,} of which were destroyed in time.")
    if broken:
        raise typer.Exit(1)


async def _verify(service: Service, settings: Settings, tenants: list[str], heads: list[str]) -> list[Verdict]:
    """All chains, or those that are named."""
    from lamplighter.families.audit.storage import open_storage  # noqa: PLC0415 - optional
    from lamplighter.families.audit.verifying import Verifying, read_head  # noqa: PLC0415 - optional

    verifying = Verifying(service.database, open_storage(settings))
    noted = [read_head(one) for one in heads]
    named = {*map(chain_of, tenants), *(one.chain for one in noted)}
    verdicts: list[Verdict] = []
    after: str | None = None
    with progress() as step:
        while found := await verifying.chains(after=after, only=sorted(named) or None):
            for chain in found:
                known = [one for one in noted if one.chain == chain.chain]
                verdicts.append(await verifying.verify(chain, heads=known, step=step))
            after = found[-1].chain
    if missing := sorted(named - {one.chain for one in verdicts}):
        raise ConfigError(f"there is no chain of {missing[0] or SHARED!r:.60}: `lamplighter audit chains` lists them.")
    return verdicts


def chain_of(tenant: str) -> str:
    """The chain that people call so."""
    return "" if tenant == SHARED else tenant


def moment(written: str | None) -> datetime | None:
    """A day or a moment; without a zone it is UTC. Raises ConfigError."""
    if written is None:
        return None
    try:
        read = datetime.fromisoformat(written)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ConfigError(f"{written!r:.60} is no time: give a day such as 2026-01-31, or 2026-01-31T10:00.") from None


def _head(chain: Chain) -> str:
    return f"{chain.chain or SHARED}:{chain.seq}:{chain.hash}"
