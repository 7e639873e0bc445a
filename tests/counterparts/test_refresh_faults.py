"""The promises of docs/howto/keep-tokens-alive.md, kept at servers that none of us wrote with faults before them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.counterparts.fault_proxy import (
    Exchange,
    Fault,
    FaultProxy,
    answer,
    forward,
    half,
    hang_up,
    hold,
    lose,
    silence,
)
from tests.counterparts.fixtures import StartProxy
from tests.counterparts.oauth2_server import OAuth2Server
from tests.counterparts.oidc.oidc_server import OidcServer
from tests.families.running import in_file, running
from tests.integrations.support import TENANT, Home, Service, Timer, service

from lamplighter.core.model import State, Where
from lamplighter.core.secret import Secret
from lamplighter.integrations.integration import Integration, NewIntegration
from lamplighter.integrations.oauth import (
    BadAnswer,
    GrantRevoked,
    IncompleteAnswer,
    OperatorFault,
    ProviderDown,
    TokenClient,
    TokenError,
)
from lamplighter.integrations.provider import ClientAuth, Provider
from lamplighter.integrations.refreshing.outcome import Gone, Wait
from lamplighter.integrations.tenants import Tenant, Tenants

RATED = {"error": {"errors": [{"reason": "userRateLimitExceeded"}]}}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, f"sqlite:///{tmp_path}/lamplighter.db")


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
async def ours(home: Home, timer: Timer) -> AsyncIterator[Service]:
    async with service(home, clock=timer, timeout=30) as opened:
        yield opened


class Rotating(NamedTuple):
    """A service, and a provider that rotates and punishes reuse, behind a proxy."""

    ours: Service
    timer: Timer
    oidc: OidcServer
    proxy: FaultProxy

    async def consent(self, account: str = TENANT) -> Integration:
        """A tenant's account of the same name, due at once."""
        return await consent(self.ours, self.oidc, self.proxy, account)


@pytest.fixture
async def it(ours: Service, timer: Timer, oidc: OidcServer, start_proxy: StartProxy) -> Rotating:
    return Rotating(ours, timer, oidc, await start_proxy(oidc.url))


async def consent(ours: Service, oidc: OidcServer, proxy: FaultProxy, account: str = TENANT) -> Integration:
    refresh_token = (await oidc.connect(account)).refresh_token
    return await connect(ours, oidc.provider(token_url=f"{proxy.url}/token"), refresh_token, account)


async def connect(ours: Service, provider: Provider, refresh_token: Secret, tenant: str = TENANT) -> Integration:
    await ours.registrations.register(provider)
    await Tenants(ours.database, clock=ours.integrations._clock).add([Tenant(id=tenant, name=tenant, owner_id="a|1")])
    return await ours.integrations.connect(
        NewIntegration(
            tenant_id=tenant,
            provider_slug=provider.slug,
            access_token=Secret("stale"),
            refresh_token=refresh_token,
            expires_at=ours.integrations._clock() - timedelta(seconds=1),
        )
    )


async def refreshes(ours: Service, integration: Integration) -> None:
    refreshed = await ours.refresher.refresh(integration.id, force=True)
    assert refreshed.outcome == "refreshed"
    found = await ours.get(integration.id)
    assert (found.status, found.status_reason, found.outages) == ("active", None, 0)


async def fails(ours: Service, integration: Integration, kind: type[TokenError]) -> TokenError:
    with pytest.raises(TokenError) as caught:
        await ours.refresher.refresh(integration.id, force=True)
    assert type(caught.value) is kind
    return caught.value


@pytest.mark.parametrize(
    ("fault", "kind", "reason", "status"),
    [
        (answer(401), OperatorFault, "http_401", "error"),
        (answer(403), OperatorFault, "http_403", "error"),
        (answer(404), OperatorFault, "http_404", "error"),
        (answer(400, {"error": "invalid_scope"}), OperatorFault, "invalid_scope", "error"),
        (answer(403, RATED), ProviderDown, "userRateLimitExceeded", "active"),
        (answer(429), ProviderDown, "http_429", "active"),
        (answer(500), ProviderDown, "http_500", "active"),
        (answer(503, {"error": "invalid_grant"}), ProviderDown, "invalid_grant", "active"),
        (answer(200), BadAnswer, "not_json", "active"),
        (answer(200, b""), BadAnswer, "not_json", "active"),
        (answer(200, {"hello": "world"}), IncompleteAnswer, "no_access_token", "active"),
    ],
)
async def test_no_answer_from_in_between_costs_a_family(
    it: Rotating, fault: Fault, kind: type[TokenError], reason: str, status: str
) -> None:
    integration = await it.consent()
    it.proxy.meet("/token", fault)
    assert (await fails(it.ours, integration, kind)).reason == reason
    assert len(it.proxy.requests) == 1
    assert (await it.ours.get(integration.id)).status == status
    it.timer.passes(400)
    await refreshes(it.ours, integration)
    assert await it.oidc.counts() == {TENANT: Counter(ok=1)}


