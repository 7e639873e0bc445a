"""What is done to one job: run it again, cancel it, run it early, forget it."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter
from fastapi.responses import Response
from msgspec.structs import replace

from lamplighter.app.tree import cancel_tree
from lamplighter.core.model import ENDED, MOVES, JobView, State, Where
from lamplighter.integrations.audit import Resource
from lamplighter.web import answers
from lamplighter.web.api.showing import ShownJob, shown
from lamplighter.web.auth import Admission, NoSuchJob, visible_tenants
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import TheApp
from lamplighter.web.refusals import NotPossible
from lamplighter.web.roles import Right, needs

IN_LINE = "it is in line already: wait, or ask why it waits."
RUNS = "it runs: wait for it, or cancel it."
IS_HELD = "it waits until its children have ended: look at those."
IS_ASKED_FOR = "the job that waits for it may still ask how it ended: delete it when that has ended too."
IS_OVER = "it has ended: retry it, and it runs again."

NOT_RETRIED = {State.QUEUED: IN_LINE, State.RUNNING: RUNS, State.HELD: IS_HELD}
NOT_PROMOTED = NOT_RETRIED | dict.fromkeys(ENDED, IS_OVER)
NOT_CANCELLED = dict.fromkeys(ENDED, "it has ended: there is nothing to cancel.")
NOT_DELETED = {State.RUNNING: RUNS} | dict.fromkeys(ENDED, IS_ASKED_FOR)

router = APIRouter()


@router.post("/jobs/{job_id}/retry")
@needs(Right.TEND, notes="job.retry")
@shows(ShownJob)
async def retry(admitted: Admission, app: TheApp) -> Response:
    """Run it now: an ended one again, a scheduled one early. Its failures are forgiven."""
    return await _run_now(admitted, app, MOVES["be retried"].sources, NOT_RETRIED)


@router.post("/jobs/{job_id}/promote")
@needs(Right.TEND, notes="job.promote")
@shows(ShownJob)
async def promote(admitted: Admission, app: TheApp) -> Response:
    """Run a scheduled one now."""
    return await _run_now(admitted, app, MOVES["come due"].sources, NOT_PROMOTED)


@router.post("/jobs/{job_id}/cancel")
@needs(Right.TEND, notes="job.cancel")
@shows(ShownJob)
async def cancel(
    admitted: Admission,
    app: TheApp,
    tree: bool = False,  # noqa: FBT001, FBT002 - a query has names
) -> Response:
    """Cancel it if it waits, ask it to stop if it runs. `tree`: and all that is below it, even if it has ended."""
    job, now = admitted.job, app.clock()
    keep_until = now + app.settings.keep_failed
    if tree:
        admitted.metadata["tree"] = True
        tenants = tuple(visible_tenants(admitted.caller, None) or ())
        gone = await cancel_tree(app.store, job.id, now=now, keep_until=keep_until, tenants=tenants)
    else:
        gone = await app.store.cancel(Where(ids=(job.id,)), limit=1, now=now, keep_until=keep_until)
    if not (gone.ended or gone.asked):
        raise await _refusal(app, job, NOT_CANCELLED)
    return answers.data(shown(await _seen(app, job), admitted.caller))


@router.delete("/jobs/{job_id}")
@needs(Right.TEND, notes="job.delete")
@shows()
async def delete(admitted: Admission, app: TheApp) -> Response:
    """Forget one that has ended, and why it failed; one that has not begun is cancelled before that."""
    job, now = admitted.job, app.clock()
    which = Where(ids=(job.id,))
    if not await app.store.forget(which, limit=1):
        waits = replace(which, states=tuple(sorted(MOVES["be cancelled"].sources)))
        if not (await app.store.cancel(waits, limit=1, now=now, keep_until=now)).ended:
            raise await _refusal(app, job, NOT_DELETED)
    return answers.nothing()


async def _run_now(
    admitted: Admission, app: TheApp, among: frozenset[State], otherwise: Mapping[State, str]
) -> Response:
    job = admitted.job
    if not await app.store.retry(Where(ids=(job.id,), states=tuple(among)), limit=1, now=app.clock()):
        raise await _refusal(app, job, otherwise)
    return answers.data(shown(await _seen(app, job), admitted.caller))


async def _refusal(app: TheApp, job: JobView, reasons: Mapping[State, str]) -> NotPossible:
    return NotPossible(reasons.get((await _seen(app, job)).state, "it has changed meanwhile: look at it again."))


async def _seen(app: TheApp, job: JobView) -> JobView:
    """As it is now."""
    found = await app.store.page(Where(ids=(job.id,)), limit=1)
    if not found:
        raise NoSuchJob("the job is not there any more: it has ended meanwhile, and was not kept.")
    return found[0]


def _resource(job: JobView) -> Resource:
    return Resource("job", job.id, job.tenant)
