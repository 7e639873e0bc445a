"""The API's description of itself: complete, true, and the same as the reference."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema_rs
import pytest
from tests.families.running import TENANT
from tests.web.filed import Filed, add_source, fill
from tests.web.reference import rows
from tests.web.rolled import rolled_up
from tests.web.site import API, Site

from lamplighter import Ctx
from lamplighter.core.clock import utcnow
from lamplighter.families.alerting.alerting import Alerting
from lamplighter.integrations.auditing.holds import Holds
from lamplighter.integrations.integration import Integration

C = Ctx[None]


class Operation(NamedTuple):
    path: str
    method: str
    says: dict[str, Any]

    @property
    def successes(self) -> dict[str, Any]:
        """What it may answer when all goes well."""
        return {status: answer for status, answer in self.says["responses"].items() if status[0] in "23"}


async def described(site: Site) -> dict[str, Any]:
    answer = await site.ask(None, "GET", "/openapi.json")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    return dict(answer.json())


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, says in methods.items():
            yield Operation(path, method, says)


def refuses(document: dict[str, Any], schema: dict[str, Any], value: object) -> str | None:
    """Why the schema does not allow this."""
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "components": document["components"], **schema}
    return next((str(error) for error in jsonschema_rs.validator_for(whole).iter_errors(value)), None)


async def test_the_description_is_for_everybody_and_says_where_the_api_is_mounted(site: Site) -> None:
    document = await described(site)
    assert (document["openapi"][:3], document["info"]["title"]) == ("3.1", "Lamplighter")
    assert document["servers"] == [{"url": "/cloud"}]
    assert document["components"]["securitySchemes"]["bearer"] == {"type": "http", "scheme": "bearer"}
    jsonschema_rs.meta.validate(document["components"]["schemas"]["ShownJob"])


async def test_every_operation_has_a_summary_and_an_id_of_its_own(site: Site) -> None:
    all_ = list(operations(await described(site)))
    assert all(one.says["summary"] and one.says["description"] for one in all_)
    ids = [one.says["operationId"] for one in all_]
    assert len(set(ids)) == len(ids) >= 30


async def test_every_operation_says_what_it_answers_with_examples_that_are_valid(site: Site) -> None:
    document = await described(site)
    for one in operations(document):
        assert one.successes, one
        assert "default" in one.says["responses"], one
        for status, answer in one.says["responses"].items():
            for media, content in answer.get("content", {}).items():
                if media != "text/plain":
                    assert refuses(document, content["schema"], content["example"]) is None, (one, status)


async def test_what_may_be_absent_or_refused_is_said(site: Site) -> None:
    for one in operations(await described(site)):
        is_public = one.says.get("security") == []
        assert ({"401", "403"} <= one.says["responses"].keys()) is not is_public, one
        if "{" in one.path:
            assert {"400", "404"} <= one.says["responses"].keys(), one


@pytest.fixture
async def ids(site: Site, connected: Integration) -> AsyncIterator[dict[str, str]]:
    """Names of things that are there."""
    app = site.inside.app

    @app.job("report", queue="reports")
    async def report(ctx: C) -> dict[str, int]:
        return {"pages": 3}

    app.cron("0 3 * * *", report.using(tenant=TENANT).draft(), name="nightly")
    app.limit("drive", running=2)
    await app.gates.open("drive:a")
    handle = await report.using(tenant=TENANT).enqueue()
    alerting = Alerting(app, site.inside.tokens)
    silence = await alerting.board.silence("*", "*", timedelta(hours=1), reason="known", user_id="auth|5")
    hold = await Holds(site.service.database).place("t-1", "queue.*", reason="known")
    action = await site.ask("superadmin", "POST", "/jobs/bulk", BODIES["bulk.do_to_many"] | {"preview": False})
    source = await add_source(site.service, TENANT)
    [file] = await fill(site.service, source, [Filed("buns.txt", "cinnamon")])
    names = {
        "tenant_id": TENANT,
        "integration_id": connected.id,
        "job_id": handle.id,
        "name": "nightly",
        "queue": "reports",
        "key": "drive:a",
        "notice_id": "n-0",
        "event": "integration.revoked",
        "silence_id": silence.id,
        "archive_id": "a-0",
        "hold_id": hold.id,
        "action_id": action.json()["data"]["id"],
        "source_id": source.id,
        "file_id": str(file),
        "metric": "jobs.failed",
    }
    async with rolled_up(app, site.inside.tokens):
        yield names


NOT_NOW = {  # no occasion: nothing is archived, the job is done, the worker has to stay, the family is not there
    "audit_archives.restore",
    "bulk.stop",
    "callback.callback",
    "job_actions.cancel",
    "job_actions.promote",
    "upkeep.run",
    "workers.drain",
}
TODAY = {"since": f"{utcnow() - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}", "until": f"{utcnow():%Y-%m-%dT%H:%M:%SZ}"}
BODIES: dict[str, Any] = {
    "analytics.backfill": TODAY,
    "analytics.refill": TODAY,
    "analytics.live_in": {"timeZone": "Europe/Berlin"},
    "alerts.silence": {"rule": "late", "seconds": 60, "reason": "known"},
    "audit_archives.restore": {"seconds": 60},
    "audit_keeping.place": {"reason": "known"},
    "audit_keeping.set_rule": {"archiveAfter": 86_400, "destroyAfter": None},
    "limits.penalize": {"seconds": 1},
    "preferences.prefer": {"muted": True},
    "templates.set_template": {"subject": "Gone"},
    "tenants.weigh": {"weight": 2},
    "upkeep.run": {"tasks": ["check"], "minutes": 5},
    "bulk.do_to_many": {"action": "retry", "where": {"names": ["nothing"]}, "preview": True},
    "bulk.purge": {"confirm": "reports"},
    "enqueue.edit": {"priority": "high"},
    "enqueue.enqueue": {"name": "report", "options": {"tenant": TENANT}},
    "enqueue.enqueue_batch": {"jobs": [{"name": "report", "options": {"tenant": TENANT}}]},
    "connections.connect": {"provider": "lantern-drive", "return_to": "/"},
    "file_sources.add": {
        "kind": "webdav",
        "name": "Attic",
        "place": "https://dav.example.com/attic/",
        "credentials": {"user": "ada", "password": "lovelace"},
    },
}


QUERIES = {"jobs.search_jobs": "?args=x", "files.search": "?q=cinnamon"}


async def test_what_is_answered_is_what_was_said(site: Site, ids: dict[str, str]) -> None:
    """Every operation, with things that are there and with things that are not."""
    document = await described(site)
    answered = set()
    async with site.inside.app.worker():
        for who in ("service", "superadmin", "viewer", "owner", None):
            for absent in (False, True):
                job = await site.inside.app.job_named("report").using(tenant=TENANT).enqueue()  # the last was deleted
                names = dict.fromkeys(ids, "nothing") if absent else ids | {"job_id": job.id}
                for one in sorted(operations(document), key=lambda one: one.method == "delete"):
                    answer = await answer_to(site, who, one, names)
                    answered |= {one.says["operationId"]} if answer.is_success else set()
                    said = one.says["responses"]
                    expected = said.get(str(answer.status_code)) or said["default"]
                    assert answer.status_code < 500 or one.says["operationId"] == "connections.connect", answer.text
                    if content := expected.get("content", {}).get(answer.headers.get("Content-Type", "")):
                        assert refuses(document, content["schema"], answer.json()) is None, (one, answer.text)
    never = {one.says["operationId"] for one in operations(document)} - answered
    assert never <= NOT_NOW


async def answer_to(site: Site, who: str | None, one: Operation, names: dict[str, str]) -> Any:
    path = one.path.removeprefix("/api/v1").format(**names) + QUERIES.get(one.says["operationId"], "")
    if not one.path.startswith("/api/v1"):
        path = f"{site.url}{API.removesuffix('/api/v1')}{one.path}"
    return await site.glance(who, one.method, path, BODIES.get(one.says["operationId"]))


async def test_the_reference_has_every_operation_as_it_is_described(site: Site) -> None:
    text = (Path(__file__).parents[2] / "docs/reference/http-api.md").read_text()
    told = [
        line for line in text.splitlines() if line.startswith(("| `GET", "| `POST", "| `DELETE", "| `PUT", "| `PATCH"))
    ]
    assert told == rows(await described(site))
