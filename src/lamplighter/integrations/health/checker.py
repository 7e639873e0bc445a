"""One health check: the provider's API is asked with the token that is stored, and its answer is judged."""

from __future__ import annotations

import time
from typing import NamedTuple

import httpx2

from lamplighter.core.clock import Clock, utcnow
from lamplighter.core.secret import Secret
from lamplighter.integrations.answer import HEADERS, Answer, ask
from lamplighter.integrations.health.health import Health
from lamplighter.integrations.health.span import Seen
from lamplighter.integrations.http_pool import Http
from lamplighter.integrations.integrations import Integrations
from lamplighter.integrations.provider import Provider
from lamplighter.integrations.refreshing.gates import Gates, Permit
from lamplighter.integrations.refreshing.outcome import Gone, Shut
from lamplighter.integrations.registrations import Registrations

TIMEOUT = 10.0  # seconds


class Checked(NamedTuple):
    """What was found. `rejected`: the version of the token that no longer works, if that is what was found."""

    seen: Seen
    rejected: int | None = None


class Checker:
    """Asks providers' APIs, each no more than it bears. `gates` are the API's own: it may be down while tokens flow."""

    def __init__(
        self,
        integrations: Integrations,
        registrations: Registrations,
        http: Http,
        gates: Gates,
        *,
        clock: Clock = utcnow,
    ) -> None:
        self._integrations = integrations
        self._registrations = registrations
        self._http = http
        self._gates = gates
        self._clock = clock

    async def check(self, integration_id: str) -> Checked:
        """Look whether the provider's API takes the integration's token. At most one request, and none in an outage.

        Raises:
            Gone: there is nothing that could be checked.
            Wait: the provider is asked as often as it bears.
            ConfigError, VaultError, StoreError: our own set-up or database is at fault.
        """
        access = await self._integrations.access(integration_id)
        if access is None:
            raise Gone(f"there is no integration {integration_id!r:.60} that has a token: connect it first.")
        provider = await self._registrations.current(access.provider_slug, access.provider_version)
        if provider.health_url is None:
            raise Gone(f"nothing tells the health of {provider.display_name}: give it a health_url.")
        if access.expires_at is not None and access.expires_at <= self._clock():
            return Checked(Seen("expired", "Its access token has expired."), access.token_version)
        seen = await self._ask(provider, provider.health_url, access.access_token, integration_id)
        return Checked(seen, access.token_version if seen.health in {"expired", "unauthorized"} else None)

    async def _ask(self, provider: Provider, url: str, token: Secret, integration_id: str) -> Seen:
        try:
            permit = await self._gates.admit(provider, integration_id)
        except Shut:
            return Seen("error", f"{provider.display_name} is out of order, so it was not asked.")
        with permit:
            started = time.perf_counter()
            answer = await self._answer(provider, url, token)
            return self._judge(provider, token, answer, permit, round((time.perf_counter() - started) * 1000))

    async def _answer(self, provider: Provider, url: str, token: Secret) -> Answer | None:
        headers = HEADERS | {"Authorization": f"Bearer {token.reveal()}"}
        try:
            return await ask(self._http, provider.health_method, url, headers=headers, within=TIMEOUT)
        except (httpx2.RequestError, TimeoutError):
            return None

    def _judge(self, provider: Provider, token: Secret, answer: Answer | None, permit: Permit, took_ms: int) -> Seen:
        if answer is None:
            permit.failed()
            return Seen("error", f"{provider.display_name} did not answer.", took_ms)
        health = health_of(provider, answer)
        if health == "error":
            permit.failed(answer.retry_after(self._clock()))
        else:
            permit.succeeded()
        return Seen(health, None if health == "healthy" else _told(provider, answer, token), took_ms)


def health_of(provider: Provider, answer: Answer) -> Health:
    """What an answer of the provider's API says of the token that it was asked with.

    A 403 is a token that is good for too little any more, unless it asks to wait.
    """
    code = answer.code(provider.api_codes)
    if code in provider.api_codes:
        return provider.api_codes[code]
    if answer.is_yes:
        return "healthy"
    if answer.status == httpx2.codes.UNAUTHORIZED:
        return "unauthorized"
    return "expired" if answer.status == httpx2.codes.FORBIDDEN and not answer.retry_after_header else "error"


def _told(provider: Provider, answer: Answer, token: Secret) -> str:
    quote = answer.quote([token.reveal()])
    return f"{provider.display_name} answered {answer.status}{': ' + quote if quote else ''}."
