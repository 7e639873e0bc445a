"""Valid access tokens, for whoever calls a provider's API on behalf of a tenant.

access = await tokens.service.access.get("i-42")
async with tokens.service.access.http("i-42") as drive:
    files = await drive.get("https://www.googleapis.com/drive/v3/files")
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx2

from lamplighter.core.clock import Clock, utcnow
from lamplighter.core.errors import LamplighterError
from lamplighter.integrations.integration import Access
from lamplighter.integrations.integrations import Integrations
from lamplighter.integrations.oauth import ProviderDown
from lamplighter.integrations.refreshing.outcome import Busy, Gone, NotNow, Refreshed
from lamplighter.integrations.refreshing.planner import Planner
from lamplighter.integrations.refreshing.refresher import Refresher
from lamplighter.integrations.registrations import Registrations
from lamplighter.integrations.safe_url import is_safe
from lamplighter.observe.tracing import http_request

LONGEST_MARGIN = timedelta(seconds=30)  # that a token must live for, to be given out: a call takes its time
PATIENCE = 30.0  # seconds to wait for a refresh of another process
LOOK_EVERY = timedelta(seconds=0.05)
UNAUTHORIZED = 401


class ForeignHost(LamplighterError):
    """A token was about to be sent to somebody who is not its provider."""


class TokenAccess:
    """Gives out tokens that are valid now: it refreshes first where that is needed, under the lock of every refresh."""

    def __init__(
        self,
        integrations: Integrations,
        registrations: Registrations,
        refresher: Refresher,
        planner: Planner,
        *,
        clock: Clock = utcnow,
    ) -> None:
        self._integrations = integrations
        self._registrations = registrations
        self._refresher = refresher
        self._planner = planner
        self._clock = clock
        self._refreshing: dict[str, asyncio.Task[Refreshed]] = {}

    async def get(self, integration_id: str, *, rejected: int | None = None) -> Access:
        """A token that is good for the next call; however many ask at once, one request is sent.

        `rejected`: the `token_version` of a token that the API has refused before its time.

        Raises:
            Gone: there is none to be had until the owner connects again.
            TokenError: the provider gave none; GrantRevoked says that only connecting again helps.
            NotNow: the provider is not asked now, or another refresh takes too long.
            VaultError, StoreError: our own set-up or database is at fault.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            access = await self._integrations.access(integration_id)
            if access is not None and access.token_version != rejected and self._lasts(access):
                return access
            try:
                await self._refresh(integration_id, access)
            except Busy as busy:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(min(busy.retry_in, LOOK_EVERY).total_seconds())
            except (NotNow, ProviderDown):
                if access is None or access.token_version == rejected or self._is_over(access):
                    raise
                return access  # it has a little left: better than nothing

    def http(self, integration_id: str, **options: Any) -> httpx2.AsyncClient:
        """An HTTP client that calls the integration's provider, and nobody else, with its token.

        It answers one 401 by refreshing and asking once more. `options` are those of `httpx2.AsyncClient`.
        A request raises what `get` raises, and ForeignHost.
        """
        return _Client(auth=IntegrationAuth(self, self._registrations, integration_id), **options)

    def _lasts(self, access: Access) -> bool:
        if access.expires_at is None:
            return True
        life = access.expires_at - (access.issued_at or access.expires_at)
        return self._clock() + min(LONGEST_MARGIN, life / 10) < access.expires_at

    def _is_over(self, access: Access) -> bool:
        return access.expires_at is not None and access.expires_at <= self._clock()

    async def _refresh(self, integration_id: str, unfit: Access | None) -> None:
        """Once for all callers in this process; one that is cancelled leaves the others waiting."""
        task = self._refreshing.get(integration_id)
        if task is None:
            version = None if unfit is None else unfit.token_version
            refresh = self._refresher.refresh(integration_id, force=unfit is None, rejected=version)
            task = asyncio.create_task(refresh)
            self._refreshing[integration_id] = task
            task.add_done_callback(lambda _: self._refreshing.pop(integration_id, None))
        await asyncio.shield(task)
        await self._planner.settle()


class _Client(httpx2.AsyncClient):
    """Each request can be seen in a trace."""

    async def send(self, request: httpx2.Request, **how: Any) -> httpx2.Response:
        with http_request(request.method, str(request.url)) as span:
            response = await super().send(request, **how)
            span.answered(response.status_code)
            return response


class IntegrationAuth(httpx2.Auth):
    """Puts an integration's token on requests to its provider."""

    def __init__(self, access: TokenAccess, registrations: Registrations, integration_id: str) -> None:
        self._access = access
        self._registrations = registrations
        self._id = integration_id

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """The token, and after a 401 the next one, if there is one and the request can be sent again."""
        access = await self._access.get(self._id)
        await self._check_host(request, access)
        response = yield _authorized(request, access)
        if response.status_code != UNAUTHORIZED or not isinstance(request.stream, httpx2.ByteStream):
            return
        try:
            access = await self._access.get(self._id, rejected=access.token_version)
        except (NotNow, Gone, ProviderDown):  # the answer that there is says more
            return
        yield _authorized(request, access)

    async def _check_host(self, request: httpx2.Request, access: Access) -> None:
        provider = await self._registrations.current(access.provider_slug, access.provider_version)
        url = str(request.url)
        if not is_safe(url.partition("#")[0]) or urlsplit(url).netloc not in provider.hosts:
            raise ForeignHost(
                f"{request.url.host!r:.100} is no host of {provider.display_name}: the token stays here; add it to the "
                "provider's api_hosts if it should be sent there."
            )


def _authorized(request: httpx2.Request, access: Access) -> httpx2.Request:
    request.headers["Authorization"] = f"Bearer {access.access_token.reveal()}"
    return request
