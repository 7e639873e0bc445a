from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from lamplighter.core.events import Event
from lamplighter.demo.watch import Watch
from lamplighter.integrations.integration import Integration

NOON = datetime(2027, 3, 4, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


class Looks:
    """One integration, looked at again and again; its first tokens live from 0 to 30."""

    def __init__(self) -> None:
        self.now = NOON
        self.watch = Watch(clock=lambda: self.now)
        self.integration = Integration(
            id="i-1",
            tenant_id="t-1",
            provider_slug="lantern-drive",
            has_access_token=True,
            has_refresh_token=True,
            token_version=1,
            issued_at=NOON,
            expires_at=at(30),
            refresh_at=at(12),
            scopes=(),
            status="active",
            status_reason=None,
            status_changed_at=NOON,
            connected_at=NOON,
            last_refreshed_at=None,
            last_outcome=None,
            outages=0,
            locked_until=None,
            metadata={},
            created_at=NOON,
            updated_at=NOON,
        )

    def look(self, seconds: float, **changes: Any) -> list[str]:
        """What changed by then."""
        self.now = at(seconds)
        self.integration = msgspec.structs.replace(self.integration, **changes)
        return [what for _, what in self.watch.look([self.integration])]

    def refreshed(self, seconds: float, issued: float) -> list[str]:
        version = self.integration.token_version + 1
        return self.look(seconds, token_version=version, issued_at=at(issued), expires_at=at(issued + 30))


def test_a_refresh_in_time_is_counted_and_is_no_lapse() -> None:
    looks = Looks()
    assert looks.look(0) == []
    assert looks.look(12) == []
    assert looks.refreshed(12.5, issued=12.1) == ["refreshed"]
    assert looks.refreshed(30.5, issued=29.9) == ["refreshed"]
    summary = looks.watch.summary()
    assert (summary.integrations, summary.refreshed, summary.lapsed) == (1, 2, 0)


def test_what_was_refreshed_before_the_watch_began_is_not_counted() -> None:
    looks = Looks()
    looks.look(0, token_version=41)
    assert looks.watch.summary().refreshed == 0


def test_tokens_that_ended_without_others_are_one_lapse_however_often_they_are_looked_at() -> None:
    looks = Looks()
    looks.look(0)
    assert looks.look(30) == []  # they live until then
    assert looks.look(30.5, outages=1) == ["provider is down, its tokens have lapsed"]
    assert looks.look(31) == []
    assert looks.refreshed(40, issued=39.8) == ["refreshed"]
    assert looks.watch.summary().lapsed == 1
    assert looks.look(70) == ["its tokens have lapsed"]
    assert looks.watch.summary().lapsed == 2


def test_a_lapse_that_is_over_before_the_next_look_is_seen_all_the_same() -> None:
    looks = Looks()
    looks.look(29.9)
    assert looks.refreshed(30.4, issued=30.2) == ["refreshed, its tokens have lapsed"]
    assert looks.watch.summary().lapsed == 1


def test_tokens_asked_for_in_time_are_no_lapse_though_they_are_seen_late() -> None:
    looks = Looks()
    looks.look(29.5)
    assert looks.refreshed(30.4, issued=29.9) == ["refreshed"]
    assert looks.watch.summary().lapsed == 0


def test_a_withdrawn_grant_is_revoked_and_never_lapses() -> None:
    looks = Looks()
    looks.look(0)
    assert looks.look(12, status="revoked", status_reason="The user did it.") == ["revoked: The user did it"]
    looks.look(99)
    summary = looks.watch.summary()
    assert (summary.revoked, summary.lapsed, summary.failed) == (1, 0, 0)


def test_tokens_that_never_end_never_lapse() -> None:
    looks = Looks()
    looks.look(0, expires_at=None)
    looks.look(1e6)
    assert looks.watch.summary().lapsed == 0


def test_an_integration_that_cannot_be_refreshed_for_our_fault_has_failed() -> None:
    looks = Looks()
    looks.look(0)
    assert looks.look(12, status="error", status_reason=None) == ["error"]
    assert looks.watch.summary().failed == 1


def test_lateness_is_that_of_the_slowest_but_one_in_a_hundred() -> None:
    watch = Watch()
    assert watch.summary().p99_lateness_ms == 0
    for late in range(1, 201):
        watch.hear(started(float(late)))
    watch.hear(started(-5.0))
    watch.hear(started(9999.0, name="tokens.reconcile"))
    assert watch.summary().p99_lateness_ms == 198


def started(late_ms: float, name: str = "tokens.refresh") -> Event:
    return Event(kind="started", job="j-1", at=NOON, name=name, queue="tokens", tenant=None, late_ms=late_ms)
