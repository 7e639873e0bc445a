"""What a web process shows to Prometheus, and to whom."""

from __future__ import annotations

import sys

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.web.site import AT, Site

from lamplighter import Ctx
from lamplighter.demo.world import World
from lamplighter.web.api import metrics


async def page(site: Site, who: str | None) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.get(f"{site.url}{AT}/metrics", headers={} if who is None else {"Caller": who})


def values(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_the_store_is_shown_as_it_is(site: Site, world: World) -> None:
    app = site.inside.app

    @app.job(queue="mail")
    async def send(ctx: Ctx[None]) -> None: ...

    await app.enqueue([send.draft(), send.draft()])
    await app.pause("mail")
    await site.connect(world.url)
    answer = await page(site, "viewer")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    found = values(answer.text)
    assert found["lamplighter_jobs", "mail", "queued"] == 2
    assert found["lamplighter_queue_paused", "mail"] == 1
    assert found["lamplighter_queue_workers", "mail"] == 0
    assert found["lamplighter_integrations", "active"] == 1
    assert 0 < found["lamplighter_integration_nearest_expiry_seconds",] <= 3600
    assert found["lamplighter_provider_down", "lantern-drive"] == 0
    assert found["lamplighter_integrations_lapsing", "lantern-drive"] == 0
    assert found["lamplighter_store_operation_seconds_count", "add"] >= 1


@pytest.mark.parametrize(("who", "status"), [(None, 401), ("owner", 403), ("operator", 200), ("superadmin", 200)])
async def test_it_is_for_whoever_may_look_at_everything(site: Site, who: str | None, status: int) -> None:
    assert (await page(site, who)).status_code == status


async def test_however_often_it_is_asked_the_store_is_looked_at_once_in_a_while(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "GOOD_FOR", 60)
    for _ in range(5):
        assert (await page(site, "viewer")).status_code == 200
    found = values((await page(site, "viewer")).text)
    assert found["lamplighter_store_operation_seconds_count", "gates"] == 1


async def test_without_the_extra_it_says_what_to_install(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lamplighter.observe.exposing", None)
    answer = await page(site, "viewer")
    assert (answer.status_code, answer.json()["error"]["code"]) == (501, "server/not-installed")
    assert "pip install 'lamplighter[metrics]'" in answer.json()["error"]["message"]
