"""`GET /oauth/callback`: a browser comes back from a provider, with its answer.

Nobody has to be signed in: whose answer it is, the state says, and that it is this browser's, a cookie. Its name has a
digest of the state, so that a person may connect in two windows at once.
"""

from __future__ import annotations

import hashlib
import logging
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lamplighter.core.errors import LamplighterError
from lamplighter.core.secret import Secret
from lamplighter.integrations.connecting.authorizations import LIFETIME
from lamplighter.integrations.connecting.errors import ConnectDenied, ConnectError, ConnectFailed, ConnectRefused
from lamplighter.web import answers
from lamplighter.web.describing.shows import redirects
from lamplighter.web.errors import kind_of
from lamplighter.web.given import Ours, integrating

PATH = "/oauth/callback"

CODES: dict[type[ConnectError], str] = {ConnectRefused: "refused", ConnectDenied: "denied", ConnectFailed: "failed"}

router = APIRouter()

_log = logging.getLogger("lamplighter.web")


class Cookie(NamedTuple):
    """Where it is kept: no other path of the site is sent it, and no script sees it."""

    key: str
    path: str
    secure: bool
    httponly: bool = True
    samesite: str = "lax"  # the provider's redirect is a link to us from another site

    @classmethod
    def of(cls, callback_url: str, state: Secret) -> Cookie:
        """The one of that authorization. Only a loopback address is without TLS."""
        url, digest = urlsplit(callback_url), hashlib.sha256(state.reveal().encode()).hexdigest()
        return cls(f"lamplighter_connect_{digest[:16]}", url.path, url.scheme == "https")


def remember(answer: Response, callback_url: str, state: Secret, browser: Secret) -> None:
    """Have the browser keep its secret until it comes back."""
    cookie = Cookie.of(callback_url, state)
    answer.set_cookie(value=browser.reveal(), max_age=int(LIFETIME.total_seconds()), **cookie._asdict())


@router.get(PATH)
@redirects()
async def callback(request: Request, ours: Ours) -> Response:
    """Connect, and send the browser on to where its person was going."""
    state = Secret(request.query_params.get("state", ""))
    cookie = Cookie.of(integrating(request).callback_url, state)
    answer = await _finish(request, ours, Secret(request.cookies.get(cookie.key, "")))
    if cookie.key in request.cookies:
        answer.delete_cookie(**cookie._asdict())
    return answer


async def _finish(request: Request, ours: Ours, browser: Secret) -> Response:
    try:
        connected = await ours.connections.finish(request.query_params, browser=browser)
    except ConnectError as error:
        if isinstance(error, ConnectFailed):  # what the operator may have to put right; the person sees only a code
            _log.warning("A tenant could not be connected: %s", error)
        if error.return_to is None:
            return answers.sentence(400, str(error))
        return answers.see_other(_with(error.return_to, connect_error=CODES[type(error)]))
    except LamplighterError as error:  # our own fault, and a person's browser shows it
        _log.warning("A callback could not be answered: %s", error)
        return answers.sentence(kind_of(error).status, str(error))
    return answers.see_other(_with(connected.return_to, connected=connected.integration.provider_slug))


def _with(path: str, **query: str) -> str:
    """The path, which `begin` has checked, with these in its query."""
    path, mark, fragment = path.partition("#")
    return f"{path}{'&' if '?' in path else '?'}{urlencode(query)}{mark}{fragment}"
