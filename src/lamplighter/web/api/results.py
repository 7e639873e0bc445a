"""`GET /jobs/{job}/result`: wait for what a job returns."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from msgspec import Raw

from lamplighter.app.results import refuse_unless_done
from lamplighter.core.errors import JobFailed, UnknownJob
from lamplighter.core.model import ENDED, JobView, State, Where
from lamplighter.web import answers
from lamplighter.web.answers import Shown
from lamplighter.web.api.showing import is_insider, raw
from lamplighter.web.auth import Admission, NoSuchJob
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import TheApp
from lamplighter.web.roles import Right, needs

LONGEST_WAIT = 60  # seconds: what stands between may cut off a connection on which nothing is said for longer

router = APIRouter()


class ShownResult(Shown, frozen=True, kw_only=True):
    """What a job has returned, or how far it is."""

    id: str
    state: State
    result: Raw | None
    progress: Raw | None


@router.get("/jobs/{job_id}/result")
@needs(Right.READ)
@shows(ShownResult, also={202: ShownResult})
async def get_result(
    admitted: Admission, app: TheApp, timeout: Annotated[float, Query(ge=0, le=LONGEST_WAIT)] = 0
) -> Response:
    """200: it is done; 202: it goes on, so ask again; 409: it failed or was cancelled. Waits for `timeout` seconds."""
    job = admitted.job
    if job.state not in ENDED:
        try:
            job = await app.ended(job.id, timeout)
        except TimeoutError:
            [job] = await app.store.page(Where(ids=(job.id,)), limit=1) or [job]
        except UnknownJob:
            raise NoSuchJob("the job has ended, and was not kept: keep done jobs for a while.") from None
    if job.state not in ENDED:
        return answers.data(_shown(job), status=202)
    if job.state is State.FAILED and not is_insider(admitted.caller):
        raise JobFailed(f"job {job.id} ({job.name}) has failed: retry it, or ask the operator why.")
    refuse_unless_done(job)
    return answers.data(_shown(job))


def _shown(one: JobView) -> ShownResult:
    return ShownResult(id=one.id, state=one.state, result=raw(one.result), progress=raw(one.progress))
