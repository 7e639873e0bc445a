"""`lamplighter integrations providers` and `register`: which providers are known, and as which client we ask them."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lamplighter.cli.integrations import with_service
from lamplighter.cli.output import Json, StoreUrl, print_json, print_table, say
from lamplighter.core.duration import rough_duration
from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret

if TYPE_CHECKING:
    from lamplighter.integrations.provider import Provider, ProviderFacts
    from lamplighter.integrations.service import Service

ProviderFile = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="Providers of your own, and fields that differ: TOML.")
]
LONGEST_SECRET = 4096  # characters


def providers(*, file: ProviderFile = None, store: StoreUrl = None, json: Json = False) -> None:
    """List the providers that are known, and as which client we are registered there."""

    async def read(service: Service) -> list[Provider]:
        return await service.registrations.all()

    registered = {one.slug: one for one in with_service(store, read)}
    from lamplighter.integrations.provider import load_facts  # noqa: PLC0415 - optional

    known: dict[str, ProviderFacts] = load_facts(file) | registered
    if json:
        print_json({"providers": [_row(one, registered.get(slug)) for slug, one in known.items()]})
        return
    columns = ("provider", "name", "client id", "token lives", "refresh token", "checked every")
    rows = [
        (
            slug,
            one.display_name,
            registered[slug].client_id if slug in registered else "not registered",
            rough_duration(timedelta(seconds=one.default_lifetime)),
            "is replaced" if one.rotates else "stays",
            rough_duration(timedelta(seconds=one.health_interval)) if one.health_url else "never",
        )
        for slug, one in known.items()
    ]
    print_table(columns, rows, empty="")


def register(
    slug: Annotated[str, typer.Argument(metavar="PROVIDER", help="One that is known, in the file, or a new name.")],
    *,
    client_id: Annotated[
        str | None, typer.Option("--client-id", metavar="ID", help="Our client id there; without it, it stays.")
    ] = None,
    issuer: Annotated[
        str | None, typer.Option("--issuer", metavar="URL", help="Ask this OpenID provider where its endpoints are.")
    ] = None,
    file: ProviderFile = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Register the client that we are at a provider, or take over what is known of it by now.

    With --client-id, the client secret is read from stdin, so that no shell remembers it.
    """
    secret = _read_secret() if client_id is not None else None

    async def act(service: Service) -> Provider:
        facts = await _facts(service, slug, issuer, file)
        if client_id is None or secret is None:
            before = await service.registrations.get(slug)
            provider = facts.with_client(before.client_id, before.client_secret)
        else:
            provider = facts.with_client(client_id, secret)
        await service.registrations.register(provider)
        return provider

    provider = with_service(store, act)
    if json:
        print_json({"provider": _row(provider, provider)})
    else:
        say(f"{slug}: registered at {provider.display_name} as client {provider.client_id}.")


async def _facts(service: Service, slug: str, issuer: str | None, file: Path | None) -> ProviderFacts:
    from lamplighter.integrations.discovery import discover  # noqa: PLC0415 - optional
    from lamplighter.integrations.provider import load_facts  # noqa: PLC0415 - optional

    if issuer is not None:
        return await discover(service.http, issuer, slug=slug)
    facts = load_facts(file).get(slug)
    if facts is None:
        raise ConfigError(f"no provider {slug!r:.60} is known: describe it in a --file, or give its --issuer.")
    return facts


def _read_secret() -> Secret:
    if sys.stdin.isatty():
        return Secret(typer.prompt("Client secret", hide_input=True))
    line = sys.stdin.readline(LONGEST_SECRET + 1).rstrip("\r\n")
    if not 0 < len(line) <= LONGEST_SECRET:
        raise ConfigError("the client secret is read from stdin, as one line: pipe it into this command.")
    return Secret(line)


def _row(facts: ProviderFacts, registered: Provider | None) -> dict[str, object]:
    return {
        "slug": facts.slug,
        "display_name": facts.display_name,
        "client_id": registered and registered.client_id,
        "default_lifetime": facts.default_lifetime,
        "refresh_lifetime": facts.refresh_lifetime,
        "rotates": facts.rotates,
        "health_interval": facts.health_interval if facts.health_url else None,
    }
