"""`lamplighter integrations recipients`: who is told what happens to integrations."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from lamplighter.cli.integrations import with_service
from lamplighter.cli.output import Json, StoreUrl, end_by_id, next_of, print_json, print_table, say, say_more
from lamplighter.cli.program import Noun

if TYPE_CHECKING:
    from lamplighter.integrations.notices.recipients import Added, Recipient
    from lamplighter.integrations.service import Service

group = typer.Typer(cls=Noun, help="See and set who is told what happens to integrations.")

LONGEST_LINE = 4096  # characters read of an address: more is refused by whoever checks it

Tenant = Annotated[str | None, typer.Option("--tenant", "-t", metavar="TENANT", help="Only of this tenant.")]


@group.command("list")
def list_recipients(
    *,
    tenant: Tenant = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most so many.")] = 50,
    after: Annotated[str | None, typer.Option(metavar="ID", help="Go on after the last id of the page before.")] = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """List recipients, by id."""

    async def read(service: Service) -> list[Recipient]:
        if tenant is None:
            return await service.recipients.all(limit=limit, after=after or "")
        return await service.recipients.page(tenant, limit=limit, after=after or "")

    found = with_service(store, read)
    if json:
        print_json({"recipients": [msgspec.to_builtins(one) for one in found], "next": next_of(found, limit)})
        return
    columns = ("id", "tenant", "channel", "address", "events")
    rows = [(one.id, one.tenant_id or "(operator)", one.channel, one.address, _short(one)) for one in found]
    print_table(columns, rows, empty="No such recipients." if tenant else "Nobody is told anything.")
    say_more(found, limit, "--after")


@group.command()
def add(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="email, webhook or apprise.")],
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="An e-mail address or a URL; - reads stdin.")],
    *,
    tenant: Annotated[
        str | None,
        typer.Option("--tenant", "-t", metavar="TENANT", help="Of this tenant alone; otherwise of all, as operator."),
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option("--event", "-e", metavar="EVENT", help="Only of this, e.g. integration.revoked; may be repeated."),
    ] = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Tell somebody what happens from now on; one that is told already hears of these events instead.

    A webhook's secret is shown this once. Give an address that holds a password by way of stdin.
    """
    given = sys.stdin.readline(LONGEST_LINE).rstrip("\r\n") if address == "-" else address

    async def act(service: Service) -> Added:
        return await service.recipients.add(
            tenant,
            channel,  # type: ignore[arg-type]  # checked there
            given,
            event,
        )

    recipient, secret = with_service(store, act)
    if json:
        print_json({"recipient": msgspec.to_builtins(recipient), "secret": secret and secret.reveal()})
        return
    say(f"{recipient.id}: {recipient.channel} {recipient.address} hears of {_short(recipient)}.")
    if secret is not None:
        say(f"Its secret, which is not shown again: {secret.reveal()}")


@group.command()
def remove(
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="Which recipients.")],
    *,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Tell recipients nothing more, not even what is on its way. Ends with 1 if one is not there."""

    async def act(service: Service) -> list[str]:
        return [id_ for id_ in ids if await _remove(service, id_)]

    end_by_id(ids, with_service(store, act), done="removed", noun="recipient", json=json)


async def _remove(service: Service, id_: str) -> bool:
    found = await service.recipients.get(id_)
    return found is not None and await service.recipients.remove(found.tenant_id, id_)


def _short(recipient: Recipient) -> str:
    return ", ".join(event.removeprefix("integration.") for event in recipient.events)
