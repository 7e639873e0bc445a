"""Owners of tenants, who are known by their subject at the identity provider, and by no claim."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from tests.web.identity import AUDIENCE, ISSUER, Identity, running_identity
from tests.web.own_site import OwnSite, clock_of_now, running_own_site
from tests.web.site import told

from lamplighter.app import App
from lamplighter.core.config import Settings
from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.tenants import Tenant
from lamplighter.testing import FakeClock
from lamplighter.web.roles import Role
from lamplighter.web.site import open_site


@pytest.fixture
def clock() -> FakeClock:
    return clock_of_now()


@pytest.fixture
async def identity(clock: FakeClock) -> AsyncIterator[Identity]:
    async with running_identity(clock) as running:
        yield running


def with_owners(base: Settings, identity: Identity, **changes: Any) -> Settings:
    told: dict[str, Any] = {
        "jwt_issuer": ISSUER,
        "jwt_audience": AUDIENCE,
        "jwt_jwks_url": identity.url,
        "jwt_tenants_claim": "tenants",
        "web_owners": "on",
    }
    return msgspec.structs.replace(base, **told | changes)


@pytest.fixture
async def shop(own_settings: Settings, identity: Identity, clock: FakeClock) -> AsyncIterator[OwnSite]:
    app = App[None](settings=with_owners(own_settings, identity), clock=clock)
    tokens = TokenFamily(app)
    async with running_own_site(app) as own:
        owners = {"t-1": "auth|1", "t-2": "auth|1", "t-3": "auth|2", "t-4": "auth|3"}
        await tokens.service.tenants.add([Tenant(id=id_, name=id_, owner_id=owner) for id_, owner in owners.items()])
        yield own


async def visible(shop: OwnSite, proof: dict[str, str]) -> list[str]:
    """Which tenants' integrations somebody may look at."""
    async with shop.browser(**proof) as client:
        answers = {one: await client.get(f"/api/v1/tenants/{one}/integrations") for one in ("t-1", "t-2", "t-3", "t-4")}
    return [one for one, answer in answers.items() if answer.is_success]


async def test_an_owner_acts_for_what_is_theirs_and_what_a_claim_names(shop: OwnSite, identity: Identity) -> None:
    theirs = {"Authorization": f"Bearer {identity.sign()}"}
    assert await visible(shop, theirs) == ["t-1", "t-2"]
    assert await visible(shop, {"Authorization": f"Bearer {identity.sign(tenants=['t-4'])}"}) == ["t-1", "t-2", "t-4"]
    assert await visible(shop, {"Authorization": f"Bearer {identity.sign(sub='auth|9')}"}) == []


async def test_what_is_archived_is_nobodys(shop: OwnSite, identity: Identity) -> None:
    tokens = shop.app.part(TokenFamily)
    assert tokens is not None
    await tokens.service.tenants.archive("t-2")
    assert await visible(shop, {"Authorization": f"Bearer {identity.sign()}"}) == ["t-1"]


async def test_a_key_owns_nothing_by_its_id(shop: OwnSite) -> None:
    made = await shop.keys.make("test", Role.TENANT, tenants=["t-3"])
    key = {"Authorization": f"Bearer {made.text.reveal()}"}
    tokens = shop.app.part(TokenFamily)
    assert tokens is not None
    async with shop.browser(**key) as client:
        assert told(await client.get("/api/v1/tenants/t-3/integrations")) == (200, [])
    await tokens.service.tenants.add([Tenant(id="t-5", name="t-5", owner_id=f"key:{made.key.id}")])
    assert await visible(shop, key) == ["t-3"]


@pytest.mark.parametrize(
    ("changes", "has_tokens"),
    [
        ({}, False),
        ({"jwt_issuer": None, "jwt_audience": None, "jwt_jwks_url": None}, True),
        ({"oidc_issuer": "https://another.example", "oidc_client_id": "c"}, True),
    ],
)
async def test_where_it_cannot_be_known_who_owns_what_nothing_is_served(
    own_settings: Settings, identity: Identity, clock: FakeClock, changes: dict[str, Any], has_tokens: bool
) -> None:
    secret = {"oidc_client_secret": Secret("s")} if "oidc_issuer" in changes else {}
    app = App[None](settings=with_owners(own_settings, identity, **changes, **secret), clock=clock)
    if has_tokens:
        TokenFamily(app)
    async with app:
        with pytest.raises(ConfigError, match="web_owners goes by"):
            async with open_site(app, host="127.0.0.1", port=1):
                pass
