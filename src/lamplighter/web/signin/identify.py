"""Who calls, for those who do not embed: by API key, by the token of an identity provider, or by a browser's session.

What is wrong with a proof is nobody's business: it is 401 with the same sentence, whatever it was.
"""

from __future__ import annotations

from starlette.requests import Request

from lamplighter.web.given import Identify
from lamplighter.web.roles import Caller
from lamplighter.web.signin.allowance import Allowance, address_of
from lamplighter.web.signin.jwt import Jwt
from lamplighter.web.signin.keys import PREFIX, Keys
from lamplighter.web.signin.sessions import Sessions


def identify_by(keys: Keys, *, jwt: Jwt | None = None, sessions: Sessions | None = None) -> Identify:
    """Go by `Authorization: Bearer ...` where it is given, and else by the cookie of a session."""

    async def identify(request: Request) -> Caller | None:
        header = request.headers.get("Authorization")
        if header is None:
            return None if sessions is None else await sessions.caller(request)
        scheme, _, proof = header.partition(" ")
        if scheme.lower() != "bearer":
            return None
        if proof.startswith(PREFIX):
            return await keys.caller(proof)
        return None if jwt is None else await jwt.caller(proof)

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
