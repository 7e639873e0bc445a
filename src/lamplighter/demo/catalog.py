"""Who lives in the demo world: its providers, and the grants that its tenants hold with them."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from lamplighter.core.errors import ConfigError

CALLBACK = "http://127.0.0.1/callback"  # any loopback address is taken as a redirect URI; nothing needs to listen there


class DemoProvider(msgspec.Struct, frozen=True, kw_only=True):
    """One cloud provider. `token_lifetime` is that of an access token, in seconds.

    `rotates`: each refresh spends the refresh token and answers with the next; otherwise it stays the same.
    `client_auth`: where the client's secret goes, the form body or a Basic header. The other one is refused.
    """

    slug: str
    display_name: str
    token_lifetime: int
    rotates: bool = True
    client_auth: Literal["body", "basic"] = "body"
    scopes: tuple[str, ...] = ("account.read", "files.read")

    @property
    def client_id(self) -> str:
        return f"lamplighter-at-{self.slug}"

    @property
    def client_secret(self) -> str:
        """A demo value: it opens nothing outside this world."""
        return f"demo-secret-of-{self.slug}"


class DemoGrant(NamedTuple):
    """One user's consent, which becomes one integration of the tenant. A tenant has at most one per provider."""

    tenant: str
    provider: str
    user: str


PROVIDERS = (
    DemoProvider(slug="lantern-drive", display_name="Lantern Drive", token_lifetime=30),
    DemoProvider(slug="harbor-files", display_name="Harbor Files", token_lifetime=20, client_auth="basic"),
    DemoProvider(slug="meadow-box", display_name="Meadow Box", token_lifetime=45, rotates=False),
    DemoProvider(slug="stormy-drive", display_name="Stormy Drive", token_lifetime=30),
)

GRANTS = (
    DemoGrant("copper-bakery", "lantern-drive", "ada"),
    DemoGrant("copper-bakery", "harbor-files", "ada"),
    DemoGrant("copper-bakery", "stormy-drive", "bruno"),
    DemoGrant("tidewater-clinic", "lantern-drive", "chidi"),
    DemoGrant("tidewater-clinic", "meadow-box", "chidi"),
    DemoGrant("tidewater-clinic", "stormy-drive", "dana"),
    DemoGrant("larkspur-studio", "harbor-files", "emeka"),
    DemoGrant("larkspur-studio", "meadow-box", "farah"),
    DemoGrant("larkspur-studio", "stormy-drive", "farah"),
    DemoGrant("quarry-robotics", "lantern-drive", "goran"),
    DemoGrant("quarry-robotics", "harbor-files", "hana"),
    DemoGrant("quarry-robotics", "meadow-box", "hana"),
)


def find_provider(slug: str) -> DemoProvider:
    """The provider of that name.

    Raises:
        ConfigError: there is none.
    """
    for provider in PROVIDERS:
        if provider.slug == slug:
            return provider
    raise ConfigError(f"the demo world has no provider {slug!r}: take one of {', '.join(p.slug for p in PROVIDERS)}.")
