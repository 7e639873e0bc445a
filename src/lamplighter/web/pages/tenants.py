"""`/tenants`: how many turns each has, and whose jobs wait."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from lamplighter.core.flow_control import TENANT, TenantRule
from lamplighter.integrations.tenants import Tenant
from lamplighter.store.rules import read_rule
from lamplighter.web.answers import Cursor
from lamplighter.web.auth import Admission
from lamplighter.web.given import TheApp, given
from lamplighter.web.pages.rendering import render
from lamplighter.web.roles import Right, needs

LINES = 100  # of each queue
PAGE = 100

router = APIRouter()


@router.get("/tenants")
@needs(Right.READ)
async def list_tenants(
    request: Request, admitted: Admission, app: TheApp, after: Annotated[Cursor, Query()] = ""
) -> Response:
    """Those that have jobs in line or a weight, and (with integrations) all that are known."""
    store, now = app.store, app.clock()
    queues = [one.queue for one in await store.stats() if one.queued]
    lines = await asyncio.gather(*(store.shares(queue, limit=LINES) for queue in queues))
    in_line = Counter[str]()
    for share in (share for some in lines for share in some):
        in_line[share.tenant] += share.queued
    weights = {one.name: read_rule(one.value, TenantRule).weight for one in await store.records(TENANT, now=now)}
    known = await _known(request, after)
    names = {one.id: one for one in known}
    shown = sorted({*in_line, *weights, *names} - {""}) if not after else sorted(names)
    return render(
        request,
        "tenants.html",
        admitted.caller,
        tenants=[
            {"id": one, "known": names.get(one), "in_line": in_line[one], "weight": weights.get(one, 1)}
            for one in shown
        ],
        next=known[-1].id if len(known) == PAGE else None,
        has_integrations=given(request).integrating is not None,
    )


async def _known(request: Request, after: str) -> list[Tenant]:
    found = given(request).integrating
    return [] if found is None else await found.tokens.service.tenants.page(limit=PAGE, after=after)
