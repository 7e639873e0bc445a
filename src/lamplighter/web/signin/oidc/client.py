"""What we are at an OpenID provider, as the settings say."""

from __future__ import annotations

from urllib.parse import urlsplit

from msgspec import Struct

from lamplighter.core.config import Settings
from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret
from lamplighter.web.roles import Role
from lamplighter.web.signin.oidc.people import People


class Client(Struct, frozen=True, kw_only=True):
    """A client of one provider. `redirect_uri` and `signed_out_uri` are registered there: where it sends browsers back.

    `name` is what people call the provider; `algorithms` are those by which it may sign.
    """

    issuer: str
    name: str
    client_id: str
    client_secret: Secret
    scopes: tuple[str, ...]
    algorithms: tuple[str, ...]
    redirect_uri: str
    signed_out_uri: str


def client_of(settings: Settings, *, redirect_uri: str, signed_out_uri: str) -> Client | None:
    """The one that the settings name, if they do.

    Raises:
        ConfigError: they say too little of it.
    """
    issuer, client_id, secret = settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret
    if issuer is None and client_id is None and secret is None:
        return None
    if issuer is None or client_id is None or secret is None:
        raise ConfigError(
            "oidc_issuer, oidc_client_id and oidc_client_secret belong together: give all of them, or none."
        )
    return Client(
        issuer=issuer,
        name=settings.oidc_name or urlsplit(issuer).netloc,
        client_id=client_id,
        client_secret=secret,
        scopes=tuple(dict.fromkeys(("openid", *settings.oidc_scopes))),
        algorithms=settings.oidc_algorithms,
        redirect_uri=redirect_uri,
        signed_out_uri=signed_out_uri,
    )


def people_of(settings: Settings) -> People:
    """Who may come in, as the settings say; by default nobody."""
    return People(
        claim=settings.oidc_role_claim,
        values={
            Role.SUPERADMIN: frozenset(settings.oidc_superadmins),
            Role.OPERATOR: frozenset(settings.oidc_operators),
            Role.VIEWER: frozenset(settings.oidc_viewers),
            Role.TENANT: frozenset(settings.oidc_tenants),
        },
        tenants_claim=settings.oidc_tenants_claim,
    )
