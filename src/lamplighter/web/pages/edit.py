"""`/jobs/{id}/edit`: enqueue a job of the same name with other arguments.

A page of its own, for that of a job keeps itself fresh, and would take away what somebody is writing.
"""

from __future__ import annotations

import re

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from lamplighter.app.editing import enqueue_edited
from lamplighter.core.draft import LONGEST_NAME
from lamplighter.core.errors import BadArguments, ConfigError, TooLarge
from lamplighter.core.model import JobView
from lamplighter.web.auth import Admission
from lamplighter.web.bodies import MOST_PRIORITY, PRINTABLE
from lamplighter.web.forms import read_form
from lamplighter.web.given import TheApp
from lamplighter.web.pages.rendering import back, place, render
from lamplighter.web.refusals import UnknownName
from lamplighter.web.roles import Right, needs

LONGEST = 16_000  # bytes of arguments that can be edited: a form may send each of them as three

router = APIRouter()


@router.get("/jobs/{job_id}/edit")
@needs(Right.TEND)
async def see_form(request: Request, admitted: Admission, app: TheApp) -> Response:
    """The form, filled with what the job has."""
    job = admitted.job
    _refuse_unless_ours(app, job)
    laid_out = msgspec.json.format(job.args, indent=2)
    if len(laid_out.encode()) > LONGEST:
        raise TooLarge("the arguments of this job are too long for a form: edit and enqueue it over the HTTP API.")
    return _form(request, admitted, {"args": laid_out, "queue": job.queue, "priority": str(job.priority)})


@router.post("/jobs/{job_id}/edit")
@needs(Right.TEND, notes="job.edit")
async def edit(request: Request, admitted: Admission, app: TheApp) -> Response:
    """Enqueue the new job; or the form again, with what is wrong."""
    job, filled = admitted.job, {"args": "", "queue": "", "priority": ""} | await read_form(request)
    _refuse_unless_ours(app, job)
    try:
        handle = await enqueue_edited(
            app, job, _arguments(filled["args"]), queue=_queue(filled["queue"]), priority=_priority(filled["priority"])
        )
    except (BadArguments, ConfigError, TooLarge) as error:
        return _form(request, admitted, filled, status=400, wrong=str(error))
    admitted.metadata["new"] = handle.id
    did = "enqueued" if handle.created else "replaced" if handle.replaced else "key-held"
    return back(request, place("jobs", handle.id), did)


def _form(
    request: Request, admitted: Admission, filled: dict[str, str], *, status: int = 200, wrong: str = ""
) -> Response:
    return render(
        request,
        "edit.html",
        admitted.caller,
        status=status,
        job=admitted.job,
        filled=filled,
        wrong=wrong,
        most_priority=MOST_PRIORITY,
        longest_queue=LONGEST_NAME,
    )


def _refuse_unless_ours(app: TheApp, job: JobView) -> None:
    if not app.has_job(job.name):
        raise UnknownName(
            f"the app of this dashboard has no job {job.name!r:.80}, so nothing here can check its arguments: "
            "enqueue it where that job is."
        )


def _arguments(text: str) -> dict[str, object]:
    try:
        return msgspec.json.decode(text, type=dict[str, object])
    except msgspec.MsgspecError as error:
        raise BadArguments(
            f'the arguments are no JSON object such as {{"name": "Ada"}} ({error}): correct them.'
        ) from error


def _queue(text: str) -> str:
    if not 0 < len(text) <= LONGEST_NAME or not re.match(PRINTABLE, text):
        raise ConfigError(f"a queue has a name of 1 to {LONGEST_NAME} printable characters: change it.")
    return text


def _priority(text: str) -> int:
    try:
        priority = int(text)
    except ValueError:
        priority = MOST_PRIORITY + 1
    if abs(priority) > MOST_PRIORITY:
        raise ConfigError(f"a priority is a whole number from -{MOST_PRIORITY:,} to {MOST_PRIORITY:,}: change it.")
    return priority
