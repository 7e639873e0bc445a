"""The refresher against the demo world's providers and against endpoints that misbehave, in real databases."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta

import msgspec
import pytest
from tests.integrations.support import ELSEWHERE, Endpoint, Home, Service, Timer, demo_provider, service

from lamplighter.core.secret import Secret
from lamplighter.demo.client import cause, count_requests
from lamplighter.demo.faults import Outage, Revocation
from lamplighter.demo.world import World
from lamplighter.integrations.oauth import BadAnswer, GrantRevoked, IncompleteAnswer, OperatorFault, ProviderDown
from lamplighter.integrations.refreshing import row
from lamplighter.integrations.refreshing.gates import SHORT
from lamplighter.integrations.refreshing.outcome import Busy, Gone, Shut, Wait
from lamplighter.integrations.vault import UnknownKey

ROTATING, KEEPING, BASIC = "lantern-drive", "meadow-box", "harbor-files"


@pytest.mark.parametrize("slug", [ROTATING, KEEPING, BASIC])
async def test_a_due_integration_is_refreshed_and_its_successor_planned(demo: World, ours: Service, slug: str) -> None:
    connected = await ours.consent(demo.url, slug)
    before = await ours.tokens(connected.id)
    refreshed = await ours.refresher.refresh(connected.id)
    found, after = await ours.get(connected.id), await ours.tokens(connected.id)
    assert refreshed.outcome == "refreshed"
    assert ours.plans.inside == [(connected.id, refreshed.refresh_at)]
    assert found.refresh_at == refreshed.refresh_at
    assert found.expires_at is not None
    assert timedelta(minutes=59) < found.expires_at - found.updated_at < timedelta(hours=1)
    assert (found.status, found.last_outcome, found.outages, found.token_version) == ("active", "refreshed", 0, 2)
    assert found.locked_until is None
    assert after[0] != before[0]
    assert (after[1] == before[1]) == (slug == KEEPING)
    assert (await ours.refresher.refresh(connected.id)).outcome == "fresh"
    assert (await ours.refresher.refresh(connected.id, force=True)).outcome == "refreshed"
    assert (await count_requests(ours.http, demo.url, slug)).reuses == 0


async def test_what_is_fresh_costs_neither_a_request_nor_a_write(endpoint: Endpoint, ours: Service) -> None:
    provider = endpoint.provider()
    await ours.registrations.register(provider)
    connected = await ours.connect(provider, "a", "r")
    assert (await ours.refresher.refresh(connected.id)).outcome == "fresh"
    assert endpoint.tokens == []
    assert await ours.get(connected.id) == connected


async def test_jobs_that_are_kept_elsewhere_are_planned_after_the_commit(endpoint: Endpoint, ours: Service) -> None:
    ours.plans.refuses = ELSEWHERE
    provider = endpoint.provider()
    await ours.registrations.register(provider)
    connected = await ours.connect(provider, "a", "r", life=-1)
    refreshed = await ours.refresher.refresh(connected.id)
    assert (ours.plans.inside, ours.plans.outside) == ([], [(connected.id, refreshed.refresh_at)])


async def test_a_planner_that_fails_costs_no_token(endpoint: Endpoint, ours: Service) -> None:
    ours.plans.refuses = ValueError("a bug")
    provider = endpoint.provider()
    await ours.registrations.register(provider)
    connected = await ours.connect(provider, "a", "r", life=-1)
    assert (await ours.refresher.refresh(connected.id)).outcome == "refreshed"
    assert await ours.tokens(connected.id) == ("new-access", "new-refresh")
    assert len(ours.plans.outside) == 1


async def test_two_refreshers_never_spend_a_token_twice(demo: World, home: Home) -> None:
    async with service(home) as one, service(home) as two:
        connected = await one.consent(demo.url, ROTATING)
        rounds = [ours.refresher.refresh(connected.id, force=True) for _ in range(10) for ours in (one, two)]
        results = await asyncio.gather(*rounds, return_exceptions=True)
        refreshed = [result for result in results if not isinstance(result, BaseException)]
        assert refreshed
        assert all(isinstance(result, Busy) for result in results if isinstance(result, BaseException))
        asked = await count_requests(one.http, demo.url, ROTATING)
        assert asked.reuses == 0
        assert asked.refreshes["ada"] == sum(result.outcome == "refreshed" for result in refreshed)
        assert (await two.refresher.refresh(connected.id, force=True)).outcome == "refreshed"


async def test_a_revoked_grant_is_asked_about_once(demo: World, ours: Service) -> None:
    connected = await ours.consent(demo.url, ROTATING)
    await cause(ours.http, demo.url, Revocation(provider=ROTATING, user="ada"))
    with pytest.raises(GrantRevoked):
        await ours.refresher.refresh(connected.id)
    for force in (False, True):
        with pytest.raises(Gone):
            await ours.refresher.refresh(connected.id, force=force)
    found = await ours.get(connected.id)
    assert (found.status, found.refresh_at, found.locked_until) == ("revoked", None, None)
    assert "invalid_grant" in (found.status_reason or "")
    assert ours.plans.inside == []
    assert (await count_requests(ours.http, demo.url, ROTATING)).refreshes == {"ada": 1}

    again = await ours.consent(demo.url, ROTATING)
    assert (again.id, again.status, again.status_reason) == (connected.id, "active", None)
    assert (await ours.refresher.refresh(again.id)).outcome == "refreshed"


async def test_an_outage_is_waited_out_and_kills_nothing(demo: World, ours: Service) -> None:
    connected = await ours.consent(demo.url, ROTATING)
    await cause(ours.http, demo.url, Outage(provider=ROTATING, seconds=60, retry_after=7))
    with pytest.raises(ProviderDown) as down:
        await ours.refresher.refresh(connected.id)
    assert down.value.retry_in is not None
    assert down.value.retry_in >= timedelta(seconds=7)
    with pytest.raises(Wait) as wait:
        await ours.refresher.refresh(connected.id)
    assert timedelta() < wait.value.retry_in <= timedelta(seconds=8)
    found = await ours.get(connected.id)
    assert (found.status, found.outages, found.last_outcome, found.locked_until) == ("active", 1, "down", None)
    assert (await count_requests(ours.http, demo.url, ROTATING)).outcomes["outage"] == 1


async def test_after_an_outage_the_count_begins_anew(endpoint: Endpoint, home: Home) -> None:
    timer = Timer()
    async with service(home, clock=timer) as ours:
        provider = endpoint.provider()
        await ours.registrations.register(provider)
        connected = await ours.connect(provider, "a", "r", life=-1)
        endpoint.status = 503
        for outages in range(1, 7):
            with pytest.raises(ProviderDown):
                await ours.refresher.refresh(connected.id)
            assert (await ours.get(connected.id)).outages == outages
            timer.passes(400)
        endpoint.status = 200
        assert (await ours.refresher.refresh(connected.id)).outcome == "refreshed"
        assert (await ours.get(connected.id)).outages == 0


async def test_an_endpoint_that_is_not_there_is_an_outage(ours: Service) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        provider = demo_provider(url, ROTATING)
        await ours.registrations.register(provider)
        connected = await ours.connect(provider, "a", "r", life=-1)
        with pytest.raises(ProviderDown, match="not_reached"):
            await ours.refresher.refresh(connected.id)
    assert (await ours.get(connected.id)).outages == 1


async def test_a_wrong_client_secret_is_our_fault_and_revokes_nobody(demo: World, ours: Service) -> None:
    connected = await ours.consent(demo.url, ROTATING)
    right = demo_provider(demo.url, ROTATING)
    await ours.registrations.register(msgspec.structs.replace(right, client_secret=Secret("wrong")))
    with pytest.raises(OperatorFault):
        await ours.refresher.refresh(connected.id)
    found = await ours.get(connected.id)
    assert (found.status, found.last_outcome, found.locked_until) == ("error", "operator", None)
    assert "invalid_client" in (found.status_reason or "")
    assert "wrong" not in (found.status_reason or "")

    await ours.registrations.register(right)  # takes effect at the next refresh
    assert (await ours.refresher.refresh(connected.id)).outcome == "refreshed"
    assert (await ours.get(connected.id)).status == "active"


async def test_a_wrong_client_secret_does_not_hammer_the_provider(endpoint: Endpoint, home: Home) -> None:
    async with service(home, clock=Timer()) as ours:
        provider = endpoint.provider()
        await ours.registrations.register(provider)
        connected = await ours.connect(provider, "a", "r", life=-1)
        endpoint.status, endpoint.reply = 401, lambda: {"error": "invalid_client"}
        errors = []
        for _ in range(20):
            with pytest.raises((OperatorFault, Shut)) as caught:
                await ours.refresher.refresh(connected.id)
            errors.append(caught.type)
        assert errors == [OperatorFault] * 5 + [Shut] * 15


async def test_a_connection_lost_is_tried_once_more_and_then_a_refusal_is_final(
    endpoint: Endpoint, ours: Service
) -> None:
    provider = endpoint.provider()
    await ours.registrations.register(provider)
    connected = await ours.connect(provider, "a", "r", life=-1)
    endpoint.reply = lambda: None if len(endpoint.tokens) == 1 else {"access_token": "new-access"}
    assert (await ours.refresher.refresh(connected.id)).outcome == "refreshed"
    assert endpoint.tokens == ["r", "r"]
    assert await ours.tokens(connected.id) == ("new-access", "r")

    endpoint.tokens.clear()
    endpoint.reply = lambda: None
    with pytest.raises(ProviderDown, match="connection_lost"):
        await ours.refresher.refresh(connected.id, force=True)
    assert endpoint.tokens == ["r", "r"]
    assert (await ours.get(connected.id)).status == "active"

    endpoint.tokens.clear()

    def lost_then_refused() -> dict[str, object] | None:
        if len(endpoint.tokens) == 1:
            return None
        endpoint.status = 400
        return {"error": "invalid_grant"}

    endpoint.reply = lost_then_refused
    with pytest.raises(GrantRevoked):
        await ours.refresher.refresh(connected.id, force=True)
    assert (await ours.get(connected.id)).status == "revoked"


async def test_invalid_grant_after_a_lost_race_is_a_success(endpoint: Endpoint, ours: Service) -> None:
    endpoint.status, endpoint.reply = 400, lambda: {"error": "invalid_grant"}
    connected, refresh = await ours.begin_refresh(endpoint)
    await ours.connect(endpoint.provider(), "newer-access", "newer-refresh")  # the owner connects again meanwhile
    endpoint.may_answer.set()
    assert (await refresh).outcome == "adopted"
    found = await ours.get(connected.id)
    assert (found.status, found.locked_until) == ("active", None)
    assert await ours.tokens(connected.id) == ("newer-access", "newer-refresh")


async def test_an_answer_to_an_older_token_does_not_overwrite_newer_ones(endpoint: Endpoint, ours: Service) -> None:
    connected, refresh = await ours.begin_refresh(endpoint)
    await ours.connect(endpoint.provider(), "newer-access", "newer-refresh")
    endpoint.may_answer.set()
    assert (await refresh).outcome == "adopted"
    assert await ours.tokens(connected.id) == ("newer-access", "newer-refresh")
    assert ours.plans.inside == []
    assert (await ours.refresher.recover()).saved == 0


async def test_a_second_caller_is_told_that_a_refresh_is_under_way(endpoint: Endpoint, ours: Service) -> None:
    connected, refresh = await ours.begin_refresh(endpoint)
    with pytest.raises(Busy) as busy:
        await ours.refresher.refresh(connected.id, force=True)
    assert timedelta() < busy.value.retry_in <= timedelta(seconds=2)
    endpoint.may_answer.set()
    assert (await refresh).outcome == "refreshed"
    assert endpoint.tokens == ["r"]


async def test_tokens_are_stored_though_whoever_asked_was_cancelled(endpoint: Endpoint, ours: Service) -> None:
    connected, refresh = await ours.begin_refresh(endpoint)
    refresh.cancel()
    with pytest.raises(asyncio.CancelledError):
        await refresh
    endpoint.may_answer.set()
    await ours.refresher.close()
    assert await ours.tokens(connected.id) == ("new-access", "new-refresh")
    assert (await ours.refresher.refresh(connected.id)).outcome == "fresh"


@pytest.mark.parametrize("expires_in", [-1, "3600", 1e12, None, "NaN"])
async def test_an_absurd_life_is_replaced_and_costs_no_token(
    endpoint: Endpoint, ours: Service, expires_in: object
) -> None:
    provider = endpoint.provider()
    await ours.registrations.register(provider)
    connected = await ours.connect(provider, "a", "r", life=-1)
    endpoint.reply = lambda: {"access_token": "new-access", "expires_in": expires_in}
    await ours.refresher.refresh(connected.id)
    found = await ours.get(connected.id)
    assert found.expires_at is not None
    assert found.issued_at is not None
    assert abs(found.expires_at - found.issued_at - timedelta(hours=1)) < timedelta(seconds=10)


async def test_an_answer_that_cannot_be_read_is_raised_and_the_lock_given_back(
    endpoint: Endpoint, ours: Service
) -> None:
    provider = endpoint.provider()
    await ours.registrations.register(provider)
    connected = await ours.connect(provider, "a", "r", life=-1)
    endpoint.reply = lambda: b"<html>a proxy's page</html>"
    with pytest.raises(BadAnswer, match="not_json"):
        await ours.refresher.refresh(connected.id)
    found = await ours.get(connected.id)
    assert (found.status, found.last_outcome, found.locked_until) == ("active", "not_json", None)


async def test_a_rotated_token_is_kept_when_the_answer_lacks_an_access_token(endpoint: Endpoint, ours: Service) -> None:
    provider = endpoint.provider()
    await ours.registrations.register(provider)
    connected = await ours.connect(provider, "a", "r", life=-1)
    endpoint.reply = lambda: {"refresh_token": "rotated"}
    with pytest.raises(IncompleteAnswer):
        await ours.refresher.refresh(connected.id)
    assert await ours.tokens(connected.id) == ("a", "rotated")
    assert ours.plans.inside == []
    endpoint.reply = lambda: {"access_token": "new-access"}
    assert (await ours.refresher.refresh(connected.id)).outcome == "refreshed"
    assert endpoint.tokens == ["r", "rotated"]
    endpoint.reply = lambda: {"token_type": "bearer"}
    with pytest.raises(IncompleteAnswer):
        await ours.refresher.refresh(connected.id, force=True)
    assert (await ours.get(connected.id)).locked_until is None


async def test_a_provider_is_not_asked_faster_than_it_bears_and_each_is_told_its_moment(
    endpoint: Endpoint, home: Home
) -> None:
    timer = Timer()
    async with service(home, clock=timer) as ours:
        provider = msgspec.structs.replace(endpoint.provider(), max_per_second=1)
        await ours.registrations.register(provider)
        connected = await ours.connect(provider, "a", "r", life=-1)
        assert (await ours.refresher.refresh(connected.id, force=True)).outcome == "refreshed"
        for _ in range(2):
            with pytest.raises(Wait) as wait:
                await ours.refresher.refresh(connected.id, force=True)
            assert wait.value.retry_in == timedelta(seconds=1)
        timer.passes(1)
        assert (await ours.refresher.refresh(connected.id, force=True)).outcome == "refreshed"


async def test_no_more_requests_are_under_way_than_a_provider_bears(endpoint: Endpoint, ours: Service) -> None:
    provider = msgspec.structs.replace(endpoint.provider(), max_concurrency=1)
    await ours.registrations.register(provider)
    connected = await ours.connect(provider, "a", "r", life=-1)
    permit = await ours.refresher._gates.admit(provider, "another")
    with pytest.raises(Wait) as wait:
        await ours.refresher.refresh(connected.id)
    assert wait.value.retry_in >= SHORT
    with permit:
        permit.succeeded()
    assert (await ours.refresher.refresh(connected.id)).outcome == "refreshed"


async def test_what_cannot_be_refreshed_is_gone(endpoint: Endpoint, ours: Service) -> None:
    provider = endpoint.provider()
    await ours.registrations.register(provider)
    with pytest.raises(Gone):
        await ours.refresher.refresh("nobody")
    connected = await ours.connect(provider, "a", None)
    assert connected.refresh_at is None
    with pytest.raises(Gone, match="offline"):
        await ours.refresher.refresh(connected.id, force=True)


async def test_given_up_is_expired_once_and_looked_at_again_later(endpoint: Endpoint, home: Home) -> None:
    timer = Timer()
    async with service(home, clock=timer) as ours:
        provider = endpoint.provider()
        await ours.registrations.register(provider)
        connected = await ours.connect(provider, "a", "r", life=-1)
        assert await ours.refresher.give_up(connected.id, "x" * 5000)
        assert not await ours.refresher.give_up(connected.id, "again")
        assert not await ours.refresher.give_up("nobody", "gone")
        found = await ours.get(connected.id)
        assert (found.status, found.refresh_at) == ("expired", timer.now + row.LATER)
        assert [due async for batch in ours.integrations.overdue(timedelta()) for due in batch] == []
        timer.passes(3700)
        [[due]] = [batch async for batch in ours.integrations.overdue(timedelta())]
        assert due.id == connected.id
        assert (await ours.refresher.refresh(connected.id)).outcome == "refreshed"
        assert (await ours.get(connected.id)).status == "active"


async def test_a_token_under_a_lost_key_is_our_fault_and_the_provider_is_not_asked(
    endpoint: Endpoint, ours: Service
) -> None:
    from lamplighter.integrations.integrations import Integrations
    from lamplighter.integrations.vault import Vault, new_key

    provider = endpoint.provider()
    await ours.registrations.register(provider)
    other = ours._replace(integrations=Integrations(ours.database, Vault.from_text(new_key())))
    connected = await other.connect(provider, "a", "r", life=-1)
    with pytest.raises(UnknownKey):
        await ours.refresher.refresh(connected.id)
    found = await ours.get(connected.id)
    assert (found.status, found.last_outcome, found.locked_until) == ("error", "vault", None)
    assert endpoint.tokens == []
