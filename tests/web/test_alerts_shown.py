"""Alerts over HTTP: in the API, on the dashboard, as a metric."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import httpx2
import pytest
from tests.web.board import Board
from tests.web.errands import Errands
from tests.web.own_site import OwnSite

from lamplighter.families.alerting.alerting import Alerting
from lamplighter.families.alerting.kinds import Bad
from lamplighter.web.roles import Role

NASTY = "<script>alert('x')</script>"


async def fires(alerting: Alerting, *subjects: str) -> None:
    """As if that had been seen twice, a while apart."""
    rules = [one for one in alerting.rules if one.name == "cron-missed"]
    found = {"cron-missed": [Bad(one, 300, f"Schedule {one} made no job.") for one in subjects]}
    await alerting.board.advance(rules, found, calm=alerting._calm, now=alerting._app.clock())


@pytest.fixture
async def alerting(board: Board) -> AsyncIterator[Alerting]:
    found = board.app.part(Alerting)
    assert found is not None
    async with found.running():
        yield found


async def form(board: Board, path: str, **fields: str) -> httpx2.Response:
    async with httpx2.AsyncClient(timeout=30, trust_env=False) as client:
        headers = {"Caller": "operator", "Content-Type": "application/x-www-form-urlencoded"}
        return await client.post(board.url + path, headers=headers, content=urlencode(fields))


async def test_the_page_shows_what_fires_and_the_overview_names_it(board: Board, alerting: Alerting) -> None:
    await fires(alerting, "a", "b", "c", "d", NASTY)
    page = await board.page("/alerts")
    assert "Schedule a made no job." in page
    assert NASTY not in page
    assert "runbooks/<wbr>cron-<wbr>missed.<wbr>md" in page
    overview = await board.page()
    assert "Alert cron-missed: Schedule a made no job." in overview
    assert "2 more alerts fire." in overview


async def test_where_nobody_looks_the_page_says_so(board: Board) -> None:
    assert "does not look for what is bad" in await board.page("/alerts")


async def test_a_silence_is_made_and_ended_on_the_page(board: Board, alerting: Alerting) -> None:
    await fires(alerting, "a")
    filled = await board.page("/alerts", "operator", rule="cron-missed", subject="a")
    assert 'name="subject" value="a"' in filled
    answer = await form(board, "/alerts/silence", rule="cron-missed", subject="a", lasting="2h", reason="we know")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/queues/alerts?did=silenced")
    page = await board.page("/alerts", "operator")
    assert "we know" in page
    assert "cron-missed: Schedule" not in await board.page()
    [path] = re.findall(r'action="/admin/queues(/alerts/unsilence/[^"]+)"', page)
    assert (await board.post(path)).headers["Location"].endswith("did=unsilenced")
    assert (await board.post(path)).headers["Location"].endswith("did=nothing")


@pytest.mark.parametrize("wrong", [{"reason": ""}, {"lasting": "40d"}, {"lasting": "soon"}, {"rule": ""}])
async def test_what_can_be_no_silence_is_refused(board: Board, alerting: Alerting, wrong: dict[str, str]) -> None:
    fields = {"rule": "late", "subject": "*", "lasting": "2h", "reason": "x"} | wrong
    assert (await form(board, "/alerts/silence", **fields)).status_code == 400


async def test_the_api_shows_alerts_and_takes_silences(own: OwnSite) -> None:
    alerting = own.app.part(Alerting)
    assert alerting is not None
    await fires(alerting, "a")
    async with own.browser(**await own.key(Role.OPERATOR)) as operator:
        found = (await operator.get("/api/v1/alerts")).json()["data"]
        assert found["watched"]
        [alert] = found["active"]
        assert (alert["rule"], alert["state"], alert["silenced"]) == ("cron-missed", "firing", False)
        body = {"rule": "cron-*", "seconds": 60, "reason": "we know"}
        made = await operator.post("/api/v1/alerts/silences", json=body)
        assert made.status_code == 201
        silence = made.json()["data"]
        shown = (await operator.get("/api/v1/alerts")).json()["data"]
        assert (shown["active"][0]["silenced"], shown["silences"]) == (True, [silence])
        path = f"/api/v1/alerts/silences/{silence['id']}"
        assert (await operator.delete(path)).status_code == 204
        assert (await operator.delete(path)).json()["error"]["code"] == "alert/not-found"
        metrics = (await operator.get("/metrics")).text
    assert 'lamplighter_alerts{name="cron-missed",severity="warning"} 1.0' in metrics
    assert 'lamplighter_alerts{name="late",severity="warning"} 0.0' in metrics


async def test_a_viewer_silences_nothing(own: OwnSite) -> None:
    async with own.browser(**await own.key(Role.VIEWER)) as viewer:
        body = {"rule": "*", "seconds": 60, "reason": "quiet"}
        assert (await viewer.post("/api/v1/alerts/silences", json=body)).status_code == 403


async def test_an_app_that_is_alerted_of_nothing_says_so(errands: Errands) -> None:
    found = await errands.ask("operator", "GET", "/alerts")
    assert found.json()["data"] == {"watched": False, "active": [], "recent": [], "silences": []}
    body = {"rule": "*", "seconds": 60, "reason": "quiet"}
    refused = await errands.ask("operator", "POST", "/alerts/silences", json=body)
    assert refused.json()["error"]["code"] == "alert/not-watched"
