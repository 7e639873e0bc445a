"""`/limits`: how the gates of limits stand; open and close their breakers, and hold one back for a while.

A key is that of a limit, such as `provider:google`. It may hold slashes.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from lamplighter.core.flow_control import GateState, GateView
from lamplighter.web import answers
from lamplighter.web.answers import Limit, Shown
from lamplighter.web.bodies import PRINTABLE
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import TheApp
from lamplighter.web.roles import Right, needs

LONGEST_KEY = 250  # characters
LONGEST = 365 * 24 * 3600  # seconds

Key = Annotated[str, Path(min_length=1, max_length=LONGEST_KEY, pattern=PRINTABLE)]
One = Annotated[str, Field(min_length=1, max_length=LONGEST_KEY, pattern=PRINTABLE)]
Keys = Annotated[list[One], Query(max_length=50)]

router = APIRouter()


class ShownLimit(Shown, frozen=True, kw_only=True):
    """A gate. `most`: jobs that may run at once, if that is limited; `waiting`: jobs before it.

    `state` is of its breaker, and `held`: open until it is closed by hand. `opens_at`: when time alone lets jobs
    through again. `failed` and `went_well`: attempts that the breaker has counted.
    """

    key: str
    running: int
    most: int | None
    waiting: int
    state: GateState
    held: bool
    opens_at: datetime | None
    failed: int
    went_well: int


class Lasting(BaseModel):
    """For how many seconds."""

    model_config = ConfigDict(extra="forbid")

    seconds: Annotated[int, Field(ge=1, le=LONGEST)]


@router.get("/limits")
@needs(Right.READ)
@shows(list[ShownLimit])
async def list_limits(app: TheApp, key: Keys = [], limit: Limit = 100) -> Response:  # noqa: B006 - each call has its own
    """These, or those that are in use, are shut, or have jobs waiting; by key, and no more than `limit`."""
    return answers.data([_shown(one) for one in await app.gates.look(*key, limit=limit)])


@router.post("/limits/{key:path}/open")
@needs(Right.OPERATE, notes="limit.open")
@shows()
async def open_(key: Key, app: TheApp, lasting: Lasting | None = None) -> Response:
    """Open its breaker: its jobs wait until one of them may try, or without a body, until it is closed."""
    await app.gates.open(key, None if lasting is None else timedelta(seconds=lasting.seconds))
    return answers.nothing()


@router.post("/limits/{key:path}/close")
@needs(Right.OPERATE, notes="limit.close")
@shows()
async def close(key: Key, app: TheApp) -> Response:
    """Close its breaker, and end a penalty: its jobs go on."""
    await app.gates.close(key)
    return answers.nothing()


@router.post("/limits/{key:path}/penalize")
@needs(Right.OPERATE, notes="limit.penalize")
@shows()
async def penalize(key: Key, lasting: Lasting, app: TheApp) -> Response:
    """Let none of its jobs start for a while, as after an answer that says Retry-After."""
    await app.gates.penalize(key, timedelta(seconds=lasting.seconds))
    return answers.nothing()


def _shown(one: GateView) -> ShownLimit:
    return ShownLimit(
        key=one.key,
        running=one.running,
        most=one.rule.running,
        waiting=one.waiting,
        state=one.state,
        held=one.held,
        opens_at=one.opens_at,
        failed=one.bads,
        went_well=one.oks,
    )
