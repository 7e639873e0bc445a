"""What a provider's API is asked, and what its answers say of an integration's health."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.counterparts.drives import TOKEN, GoogleDrive, OneDrive
from tests.counterparts.fault_proxy import Fault, FaultProxy, answer, half, hang_up
from tests.counterparts.fixtures import StartProxy
from tests.integrations.support import Home, Plans, Timer

from lamplighter.core.clock import utcnow
from lamplighter.core.config import Settings
from lamplighter.core.secret import Secret
from lamplighter.integrations.answer import Answer
from lamplighter.integrations.health.checker import Checked, health_of
from lamplighter.integrations.health.health import Health
from lamplighter.integrations.health.healths import RECHECK, RECHECK_ERROR
from lamplighter.integrations.health.span import Seen
from lamplighter.integrations.integration import NewIntegration
from lamplighter.integrations.provider import Provider, load_facts
from lamplighter.integrations.refreshing.outcome import Gone
from lamplighter.integrations.service import Service, open_service
from lamplighter.integrations.tenants import Tenant

HOUR = timedelta(hours=1)


def provider(slug: str, health_url: str, **changes: Any) -> Provider:
    """One that ships, its API elsewhere."""
    facts = msgspec.structs.replace(load_facts()[slug], health_url=health_url, **changes)
    return facts.with_client("client", Secret("client-secret"))


async def connect(service: Service, at: Provider, token: Secret = TOKEN, *, life: float = 3600) -> str:
    now = utcnow()
    await service.registrations.register(at)
    await service.tenants.add([Tenant(id="t-1", name="Copper Bakery", owner_id="auth|1")])
    new = NewIntegration(
        tenant_id="t-1",
        provider_slug=at.slug,
        access_token=token,
        refresh_token=Secret("r"),
        issued_at=now - HOUR,
        expires_at=now + timedelta(seconds=life),
    )
    return (await service.integrations.connect(new)).id


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with open_service(Settings(store=f"sqlite:///{tmp_path}/lamplighter.db"), Plans()) as opened:
        yield opened


@pytest.fixture
async def proxy(google_drive: GoogleDrive, start_proxy: StartProxy) -> FaultProxy:
    return await start_proxy(google_drive.url)


@pytest.mark.parametrize(
    ("slug", "status", "body", "health"),
    [
        ("gdrive", 200, {"user": {}}, "healthy"),
        ("gdrive", 401, {"error": {"errors": [{"reason": "authError"}], "code": 401}}, "unauthorized"),
        ("gdrive", 403, {"error": {"errors": [{"reason": "userRateLimitExceeded"}]}}, "error"),
        ("gdrive", 403, {"error": {"errors": [{"reason": "insufficientPermissions"}]}}, "expired"),
        ("dropbox", 401, {"error_summary": "x/", "error": {".tag": "expired_access_token"}}, "expired"),
        ("dropbox", 401, {"error": {".tag": "invalid_access_token"}}, "unauthorized"),
        ("dropbox", 401, {"error": {".tag": "user_suspended"}}, "unauthorized"),
        ("dropbox", 429, {"error": {".tag": "too_many_requests"}}, "error"),
        ("onedrive", 401, {"error": {"code": "InvalidAuthenticationToken"}}, "unauthorized"),
        ("onedrive", 503, {"error": {"code": "serviceNotAvailable"}}, "error"),
        ("box", 401, {"code": "unauthorized"}, "unauthorized"),
        ("box", 401, None, "unauthorized"),
        ("github", 200, {"login": "ada"}, "healthy"),
        ("github", 404, {"message": "Not Found"}, "error"),
        ("slack", 200, {"ok": True}, "healthy"),
        ("slack", 200, {"ok": False, "error": "token_revoked"}, "unauthorized"),
        ("slack", 200, {"ok": False, "error": "token_expired"}, "expired"),
        ("slack", 200, {"ok": False, "error": "ratelimited"}, "error"),
        ("slack", 200, {"ok": False, "error": "something_new"}, "error"),
    ],
)
def test_each_provider_says_it_in_its_own_words(
    slug: str, status: int, body: dict[str, Any] | None, health: Health
) -> None:
    assert health_of(provider(slug, "https://api.example/me"), Answer(status, "", body)) == health


def test_a_403_that_asks_to_wait_is_no_verdict_on_the_token() -> None:
    assert health_of(provider("github", "https://api.example/me"), Answer(403, "60", None)) == "error"


async def test_a_drive_that_takes_the_token_is_healthy(
    service: Service, google_drive: GoogleDrive, onedrive: OneDrive
) -> None:
    for at in (provider("gdrive", google_drive.health_url), provider("onedrive", onedrive.health_url)):
        checked = await service.checker.check(await connect(service, at))
        assert (checked.seen.health, checked.seen.message, checked.rejected) == ("healthy", None, None)
        assert checked.seen.latency_ms is not None


async def test_a_drive_that_refuses_the_token_says_which_one_to_replace(
    service: Service, google_drive: GoogleDrive, onedrive: OneDrive
) -> None:
    for at in (provider("gdrive", google_drive.health_url), provider("onedrive", onedrive.health_url)):
        checked = await service.checker.check(await connect(service, at, Secret("spoilt")))
        assert (checked.seen.health, checked.rejected) == ("unauthorized", 1)
        assert checked.seen.message
        assert "answered 401" in checked.seen.message


async def test_a_token_whose_time_is_over_is_expired_and_nobody_is_asked(service: Service, proxy: FaultProxy) -> None:
    checked = await service.checker.check(await connect(service, provider("gdrive", f"{proxy.url}/me"), life=-1))
    assert (checked.seen.health, checked.seen.latency_ms, checked.rejected) == ("expired", None, 1)
    assert proxy.seen() == []


@pytest.mark.parametrize("fault", [answer(500), answer(429, retry_after=60), answer(404), half, hang_up])
async def test_what_says_nothing_of_the_token_is_an_error_and_no_reason_to_refresh(
    service: Service, proxy: FaultProxy, google_drive: GoogleDrive, fault: Fault
) -> None:
    connected = await connect(service, provider("gdrive", proxy.url_for(google_drive.health_url)))
    proxy.meet("/", fault)
    checked = await service.checker.check(connected)
    assert (checked.seen.health, checked.rejected) == ("error", None)


async def test_an_api_that_is_down_is_left_alone_while_its_token_endpoint_is_not(
    service: Service, proxy: FaultProxy, google_drive: GoogleDrive
) -> None:
    connected = await connect(service, provider("gdrive", proxy.url_for(google_drive.health_url)))
    proxy.meet("/", answer(503, retry_after=60), count=None)
    found = [await service.checker.check(connected) for _ in range(20)]
    assert {one.seen.health for one in found} == {"error"}
    assert "was not asked" in str(found[-1].seen.message)
    assert len(proxy.seen()) == 1
    assert service.refresher._gates.shut_for(await service.registrations.get("gdrive")) is None


async def test_what_cannot_be_checked_says_why(service: Service, google_drive: GoogleDrive) -> None:
    with pytest.raises(Gone, match="no integration 'i-0'"):
        await service.checker.check("i-0")
    at = msgspec.structs.replace(provider("gdrive", google_drive.health_url), health_url=None)
    with pytest.raises(Gone, match="give it a health_url"):
        await service.checker.check(await connect(service, at))


async def test_the_providers_words_are_kept_without_the_token(service: Service, proxy: FaultProxy) -> None:
    token = "a-token-" + "x" * 40
    connected = await connect(service, provider("gdrive", f"{proxy.url}/me"), Secret(token))
    proxy.meet("/", answer(401, {"error": {"message": f"bad token {token}\nsee <b>log</b>", "code": "x"}}))
    message = (await service.checker.check(connected)).seen.message
    assert message == "Google Drive answered 401: bad token [REDACTED] see <b>log</b>."


class Board:
    """A service on a clock that stands still, with one integration that nobody asks anything."""

    def __init__(self, service: Service, timer: Timer, integration: str) -> None:
        self.service = service
        self.timer = timer
        self.integration = integration

    async def note(self, health: Health, message: str | None = None, latency_ms: int | None = 10) -> None:
        await self.service.healths.note(self.integration, Seen(health, message, latency_ms))

    async def due(self) -> list[tuple[str, bool]]:
        """Those due now, who are then seen to."""
        due = await self.service.healths.due()
        await self.service.healths.moved(due)
        return [(one.integration_id, one.is_checkable) for one in due]

    async def due_in(self) -> timedelta:
        view = await self.service.healths.get(self.integration)
        assert view is not None
        assert view.due_at is not None
        return view.due_at - self.timer.now


@pytest.fixture
async def board(home: Home) -> AsyncIterator[Board]:
    timer = Timer()
    async with open_service(Settings(store=home.url, folder=home.folder), Plans(), clock=timer) as service:
        connected = await connect(service, provider("gdrive", "https://api.example/me"))
        yield Board(service, timer, connected)


async def test_a_new_integration_is_placed_first_and_checked_when_its_moment_comes(board: Board) -> None:
    assert await board.due() == [(board.integration, False)]
    assert await board.due() == []
    left = await board.due_in()
    assert timedelta() < left <= 4 * HOUR
    board.timer.passes(left.total_seconds())
    assert await board.due() == [(board.integration, True)]
    assert await board.due_in() == 4 * HOUR


async def test_how_often_is_the_tenants_choice_before_the_providers(board: Board) -> None:
    assert await board.service.tenants.check_every("t-1", HOUR)
    await board.due()
    assert await board.due_in() <= HOUR
    at = await board.service.registrations.get("gdrive")
    await board.service.registrations.register(msgspec.structs.replace(at, health_interval=600))
    await board.service.tenants.check_every("t-1", None)
    board.timer.passes(HOUR.total_seconds())
    await board.due()
    assert await board.due_in() <= timedelta(minutes=10)


async def test_what_is_not_connected_is_not_checked(board: Board) -> None:
    await board.due()
    await board.service.disconnecting.disconnect(board.integration)
    board.timer.passes(4 * HOUR.total_seconds())
    assert await board.due() == [(board.integration, False)]


async def test_checks_of_one_kind_are_one_span(board: Board) -> None:
    for _ in range(3):
        board.timer.passes(60)
        await board.note("healthy", latency_ms=30)
    view = await board.service.healths.get(board.integration)
    assert view is not None
    assert (view.health, view.last_checked, view.latency_ms) == ("healthy", board.timer.now, 30)
    found = await board.service.healths.history(board.integration)
    assert (found.uptime, found.checks, found.mean_latency_ms, found.incidents) == (1, 3, 30, ())


async def test_what_was_found_wrong_is_looked_at_again_soon_but_once(board: Board) -> None:
    await board.due()
    await board.note("unauthorized", "refused")
    assert await board.due_in() == RECHECK
    board.timer.passes(RECHECK.total_seconds())
    await board.due()
    regular = await board.due_in()
    await board.note("unauthorized", "refused")
    assert await board.due_in() == regular


async def test_what_could_not_be_found_out_is_looked_at_again_within_a_quarter_of_an_hour(board: Board) -> None:
    await board.due()
    await board.note("error", "down")
    assert timedelta() < await board.due_in() <= RECHECK_ERROR


async def test_a_check_is_never_sent_to_a_redirect(service: Service, proxy: FaultProxy) -> None:
    connected = await connect(service, provider("gdrive", f"{proxy.url}/me"))
    proxy.meet("/me", answer(302))
    checked: Checked = await service.checker.check(connected)
    assert checked.seen.health == "error"
    assert [request.path for request in proxy.seen()] == ["/me"]
