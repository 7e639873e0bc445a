"""`/failures`: what failed for good lately, in groups; run a group again, at a pace, and watch or stop that."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, get_args

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from lamplighter.app.bulk import count_matching
from lamplighter.core.errors import ConfigError
from lamplighter.core.model import State, Where
from lamplighter.web.action import HOW, Action
from lamplighter.web.actions import COUNTED, FASTEST, MOST
from lamplighter.web.auth import Admission, NoSuchJob
from lamplighter.web.bodies import Name
from lamplighter.web.forms import read_form
from lamplighter.web.given import Given, TheGiven
from lamplighter.web.pages.causes import LOOKED_AT, By, Group, groups
from lamplighter.web.pages.rendering import back, render
from lamplighter.web.roles import Right, needs

LATELY = timedelta(minutes=15)  # for how long an action is shown that is over
MOST_SHOWN = 10  # actions
SAMPLE = 10  # jobs of a group

Fingerprint = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]

router = APIRouter()


@router.get("/failures")
@needs(Right.READ)
async def list_failures(request: Request, admitted: Admission, given: TheGiven, by: By = "cause") -> Response:
    """The groups, the largest first; and what is being done to many jobs."""
    found = await _groups(given, by)
    seen = sum(len(one.jobs) for one in found)
    return render(
        request,
        "failures.html",
        admitted.caller,
        groups=found,
        by=by,
        ways=get_args(By),
        seen=seen,
        is_cut=seen >= LOOKED_AT,
        actions=await _under_way(given),
    )


@router.get("/failures/{by}/{fingerprint}")
@needs(Right.TEND)
async def see_group(
    request: Request, by: By, fingerprint: Fingerprint, admitted: Admission, given: TheGiven
) -> Response:
    """How many would run again, and a form that says how fast."""
    group = await _group(given, by, fingerprint)
    return render(
        request,
        "group.html",
        admitted.caller,
        group=group,
        by=by,
        jobs=group.jobs[:SAMPLE],
        matching=await _count(given, _which(group, by)),
        counted=COUNTED,
        fastest=FASTEST,
    )


@router.post("/failures/{by}/{fingerprint}/retry")
@needs(Right.TEND, notes="failures.retry")
async def retry_group(
    request: Request, by: By, fingerprint: Fingerprint, admitted: Admission, given: TheGiven
) -> Response:
    """Begin to run those again that are in it now."""
    per_second = _per_second((await read_form(request)).get("per_second", ""))
    which = _which(await _group(given, by, fingerprint), by)
    expected = await _count(given, which)
    action = Action.of(
        "retry",
        which,
        by=admitted.caller.user_id,
        now=given.app.clock(),
        limit=MOST,
        per_second=per_second,
        expected=expected if expected <= COUNTED else None,
    )
    admitted.metadata.update(action=action.id, grouped_by=by)
    await given.actions.start(action)
    return back(request, "failures", "under-way", by=by)


@router.post("/actions/{action_id}/stop")
@needs(Right.OPERATE, notes="action.stop")
async def stop(request: Request, action_id: Name, given: TheGiven) -> Response:
    """Have it end after the jobs that it is at."""
    await given.actions.stop(action_id)
    return back(request, "failures", "stopping")


async def _groups(given: Given, by: By) -> list[Group]:
    service = None if given.integrating is None else given.integrating.tokens.service
    return await groups(given.app.store, service, by)


async def _group(given: Given, by: By, fingerprint: str) -> Group:
    for one in await _groups(given, by):
        if one.fingerprint == fingerprint:
            return one
    raise NoSuchJob("no such job has failed (any more): look at the failures again.")


def _which(group: Group, by: By) -> Where:
    """Those of a job are found by its name, though more of them may have failed than were looked at."""
    if by == "job":
        return Where(names=(group.name,), states=(State.FAILED,))
    return Where(ids=tuple(one.id for one in group.jobs), states=(State.FAILED,))


async def _count(given: Given, which: Where) -> int:
    return await count_matching(given.app.store, which, HOW["retry"].among, COUNTED + 1)


async def _under_way(given: Given) -> list[Action]:
    """The newest that go on, or were over a moment ago."""
    since = given.app.clock() - LATELY
    lately = (one for one in await given.actions.all() if (one.ended_at or one.beat_at) > since)
    return list(lately)[:MOST_SHOWN]


def _per_second(text: str) -> int | None:
    if not text.strip():
        return None
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= FASTEST:
        raise ConfigError(f"how many a second is a whole number from 1 to {FASTEST:,}, or left empty: change it.")
    return int(text)