async def test_who_hangs_up_before_the_rotation_is_asked_again_at_once(it: Rotating) -> None:
    integration = await it.consent()
    it.proxy.meet("/token", hang_up)
    await refreshes(it.ours, integration)
    assert it.proxy.statuses() == [None, 200]
    assert await it.oidc.counts() == {TENANT: Counter(ok=1)}


async def test_who_hangs_up_twice_before_the_rotation_is_out_of_order_and_the_family_lives(it: Rotating) -> None:
    integration = await it.consent()
    it.proxy.meet("/token", hang_up, count=2)
    assert (await fails(it.ours, integration, ProviderDown)).reason == "connection_lost"
    assert (await it.ours.get(integration.id)).outages == 1
    it.timer.passes(400)
    await refreshes(it.ours, integration)
    assert it.proxy.statuses() == [None, None, 200]


async def test_silence_ends_in_time_and_the_family_lives(home: Home, oidc: OidcServer, start_proxy: StartProxy) -> None:
    proxy = await start_proxy(oidc.url)
    async with service(home, timeout=2) as impatient:
        integration = await consent(impatient, oidc, proxy)
        proxy.meet("/token", silence, count=2)
        assert (await fails(impatient, integration, ProviderDown)).reason == "timeout"
        found = await impatient.get(integration.id)
        assert (found.status, found.outages, found.locked_until) == ("active", 1, None)
    async with service(home, timeout=30) as patient:
        await refreshes(patient, integration)
    assert proxy.statuses() == [None, None, 200]


@pytest.mark.parametrize(("fault", "first"), [(half, 200), (lose, None)])
async def test_a_rotation_whose_answer_is_lost_is_refused_once_and_never_asked_about_again(
    it: Rotating, fault: Fault, first: int | None
) -> None:
    """The provider takes the second try for a theft. No client can know: it may not have seen the first."""
    integration = await it.consent()
    it.proxy.meet("/token", fault)
    assert (await fails(it.ours, integration, GrantRevoked)).reason == "invalid_grant"
    assert it.proxy.statuses() == [first, 400]
    assert (await it.ours.get(integration.id)).status == "revoked"
    it.timer.passes(86_400)
    with pytest.raises(Gone):
        await it.ours.refresher.refresh(integration.id, force=True)
    assert len(it.proxy.requests) == 2

    await refreshes(it.ours, await it.consent())  # until the owner connects it again


@pytest.mark.parametrize("fault", [half, lose])
async def test_where_no_reuse_is_punished_a_lost_answer_costs_one_more_request(
    ours: Service, timer: Timer, oauth2: OAuth2Server, start_proxy: StartProxy, fault: Fault
) -> None:
    proxy = await start_proxy(oauth2.url)
    integration = await connect(ours, oauth2.provider(token_url=f"{proxy.url}/token"), Secret("first"))
    proxy.meet("/token", fault)
    await refreshes(ours, integration)
    _, second = await ours.tokens(integration.id)
    timer.passes(400)
    await refreshes(ours, integration)
    assert [request.form["refresh_token"] for request in await oauth2.requests()] == ["first", "first", second]


async def test_an_answer_that_comes_after_the_time_limit_changes_nothing(
    home: Home, oauth2: OAuth2Server, start_proxy: StartProxy
) -> None:
    proxy = await start_proxy(oauth2.url)
    await oauth2.change_next({"refresh_token": "too late"})
    proxy.meet("/token", hold(late := asyncio.Event()))
    proxy.meet("/token", answer(200, {"access_token": "in time", "refresh_token": "second"}))
    async with service(home, timeout=2) as ours:
        integration = await connect(ours, oauth2.provider(token_url=f"{proxy.url}/token"), Secret("first"))
        await refreshes(ours, integration)
        late.set()
        await proxy.idle()
        assert await ours.tokens(integration.id) == ("in time", "second")
        assert (await ours.refresher.recover()).saved == 0


