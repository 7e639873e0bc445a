"""Who may do what: decided here, for all routes.

`admit` stands before every route but the provider's callback, and goes by the path alone, so that no route can forget
it: a `tenant_id` there has to be one of the caller's, and an `integration_id` one of that tenant's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Annotated, NamedTuple

from fastapi import Depends, Request

from lamplighter.core.errors import LamplighterError
from lamplighter.integrations.audit import Actor, acting
from lamplighter.integrations.integration import Integration
from lamplighter.web.given import Caller, given

LONGEST_ID = 200  # characters


class Unauthorized(LamplighterError):
    """Nobody knows who calls."""


class Forbidden(LamplighterError):
    """The caller is known, and may not do that."""


class NotFound(LamplighterError):
    """There is no such integration of that tenant, whether or not another has it."""


class Admitted(NamedTuple):
    """Who calls, and the integration that the path names."""

    caller: Caller
    named: Integration | None

    @property
    def integration(self) -> Integration:
        """For routes whose path names one."""
        assert self.named is not None, "the path of this route has an integration_id"
        return self.named


async def admit(request: Request) -> AsyncIterator[Admitted]:
    """Let the request through if its caller may act for the tenant of its path; what it does is the caller's doing."""
    caller = await given(request).identify(request)
    if caller is None:
        raise Unauthorized("nobody is signed in: sign in, or send what proves who you are.")
    tenant_id, integration_id = (request.path_params.get(name) for name in ("tenant_id", "integration_id"))
    if tenant_id is not None:
        check_tenant(caller, tenant_id)
    named = None if integration_id is None else await _integration(request, tenant_id, integration_id)
    with acting(_actor(request, caller.user_id)):
        yield Admitted(caller, named)


async def pass_by(request: Request) -> AsyncIterator[None]:
    """For the callback, which a browser comes to from elsewhere: state and cookie say whose answer it brings."""
    with acting(_actor(request, Actor().user_id)):
        yield


Admission = Annotated[Admitted, Depends(admit)]


def check_tenant(caller: Caller, tenant_id: str) -> None:
    """Raises Forbidden if the caller may not act for the tenant."""
    if not (caller.is_superadmin or tenant_id in caller.tenants):
        raise Forbidden("this tenant is not yours: ask its owner, or a superadmin.")


def check_token_reader(caller: Caller) -> None:
    """Raises Forbidden if the caller may have no access tokens."""
    if not caller.may_read_tokens:
        raise Forbidden("access tokens are for services that were allowed to read them: ask the operator.")


def visible_tenants(caller: Caller, tenant_id: str | None) -> Collection[str] | None:
    """Whose records the caller may see, of those of one tenant if it asks for that; None: everybody's."""
    if tenant_id is not None:
        check_tenant(caller, tenant_id)
        return [tenant_id]
    return None if caller.is_superadmin else caller.tenants


async def _integration(request: Request, tenant_id: str | None, integration_id: str) -> Integration:
    is_id = len(integration_id) <= LONGEST_ID and integration_id.isprintable()
    found = await given(request).tokens.service.integrations.get(integration_id) if is_id else None
    if found is None or found.tenant_id != tenant_id:
        raise NotFound("the tenant has no such integration: list its integrations to find their ids.")
    return found


def _actor(request: Request, user_id: str) -> Actor:
    return Actor(
        user_id=user_id,
        method=request.method,
        endpoint=request.url.path,  # without the query: the callback's holds a code
        user_agent=request.headers.get("User-Agent"),
        ip_address=request.client and request.client.host,
    )
