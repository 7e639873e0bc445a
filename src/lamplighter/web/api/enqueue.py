"""`POST /jobs` and `/jobs/batch`: whoever speaks HTTP enqueues the jobs that the app has.

A tenant enqueues for itself, and only what the app has opened to tenants: other jobs are the application's own steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.responses import Response
from msgspec import json
from pydantic import AwareDatetime, Field

from lamplighter.app import Handle, Job
from lamplighter.app.editing import enqueue_edited
from lamplighter.core import draft
from lamplighter.core.draft import FAR_FUTURE, Draft
from lamplighter.core.errors import ConfigError, LamplighterError, UnknownJob
from lamplighter.core.model import Priority
from lamplighter.web import answers
from lamplighter.web.answers import Shown
from lamplighter.web.api.idempotency import Key, answered, keyed
from lamplighter.web.auth import Admission, Forbidden, visible_tenants
from lamplighter.web.bodies import MOST_PRIORITY, Body, Text
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import Given, TheGiven
from lamplighter.web.refusals import UnknownName
from lamplighter.web.roles import Caller, Right, Role, needs

MOST_TOGETHER = 1000  # jobs: one round trip to the store
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

router = APIRouter()


Wished = (
    Literal["low", "normal", "high", "urgent"]
    | Annotated[int, Field(strict=True, ge=-MOST_PRIORITY, le=MOST_PRIORITY)]
    | None
)


class Options(Body):
    """How it is to run; what is left out is as the job was declared. `delay`: seconds."""

    queue: Text | None = None
    priority: Wished = None
    delay: Annotated[float | None, Field(ge=0, le=FAR_FUTURE.total_seconds())] = None
    run_at: Annotated[AwareDatetime | None, Field(ge=EARLIEST, le=LATEST)] = None
    tenant: Text | None = None


class Wish(Body):
    """One job: its name, and its arguments by the names that its function has for them."""

    name: Text
    args: Annotated[dict[str, Any], Field(default_factory=dict)]
    options: Options = Options()


class Wishes(Body):
    """Many of them, which are added together or not at all."""

    jobs: Annotated[list[Wish], Field(min_length=1, max_length=MOST_TOGETHER)]


class Edited(Body):
    """What is to differ: `args` in place of all arguments. What is left out is as the old job has it; but what a tenant
    edits goes to the queue, and with the priority, that the job is declared with."""

    args: dict[str, Any] | None = None
    queue: Text | None = None
    priority: Wished = None


class ShownAdded(Shown, frozen=True, kw_only=True):
    """`created` is false where another job held the key: then `id` is that one's, `replaced` or not."""

    id: str
    created: bool
    replaced: bool


class ShownBatch(Shown, frozen=True, kw_only=True):
    """One answer for each job, in order."""

    jobs: list[ShownAdded]


@router.post("/jobs")
@needs(Right.TEND, sorts=True)
@shows(ShownAdded, also={201: ShownAdded})
async def enqueue(wish: Wish, admitted: Admission, given: TheGiven, idempotency_key: Key = None) -> Response:
    """201: it was added; 200: a job that is there already holds its key."""
    [added] = await _add(given, [_draft(given, admitted.caller, wish, idempotency_key, 0)], idempotency_key)
    return answers.data(added, status=201 if added.created else 200)


@router.post("/jobs/batch")
@needs(Right.TEND, sorts=True)
@shows(ShownBatch, also={201: ShownBatch})
async def enqueue_batch(wishes: Wishes, admitted: Admission, given: TheGiven, idempotency_key: Key = None) -> Response:
    """All of them in one go, one answer each, in order; 201 if any was added."""
    drafts = [_placed(given, admitted.caller, wish, idempotency_key, place) for place, wish in enumerate(wishes.jobs)]
    added = await _add(given, drafts, idempotency_key)
    return answers.data(ShownBatch(jobs=added), status=201 if any(one.created for one in added) else 200)


@router.post("/jobs/{job_id}/edit")
@needs(Right.TEND, notes="job.edit")
@shows(ShownAdded, also={201: ShownAdded})
async def edit(edited: Edited, admitted: Admission, given: TheGiven) -> Response:
    """Add a new job of its name and tenant, with other arguments. The old one stays, and each tells of the other."""
    old, caller = admitted.job, admitted.caller
    _job(given, caller, old.name)
    queue, priority = edited.queue, None if edited.priority is None else _priority(edited.priority)
    if caller.role is Role.TENANT:
        _check_modest(queue, priority)
    else:
        queue, priority = queue or old.queue, old.priority if priority is None else priority
    arguments = json.decode(old.args) if edited.args is None else edited.args
    added = await enqueue_edited(given.app, old, arguments, queue=queue, priority=priority)
    admitted.metadata["new"] = added.id
    shown = ShownAdded(id=added.id, created=added.created, replaced=added.replaced)
    return answers.data(shown, status=201 if added.created else 200)


async def _add(given: Given, drafts: Sequence[Draft[Any]], key: str | None) -> list[ShownAdded]:
    handles: list[Handle[Any]] = await given.app.enqueue(drafts)
    if key is not None:
        await answered(given.app, drafts, handles)
    return [ShownAdded(id=one.id, created=one.created, replaced=one.replaced) for one in handles]


def _placed(given: Given, caller: Caller, wish: Wish, key: str | None, place: int) -> Draft[Any]:
    """A draft, or an error that says which of the batch it is about."""
    try:
        return _draft(given, caller, wish, key, place)
    except LamplighterError as error:
        raise type(error)(f"jobs.{place}: {error}") from error


def _draft(given: Given, caller: Caller, wish: Wish, key: str | None, place: int) -> Draft[Any]:
    job = _job(given, caller, wish.name).using(**_options(caller, wish.options))
    if key is not None:
        job = keyed(job, caller, key, place)
    return job.draft_of(wish.args)


def _job(given: Given, caller: Caller, name: str) -> Job[Any, Any, Any]:
    if caller.role is Role.TENANT and name not in given.for_tenants:  # whether there is one is not a tenant's affair
        raise Forbidden("tenants may not enqueue that job: ask the operator which ones they may.")
    try:
        return given.app.job_named(name)
    except UnknownJob as error:
        raise UnknownName(str(error)) from None


def _options(caller: Caller, wished: Options) -> draft.Options:
    options: draft.Options = {}
    if wished.queue is not None:
        options["queue"] = wished.queue
    if wished.priority is not None:
        options["priority"] = _priority(wished.priority)
    if wished.delay is not None:
        options["delay"] = wished.delay
    if wished.run_at is not None:
        options["run_at"] = wished.run_at
    if caller.role is Role.TENANT:
        _check_modest(wished.queue, wished.priority)
        options["tenant"] = _own_tenant(caller, wished.tenant)
    elif wished.tenant is not None:
        options["tenant"] = wished.tenant
    return options


def _priority(wished: str | int) -> int:
    return Priority[wished.upper()] if isinstance(wished, str) else wished


def _check_modest(queue: object, priority: object) -> None:
    """Or one tenant would go before all others."""
    if queue is not None or priority is not None:
        raise Forbidden("a tenant's jobs go to the queue, and with the priority, of the job: leave both out.")


def _own_tenant(caller: Caller, wished: str | None) -> str:
    tenants = visible_tenants(caller, wished) or ()
    if len(tenants) != 1:
        raise ConfigError("you act for several tenants: say for which one as options.tenant.")
    [tenant] = tenants
    return tenant