async def test_a_retry_after_is_waited_for_by_every_tenant(it: Rotating) -> None:
    told, other = await it.consent("told"), await it.consent("other")
    it.proxy.meet("/token", answer(429, retry_after=7))
    down = await fails(it.ours, told, ProviderDown)
    assert isinstance(down, ProviderDown)
    assert down.retry_in is not None
    assert down.retry_in >= timedelta(seconds=7)
    it.timer.passes(6.9)
    for integration in (told, other):
        with pytest.raises(Wait) as wait:
            await it.ours.refresher.refresh(integration.id)
        assert wait.value.retry_in >= timedelta(milliseconds=100)
    assert len(it.proxy.requests) == 1
    it.timer.passes(down.retry_in.total_seconds() - 6.9)
    for integration in (told, other):
        await refreshes(it.ours, integration)
    assert it.proxy.statuses() == [429, 200, 200]


async def test_after_five_outages_one_request_at_a_time_finds_out_whether_it_is_back(it: Rotating) -> None:
    accounts = [await it.consent(f"account-{number}") for number in range(6)]
    it.proxy.meet("/token", answer(503), count=5)
    for integration in accounts[:5]:
        await fails(it.ours, integration, ProviderDown)
    with pytest.raises(Wait):
        await it.ours.refresher.refresh(accounts[5].id)
    it.timer.passes(400)
    it.proxy.meet("/token", hold(back := asyncio.Event()))
    probe = asyncio.create_task(refreshes(it.ours, accounts[0]))
    await it.proxy.arrived(6)
    for integration in accounts[1:]:
        with pytest.raises(Wait):
            await it.ours.refresher.refresh(integration.id)
    assert len(it.proxy.requests) == 6
    back.set()
    await probe
    for integration in accounts[1:]:
        it.timer.passes(1)
        await refreshes(it.ours, integration)
    assert await it.oidc.counts() == {f"account-{number}": Counter(ok=1) for number in range(6)}


async def test_a_client_that_the_provider_no_longer_knows_disconnects_no_tenant(
    ours: Service, timer: Timer, oauth2: OAuth2Server
) -> None:
    tenants = ["one", "two", "three"]
    accounts = [await connect(ours, oauth2.provider(), Secret(tenant), tenant) for tenant in tenants]
    await oauth2.refuse_next(401, {"error": "invalid_client", "error_description": "who is that?"}, count=None)
    for integration in accounts:
        await fails(ours, integration, OperatorFault)
        found = await ours.get(integration.id)
        assert found.status == "error"
        assert "invalid_client: who is that?" in (found.status_reason or "")
    await oauth2.recover()
    for integration in accounts:
        timer.passes(400)
        await refreshes(ours, integration)
    assert [request.form["refresh_token"] for request in await oauth2.requests()] == tenants * 2


@pytest.mark.parametrize("client_auth", ["basic", "body"])
async def test_a_server_of_another_make_reads_what_is_sent(
    client: TokenClient, timer: Timer, oauth2: OAuth2Server, client_auth: ClientAuth
) -> None:
    token = Secret("with +signs/&=%20 and ü")
    tokens = await client.refresh(oauth2.provider(client_auth=client_auth), token, timer)
    assert tokens.expires_at == timer.now + timedelta(hours=1)
    [request] = await oauth2.requests()
    credentials = {"client_id": "lamplighter", "client_secret": "hush"} if client_auth == "body" else {}
    assert request.form == {"grant_type": "refresh_token", "refresh_token": token.reveal()} | credentials


async def test_a_worker_waits_out_what_a_provider_suffers_and_spends_no_attempt(
    tmp_path: Path, oidc: OidcServer, start_proxy: StartProxy
) -> None:
    proxy = await start_proxy(oidc.url)
    came: list[float] = []
    proxy.meet("/token", hang_up, count=2)
    proxy.meet("/token", noting(came, answer(429, retry_after=2)))
    proxy.meet("/token", noting(came, forward))
    async with running(in_file(tmp_path)) as it:
        connection = await oidc.connect("ada")
        provider = oidc.provider(token_url=f"{proxy.url}/token")
        integration = await it.connect(provider, connection.access_token, connection.refresh_token)
        await it.tokens.plan([integration])
        async with it.app.worker():
            await it.until("done")
        [ended] = await it.app.store.page(Where(names=("tokens.refresh",), states=(State.DONE,)), limit=10)
        assert (ended.failures, ended.crashes) == (0, 0)
        assert (await it.see(integration)).status == "active"
    assert proxy.statuses() == [None, None, 429, 200]
    assert came[1] - came[0] >= 2


def noting(came: list[float], fault: Fault) -> Fault:
    """The fault, and when it was met."""

    async def note(exchange: Exchange) -> None:
        came.append(asyncio.get_running_loop().time())
        await fault(exchange)

    return note
