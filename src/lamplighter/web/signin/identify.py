"""Who calls, for those who do not embed: by API key, by the token of an identity provider, or by a browser's session.

What is wrong with a proof is nobody's business: it is 401 with the same sentence, whatever it was.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import TypeAlias

from msgspec.structs import replace
from starlette.requests import Request

from lamplighter.web.given import Identify
from lamplighter.web.roles import Caller, Role
from lamplighter.web.signin.allowance import Allowance, address_of
from lamplighter.web.signin.jwt import Jwt
from lamplighter.web.signin.keys import PREFIX, Keys
from lamplighter.web.signin.sessions import Sessions

TenantsOf: TypeAlias = Callable[[str], Awaitable[Collection[str]]]


def identify_by(
    keys: Keys, *, jwt: Jwt | None = None, sessions: Sessions | None = None, tenants_of: TenantsOf | None = None
) -> Identify:
    """Go by `Authorization: Bearer ...` where it is given, and else by the cookie of a session.

    Args:
        tenants_of: the tenants that somebody of the identity provider acts for besides those that a claim names, by
            subject. It is asked for every request of a tenant that comes by token or session.
    """

    async def by_provider(request: Request, proof: str | None) -> Caller | None:
        if proof is None:
            return None if sessions is None else await sessions.caller(request)
        return None if jwt is None else await jwt.caller(proof)

    async def identify(request: Request) -> Caller | None:
        header = request.headers.get("Authorization")
        scheme, _, proof = (header or "").partition(" ")
        if header is not None and scheme.lower() != "bearer":
            return None
        if proof.startswith(PREFIX):
            return await keys.caller(proof)
        caller = await by_provider(request, None if header is None else proof)
        if caller is None or caller.role is not Role.TENANT or tenants_of is None:
            return caller
        return replace(caller, tenants=caller.tenants | frozenset(await tenants_of(caller.user_id)))

    return identify


def paced(identify: Identify, *, callers: Allowance, strangers: Allowance) -> Identify:
    """The same, for each caller only so often; for strangers by where they come from, or keys could be tried out."""

    async def identify_and_count(request: Request) -> Caller | None:
        caller = await identify(request)
        if caller is None:
            strangers.take(address_of(request))
        else:
            callers.take(caller.user_id)
        return caller

    return identify_and_count
