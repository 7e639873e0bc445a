"""`POST /jobs/bulk` and `/actions`: the same done to many jobs, in the background."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from lamplighter.app.bulk import count_matching
from lamplighter.core.errors import ConfigError
from lamplighter.core.model import State, Where
from lamplighter.web import answers
from lamplighter.web.action import HOW, Action, Deed, Standing
from lamplighter.web.actions import COUNTED, FASTEST, MOST
from lamplighter.web.answers import Cursor, Limit, Shown
from lamplighter.web.auth import Admission, Admitted
from lamplighter.web.bodies import Body, Queue, Text
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import Given, TheGiven
from lamplighter.web.roles import Right, needs

Some = Annotated[tuple[Text, ...], Field(max_length=50)]

router = APIRouter()


class Which(Body):
    """Which jobs: every filter that is not empty must match. `parents`: the children of these."""

    ids: Annotated[tuple[Text, ...], Field(max_length=500)] = ()
    queues: Some = ()
    names: Some = ()
    tenants: Some = ()
    states: Annotated[tuple[State, ...], Field(max_length=len(State))] = ()
    parents: Some = ()


class Wish(Body):
    """What to do to them. `per_second`: how many jobs are run again each second, for what they call to keep up."""

    action: Literal["retry", "cancel", "delete"]
    where: Which
    limit: Annotated[int, Field(ge=1, le=MOST)] = MOST
    preview: bool = False
    per_second: Annotated[int | None, Field(ge=1, le=FASTEST)] = None


class Confirmation(Body):
    """The name of the queue once more: this takes all of its jobs, and cannot be undone."""

    confirm: Text


class ShownWhere(Shown, frozen=True, kw_only=True):
    """Which jobs it is about."""

    ids: tuple[str, ...]
    queues: tuple[str, ...]
    names: tuple[str, ...]
    tenants: tuple[str, ...]
    states: tuple[State, ...]
    parents: tuple[str, ...]


class ShownCount(Shown, frozen=True, kw_only=True):
    """A preview. `is_more`: there are at least so many, and more were not counted."""

    matching: int
    is_more: bool


class ShownAction(Shown, frozen=True, kw_only=True):
    """An action. `matched`: the jobs that it has come by so far; `done`: those of them that it was done to; `expected`:
    how many there were before it began, where that was counted."""

    id: str
    action: Deed
    where: ShownWhere
    limit: int
    per_second: int | None
    by: str
    state: Standing
    expected: int | None
    matched: int
    done: int
    started_at: datetime
    ended_at: datetime | None
    reason: str | None


@router.post("/jobs/bulk")
@needs(Right.OPERATE, notes="jobs.bulk")
@shows(ShownCount, also={202: ShownAction})
async def do_to_many(wish: Wish, admitted: Admission, given: TheGiven) -> Response:
    """202 with an action to look at; a preview only counts, up to 10,000."""
    where = _where(wish.where)
    if wish.preview:
        admitted.metadata.update(preview=True, where=where.told())
        matching = await count_matching(given.app.store, where, HOW[wish.action].among, min(wish.limit, COUNTED + 1))
        return answers.data(ShownCount(matching=min(matching, COUNTED), is_more=matching > COUNTED))
    if wish.per_second is not None and wish.action != "retry":
        raise ConfigError("perSecond is how many jobs are run again each second: leave it out.")
    return await _start(admitted, given, wish.action, where, limit=wish.limit, per_second=wish.per_second)


@router.post("/queues/{queue}/purge")
@needs(Right.OPERATE, notes="queue.purge")
@shows(ShownAction, status=202)
async def purge(queue: Queue, confirmation: Confirmation, admitted: Admission, given: TheGiven) -> Response:
    """Cancel all that waits in the queue; 202 with an action to look at. What runs goes on."""
    if confirmation.confirm != queue:
        raise ConfigError("this cancels all that waits in the queue: confirm it with the name of the queue.")
    return await _start(admitted, given, "purge", Where(queues=(queue,)))


@router.get("/actions")
@needs(Right.READ)
@shows(list[ShownAction], paged=True)
async def list_actions(given: TheGiven, limit: Limit = 100, before: Cursor = "") -> Response:
    """Those of the last day, the newest first; go on with `before` = `next`."""
    found = [one for one in await given.actions.all() if not before or one.id < before]
    return answers.page([_shown(one) for one in found[:limit]], limit)


@router.get("/actions/{action_id}")
@needs(Right.READ)
@shows(ShownAction)
async def get_action(action_id: str, given: TheGiven) -> Response:
    """One of them."""
    return answers.data(_shown(await given.actions.get(action_id)))


@router.post("/actions/{action_id}/stop")
@needs(Right.OPERATE, notes="action.stop")
@shows(ShownAction, status=202)
async def stop(action_id: str, given: TheGiven) -> Response:
    """Have it end after the jobs that it is at; 202, for that may take a moment."""
    return answers.data(_shown(await given.actions.stop(action_id)), status=202)


async def _start(
    admitted: Admitted, given: Given, deed: Deed, where: Where, *, limit: int = MOST, per_second: int | None = None
) -> Response:
    caller = admitted.caller.user_id
    action = Action.of(deed, where, by=caller, now=given.app.clock(), limit=limit, per_second=per_second)
    admitted.metadata.update(action=action.id, deed=deed, where=where.told())
    await given.actions.start(action)
    return answers.data(_shown(action), status=202)


def _where(which: Which) -> Where:
    where = Where(
        ids=which.ids,
        queues=which.queues,
        names=which.names,
        tenants=which.tenants,
        states=which.states,
        groups=which.parents,
    )
    if where == Where():
        raise ConfigError("this would be every job there is: say which ones in `where`.")
    return where


def _shown(one: Action) -> ShownAction:
    where = one.where
    return ShownAction(
        id=one.id,
        action=one.deed,
        where=ShownWhere(
            ids=where.ids,
            queues=where.queues,
            names=where.names,
            tenants=where.tenants,
            states=where.states,
            parents=where.groups,
        ),
        limit=one.limit,
        per_second=one.per_second,
        by=one.by,
        state=one.state,
        expected=one.expected,
        matched=one.matched,
        done=one.done,
        started_at=one.started_at,
        ended_at=one.ended_at,
        reason=one.reason,
    )
