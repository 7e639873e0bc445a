"""What people do to jobs and queues over HTTP is in the audit log, where the app has one."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from tests.families.running import TENANT
from tests.web.site import Site, told

from lamplighter.core.clock import to_us
from lamplighter.core.ids import new_id
from lamplighter.core.model import NewJob
from lamplighter.web.roles import needs_of


async def a_job(site: Site, delay: float = 0) -> str:
    store, now = site.inside.app.store, site.inside.app.clock()
    run_at = now.replace(year=2190) if delay else now
    job = NewJob(id=new_id(to_us(now)), name="dust", queue="dust", run_at=run_at, tenant=TENANT)
    await store.add([job], now=now)
    return job.id


@pytest.mark.parametrize("verb", ["retry", "promote", "cancel", "delete"])
async def test_what_is_done_to_a_job_is_noted_for_its_tenant(site: Site, verb: str) -> None:
    id_ = await a_job(site, delay=60)
    method, path = ("DELETE", "") if verb == "delete" else ("POST", f"/{verb}")
    assert (await site.ask("operator", method, f"/jobs/{id_}{path}")).is_success
    [record] = await site.records(f"job.{verb}")
    assert (record.resource_type, record.resource_id, record.tenant_id) == ("job", id_, TENANT)
    assert (record.user_id, record.result, record.details["method"]) == ("auth|5", "success", method)


async def test_what_was_refused_is_noted_with_its_reason(site: Site) -> None:
    id_ = await a_job(site)
    assert (await site.ask("owner", "POST", f"/jobs/{id_}/promote")).status_code == 409
    [record] = await site.records("job.promote")
    assert (record.result, record.user_id) == ("failure", "auth|1")
    assert (record.error_message or "").startswith("it is in line already")


async def test_what_is_done_to_a_queue_is_noted(site: Site) -> None:
    await a_job(site)
    assert (await site.ask("operator", "POST", "/queues/dust/pause")).is_success
    assert (await site.ask("operator", "POST", "/queues/dust/resume")).is_success
    for verb in ("pause", "resume"):
        [record] = await site.records(f"queue.{verb}")
        assert (record.resource_type, record.resource_id, record.tenant_id) == ("queue", "dust", None)


async def test_an_action_is_noted_with_what_it_is_about(site: Site) -> None:
    await a_job(site)
    _, begun = told(await site.ask("operator", "POST", "/queues/dust/purge", {"confirm": "dust"}))
    [record] = await site.records("queue.purge")
    assert (record.resource_type, record.resource_id) == ("queue", "dust")
    assert record.details["metadata"] == {"action": begun["id"], "deed": "purge", "where": {"queues": ["dust"]}}
    wish = {"action": "retry", "where": {"states": ["done"], "ids": [await a_job(site)]}}
    _, begun = told(await site.ask("operator", "POST", "/jobs/bulk", wish))
    [record] = await site.records("jobs.bulk")
    assert (record.resource_type, record.resource_id) == ("jobs", "many")
    assert record.details["metadata"] == {
        "action": begun["id"],
        "deed": "retry",
        "where": {"states": ["done"], "ids": 1},
    }
    await site.ask("operator", "POST", "/actions/a-0/stop")
    assert [record.result for record in await site.records("action.stop")] == ["failure"]


UNNOTED = {  # what programs do all day, what is noted where it is done, and what only a reader's own page shows
    "/jobs",
    "/jobs/batch",
    "/tenants/{tenant_id}/integrations/connect",
    "/tenants/{tenant_id}/notifications/{notice_id}/read",
    "/tenants/{tenant_id}/notifications/read",
    "/tenants/{tenant_id}/notifications/events/{event}",
    "/tenants/{tenant_id}/notification-preferences/{event}",
    "/tenants/{tenant_id}/notification-templates/{event}",
}


@pytest.mark.parametrize("module", ["lamplighter.web.app", "lamplighter.web.dashboard"])
def test_whatever_changes_something_is_noted(module: str) -> None:
    composed: Any = import_module(module)
    nouns = (*composed.NOUNS, *composed.WITH_INTEGRATIONS)
    changing = [route for noun in nouns for route in noun.router.routes if route.methods != {"GET"}]
    assert len(changing) >= 10
    for route in changing:
        needs = needs_of(route.endpoint)
        assert needs is not None
        assert (needs.notes is None) == (route.path in UNNOTED), route.path
