"""Telling a provider that we give its tokens back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx2
from msgspec import Struct

from lamplighter.core.secret import Secret
from lamplighter.integrations.answer import HEADERS, Answer, ask
from lamplighter.integrations.http_pool import Http
from lamplighter.integrations.oauth import basic
from lamplighter.integrations.provider import Provider, Revocation

TIMEOUT = 10.0  # seconds
ALREADY_GONE = {"invalid_token", "token_revoked", "invalid_auth", "account_inactive"}


class Held(NamedTuple):
    """The tokens of an integration."""

    access_token: Secret | None
    refresh_token: Secret | None

    @property
    def longest_lived(self) -> Secret | None:
        """The one whose end is the end of both (RFC 7009, 2.1)."""
        return self.refresh_token or self.access_token


class _Call(Struct, frozen=True):
    method: str
    url: str
    headers: Mapping[str, str] = {}
    form: Mapping[str, str] | None = None
    json: Mapping[str, str] | None = None


async def revoke(http: Http, provider: Provider, held: Held) -> str | None:
    """None: the provider took them back, or knew them no more. Otherwise a short reason why not."""
    call = _call(provider, held)
    if call is None:
        return "it offers no way to"
    options: dict[str, Any] = {"data": call.form} if call.json is None else {"json": call.json}
    try:
        headers = HEADERS | dict(call.headers)
        return _failure(await ask(http, call.method, call.url, headers=headers, within=TIMEOUT, **options))
    except (httpx2.RequestError, TimeoutError):
        return "it did not answer"


def _call(provider: Provider, held: Held) -> _Call | None:
    return None if provider.revoke_url is None else CALLS[provider.revocation](provider, provider.revoke_url, held)


def _in_a_form(provider: Provider, url: str, held: Held) -> _Call | None:
    """RFC 7009."""
    if held.longest_lived is None:
        return None
    form = {"token": held.longest_lived.reveal()}
    if provider.client_auth == "basic":
        return _Call("POST", url, {"Authorization": f"Basic {basic(provider)}"}, form)
    client = {"client_id": provider.client_id, "client_secret": provider.client_secret.reveal()}
    return _Call("POST", url, form=form | client)


def _as_bearer(_provider: Provider, url: str, held: Held) -> _Call | None:
    """Dropbox and Slack: the call revokes the token that it is made with."""
    if held.access_token is None:
        return None
    return _Call("POST", url, {"Authorization": f"Bearer {held.access_token.reveal()}"})


def _at_github(provider: Provider, url: str, held: Held) -> _Call | None:
    """The grant of a user, by any of its access tokens."""
    if held.access_token is None:
        return None
    headers = {"Authorization": f"Basic {basic(provider)}", "Accept": "application/vnd.github+json"}
    json = {"access_token": held.access_token.reveal()}
    return _Call("DELETE", url.replace("{client_id}", provider.client_id), headers, json=json)


CALLS: dict[Revocation, Any] = {"token": _in_a_form, "bearer": _as_bearer, "github": _at_github}


def _failure(answer: Answer) -> str | None:
    code = answer.code(ALREADY_GONE)
    if code in ALREADY_GONE or answer.is_yes:
        return None
    return f"it answered {answer.status}"
