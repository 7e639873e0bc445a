"""`/tenants`: who has which part of the work, and how much is to be done for each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from lamplighter.app import App
from lamplighter.core.flow_control import TENANT, TenantRule
from lamplighter.core.limit import HEAVIEST
from lamplighter.store.rules import read_rule
from lamplighter.web import answers
from lamplighter.web.answers import Cursor, Limit, Shown
from lamplighter.web.auth import LONGEST_ID, Admission
from lamplighter.web.bodies import PRINTABLE
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import TheApp, given
from lamplighter.web.roles import Right, needs

MOST_LINES = 500  # of each queue whose backlog is told
MOST_QUEUES = 100

Backlog = Mapping[str, Mapping[str, int]]

router = APIRouter()


class ShownTenant(Shown, frozen=True, kw_only=True):
    """A tenant. `name`: if it has one here; `backlog`: its jobs that are to be run, by queue, but for those that wait
    for a limit, and as far as it is among the next 500 of the queue."""

    id: str
    name: str | None
    archived: bool
    weight: int
    backlog: dict[str, int]


class Weight(BaseModel):
    """How many times the turns of a tenant of weight 1."""

    model_config = ConfigDict(extra="forbid")

    weight: Annotated[int, Field(ge=1, le=HEAVIEST)]


@router.get("/tenants")
@needs(Right.READ)
@shows(list[ShownTenant], paged=True)
async def list_tenants(request: Request, app: TheApp, limit: Limit = 100, after: Cursor = "") -> Response:
    """Those that are known, have a weight or have jobs to be run, by id."""
    known = await _known(request, limit, after)
    weights, backlog = await _weights(app), await _backlog(app)
    ids = sorted(one for one in {*known, *weights, *backlog} if one > after)[:limit]
    return answers.page([_shown(one, known.get(one), weights, backlog) for one in ids], limit)


@router.post("/tenants/{tenant_id}/weight")
@needs(Right.OPERATE, notes="tenant.weigh")
@shows()
async def weigh(
    tenant_id: Annotated[str, Path(max_length=LONGEST_ID, pattern=PRINTABLE)],
    weight: Weight,
    admitted: Admission,
    app: TheApp,
) -> Response:
    """How many turns it has, in every queue, from the next claim on."""
    admitted.metadata["weight"] = weight.weight
    await app.weigh(tenant_id, weight.weight)
    return answers.nothing()


async def _known(request: Request, limit: int, after: str) -> dict[str, tuple[str, bool]]:
    """Name, and whether it is archived, of those whose integrations are kept alive."""
    integrating = given(request).integrating
    if integrating is None:
        return {}
    found = await integrating.tokens.service.tenants.page(limit=limit, after=after)
    return {one.id: (one.name, one.archived) for one in found}


async def _weights(app: App[Any]) -> dict[str, int]:
    records = await app.store.records(TENANT, now=app.clock())
    return {one.name: read_rule(one.value, TenantRule).weight for one in records}


async def _backlog(app: App[Any]) -> Backlog:
    """By tenant and queue."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    busy = [one.queue for one in await app.store.stats() if one.queued]
    for queue in busy[:MOST_QUEUES]:
        for share in await app.store.shares(queue, limit=MOST_LINES):
            if share.tenant:
                found[share.tenant][queue] += share.queued
    return found


def _shown(tenant: str, known: tuple[str, bool] | None, weights: Mapping[str, int], backlog: Backlog) -> ShownTenant:
    name, archived = known or (None, False)
    return ShownTenant(
        id=tenant,
        name=name,
        archived=archived,
        weight=weights.get(tenant, 1),
        backlog=dict(backlog.get(tenant, {})),
    )
