"""A small run of bench/outage, and its pure parts. What depends on speed is measured by the bench, not here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from bench.outage import promises
from bench.outage_ledger import Lapse, Ledger, Row, p99
from bench.outage_run import Figures, Plan, play

from lamplighter.cli.stage import Stage
from lamplighter.core.clock import to_us

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SMALL = Plan(integrations=40, lifetime=12, outage=3, workers=2)


@pytest.fixture(params=["one file", "one schema"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    if request.param == "one file":
        return Stage(f"sqlite:///{tmp_path}/outage.db")
    return Stage(request.getfixturevalue("postgres_schema_url"), folder=tmp_path)


@pytest.mark.timeout(300)
async def test_an_outage_spends_no_token_twice_and_a_revoked_grant_is_asked_about_and_told_of_once(
    place: Stage,
) -> None:
    phases = set()
    figures = await play(SMALL, place, lambda what, _done, _total: phases.add(what))
    assert phases == {"connecting", "before the outage", "outage", "after the outage"}
    assert figures.refreshes > SMALL.integrations
    assert figures.turned_away > 0
    assert figures.reuses == 0
    assert (figures.revoked, figures.asked_once, figures.told_once) == (2, 2, 2)


def seen(version: int, issued: float, *, life: float = 100, due: float = 50, status: str = "active") -> Row:
    """Tokens of a version: seconds after noon."""
    issued_at = NOON + timedelta(seconds=issued)
    expires_at, refresh_at = issued_at + timedelta(seconds=life), issued_at + timedelta(seconds=due)
    return Row("i-1", "lantern", version, to_us(issued_at), to_us(expires_at), to_us(refresh_at), status)


def test_a_refresh_is_late_by_what_passed_since_it_was_due() -> None:
    ledger = Ledger()
    for row in (seen(1, 0), seen(1, 0), seen(2, 52), seen(3, 100)):
        ledger.look([row])
    assert [one.lateness.total_seconds() for one in ledger.refreshes] == [2, 0]
    assert (ledger.lapses, ledger.missed) == ([], 0)


def test_tokens_lapse_that_end_before_the_next_are_asked_for_or_without_any() -> None:
    ledger = Ledger()
    for row in (seen(1, 0), seen(2, 101)):
        ledger.look([row])
    ledger.close(NOON + timedelta(seconds=202))
    assert ledger.lapses == [Lapse("lantern", NOON + timedelta(seconds=end)) for end in (100, 201)]


def test_revoked_tokens_do_not_lapse() -> None:
    ledger = Ledger()
    ledger.look([seen(1, 0, status="revoked")])
    ledger.close(NOON + timedelta(hours=1))
    assert (ledger.lapses, ledger.count("revoked")) == ([], 1)


def test_a_refresh_that_no_look_saw_is_told_of() -> None:
    ledger = Ledger()
    for row in (seen(1, 0), seen(3, 150)):
        ledger.look([row])
    assert (ledger.missed, ledger.refreshes, ledger.lapses) == (1, [], [])


def test_p99_is_the_longest_but_for_one_in_a_hundred() -> None:
    assert p99(timedelta(seconds=n) for n in range(1, 101)) == 99
    assert p99([]) == 0


GOOD = Figures(
    refreshes=100,
    missed=0,
    lapsed=0,
    excused=3,
    revoked=5,
    asked_once=5,
    told_once=5,
    p99_lateness=(0.1, 0.2, 1.9),
    turned_away=20,
    turned_away_per_second=0.9,
    reuses=0,
    started_per_second=(1.0, 1.0, 1.0),
    snoozed_per_second=(0.0, 1.0, 0.0),
    cpu_per_second=0.1,
)


def test_a_good_run_keeps_all_promises() -> None:
    assert all(promise.held for promise in promises(GOOD))


@pytest.mark.parametrize(
    "bad",
    [
        {"lapsed": 1},
        {"missed": 1},
        {"asked_once": 4},
        {"told_once": 4},
        {"p99_lateness": (0.1, 2.1, 0.1)},
        {"turned_away_per_second": 1.0},
        {"reuses": 1},
    ],
    ids=lambda bad: next(iter(bad)),
)
def test_a_run_that_is_bad_in_one_respect_breaks_one_promise(bad: dict[str, object]) -> None:
    assert [promise.held for promise in promises(msgspec.structs.replace(GOOD, **bad))].count(False) == 1
