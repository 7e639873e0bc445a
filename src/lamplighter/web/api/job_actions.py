"""What is done to one job: run it again, cancel it, run it early, forget it."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter
from fastapi.responses import Response

from lamplighter.app.tree import cancel_tree
from lamplighter.core.model import ENDED, MOVES, JobView, State, Where
from lamplighter.integrations.audit import Resource
from lamplighter.web import answers
from lamplighter.web.api.showing import ShownJob, shown
from lamplighter.web.auth import Admission, NoSuchJob, visible_tenants
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import TheApp
from lamplighter.web.refusals import HasEnded, NotPossible
from lamplighter.web.roles import Right, needs

IN_LINE = "it is in line already: wait, or ask why it waits."
RUNS = "it runs: wait for it, or cancel it."
IS_HELD = "it waits until its children have ended: look at those."
IS_OVER = "it has ended: retry it, and it runs again."

NOT_RETRIED = {State.QUEUED: IN_LINE, State.RUNNING: RUNS, State.HELD: IS_HELD}
NOT_PROMOTED = NOT_RETRIED | dict.fromkeys(ENDED, IS_OVER)
NOT_CANCELLED = dict.fromkeys(ENDED, "it has ended: there is nothing to cancel.")

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
async def forget(admitted: Admission, app: TheApp) -> Response:
    """Cancel one that has not begun, and forget it at once."""
    job, now = admitted.job, app.clock()
    which = Where(ids=(job.id,), states=tuple(MOVES["be cancelled"].sources))
    if not (await app.store.cancel(which, limit=1, now=now, keep_until=now)).ended:
        raise await _why_it_stays(app, job)
    return answers.nothing()


async def _run_now(
    admitted: Admission, app: TheApp, among: frozenset[State], otherwise: Mapping[State, str]
) -> Response:
    job = admitted.job
    if not await app.store.retry(Where(ids=(job.id,), states=tuple(among)), limit=1, now=app.clock()):
        raise await _refusal(app, job, otherwise)
    return answers.data(shown(await _seen(app, job), admitted.caller))


async def _why_it_stays(app: TheApp, job: JobView) -> HasEnded | NotPossible:
    now_it_is = await _seen(app, job)
    if now_it_is.state not in ENDED:
        return NotPossible(RUNS)
    when = "some day" if now_it_is.keep_until is None else f"after {now_it_is.keep_until:%Y-%m-%d %H:%M:%S} UTC"
    return HasEnded(
        f"it has ended, and is forgotten by itself {when}: leave it, or change how long such jobs are kept."
    )


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
