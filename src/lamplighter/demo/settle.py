"""Makes the demo world's tenants ours: its providers registered, and every grant connected by its real code flow."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl, urlsplit

import httpx2

from lamplighter.core.secret import Secret
from lamplighter.demo.catalog import CALLBACK, GRANTS, PROVIDERS, DemoGrant, DemoProvider
from lamplighter.integrations.integration import Integration
from lamplighter.integrations.provider import Provider, ProviderFacts
from lamplighter.integrations.service import Service
from lamplighter.integrations.tenants import Tenant
from lamplighter.integrations.trust import trust


async def settle(service: Service, world_url: str, grants: Sequence[DemoGrant] = GRANTS) -> list[Integration]:
    """Register every provider of the world, and connect every grant."""
    for provider in PROVIDERS:
        await service.registrations.register(registered(provider, world_url))
    tenants = sorted({grant.tenant for grant in grants})
    await service.tenants.add([Tenant(id=name, name=name, owner_id=f"owner-of-{name}") for name in tenants])
    async with httpx2.AsyncClient(verify=trust()) as http:
        return [await _connect(service, http, grant) for grant in grants]


def registered(provider: DemoProvider, world_url: str) -> Provider:
    """A provider of the world as the client that we are there."""
    site = f"{world_url}/{provider.slug}"
    facts = ProviderFacts(
        slug=provider.slug,
        display_name=provider.display_name,
        auth_url=f"{site}/authorize",
        token_url=f"{site}/token",
        revoke_url=f"{site}/revoke",
        health_url=f"{site}/drive/about",
        scopes=provider.scopes,
        client_auth=provider.client_auth,
        rotates=provider.rotates,
        default_lifetime=provider.token_lifetime,
    )
    return facts.with_client(provider.client_id, Secret(provider.client_secret))


async def _connect(service: Service, http: httpx2.AsyncClient, grant: DemoGrant) -> Integration:
    begun = await service.connections.begin(
        grant.tenant,
        grant.provider,
        redirect_uri=CALLBACK,
        user_id=f"owner-of-{grant.tenant}",
        login_hint=grant.user,
    )
    consent = await http.get(begun.url.reveal(), follow_redirects=False)  # it goes without a page in this world
    answer = dict(parse_qsl(urlsplit(consent.headers["Location"]).query))
    connected = await service.connections.finish(answer, browser=begun.browser)
    return connected.integration
