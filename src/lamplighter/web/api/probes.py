"""`/healthz` and `/readyz`: what whoever keeps processes running asks, without signing in. They tell no more than that.

A process that is up is healthy, whatever its store does: killing it would not mend that. It is ready where its store
answers and its tables are this version's; the tables of jobs are looked at as the app opens. However often it is asked,
the store is asked once a second.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lamplighter.core.errors import LamplighterError
from lamplighter.engine import tick
from lamplighter.integrations.storage import migrate
from lamplighter.web import answers
from lamplighter.web.answers import Shown
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import Given, given

PATIENCE = 2.0  # seconds for the store to answer
GOOD_FOR = 1.0  # seconds

router = APIRouter()

_log = logging.getLogger("lamplighter.web")


class ShownProbe(Shown, frozen=True, kw_only=True):
    """How it is."""

    status: str


class Seen(NamedTuple):
    """What was found, and until when that is believed."""

    is_ready: bool
    until: float


@router.get("/healthz")
@shows(ShownProbe)
async def healthz() -> Response:
    """The process is up."""
    return answers.data(ShownProbe(status="ok"))


@router.get("/readyz")
@shows(ShownProbe)
async def readyz(request: Request) -> Response:
    """It can do its work: its store answers."""
    if await _is_ready(request):
        return answers.data(ShownProbe(status="ready"))
    return answers.error(503, "server/not-ready", "the store does not answer, or is of another version: try again.")


async def _is_ready(request: Request) -> bool:
    """From memory for a moment; whoever asks meanwhile waits for the one that looks."""
    state = request.app.state
    looking: asyncio.Task[Seen] | None = getattr(state, "looking", None)
    if looking is None or (looking.done() and looking.result().until < monotonic()):
        looking = state.looking = asyncio.create_task(_look(given(request)))
    return (await asyncio.shield(looking)).is_ready


async def _look(all_: Given) -> Seen:
    try:
        async with asyncio.timeout(PATIENCE):
            is_ready = await _answers(all_)
    except (TimeoutError, LamplighterError) as error:
        _log.warning("Not ready: %s", str(error) or f"the store has not answered within {PATIENCE:g} s")
        is_ready = False
    except Exception:  # noqa: BLE001 - strangers ask: they learn no more than that
        _log.exception("Not ready")
        is_ready = False
    return Seen(is_ready, monotonic() + GOOD_FOR)


async def _answers(all_: Given) -> bool:
    app, integrating = all_.app, all_.integrating
    await app.store.records(tick.KIND, now=app.clock())
    if integrating is None:
        return True
    return await migrate.current(integrating.tokens.service.database) == migrate.newest()
