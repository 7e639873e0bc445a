"""`/failures`: what failed for good lately, by what it failed of; run a group again.

Two failures are of a kind if job, type of error and the place that raised it are the same. Only the newest thousand are
looked at. Their tracebacks are kept apart from the jobs, so they are read for one of those whose reasons are alike but
for numbers and quoted words, and stand for the others.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from lamplighter.core.model import Failure, JobView, State, Where
from lamplighter.store.base import Store
from lamplighter.web.auth import Admission, NoSuchJob
from lamplighter.web.given import TheApp
from lamplighter.web.pages.newest import newest
from lamplighter.web.pages.rendering import back, render
from lamplighter.web.pages.tracebacks import last_frame
from lamplighter.web.roles import Right, needs

LOOKED_AT = 1000  # jobs
READ = 100  # tracebacks
VARIES = re.compile(r"'[^']*'|\"[^\"]*\"|\b[0-9a-f]{8,}[0-9a-f-]*\b|\d+", re.IGNORECASE)

Fingerprint = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]

router = APIRouter()


class Group(NamedTuple):
    """Jobs that failed of the same, the newest first. `frame`: where; empty if no traceback says it."""

    fingerprint: str
    name: str
    error: str
    frame: str
    jobs: list[JobView]

    @property
    def tenants(self) -> int:
        """How many have one."""
        return len({one.tenant for one in self.jobs if one.tenant is not None})


@router.get("/failures")
@needs(Right.READ)
async def list_failures(request: Request, admitted: Admission, app: TheApp) -> Response:
    """The groups, the largest first."""
    groups = await _groups(app.store)
    seen = sum(len(one.jobs) for one in groups)
    return render(request, "failures.html", admitted.caller, groups=groups, seen=seen, is_cut=seen >= LOOKED_AT)


@router.post("/failures/{fingerprint}/retry")
@needs(Right.TEND, notes="failures.retry")
async def retry_group(request: Request, fingerprint: Fingerprint, admitted: Admission, app: TheApp) -> Response:
    """Run those again that are in it now."""
    group = next((one for one in await _groups(app.store) if one.fingerprint == fingerprint), None)
    if group is None:
        raise NoSuchJob("no job has failed of that (any more): look at the failures again.")
    which = Where(ids=tuple(one.id for one in group.jobs), states=(State.FAILED,))
    done = await app.store.retry(which, limit=len(group.jobs), now=app.clock())
    admitted.metadata["jobs"] = len(done)
    return back(request, "failures", "retried" if done else "nothing")


async def _groups(store: Store) -> list[Group]:
    failed = await newest(store, Where(states=(State.FAILED,)), await store.stats(), limit=LOOKED_AT)
    alike: defaultdict[tuple[str, str], list[JobView]] = defaultdict(list)
    for job in failed:
        alike[job.name, VARIES.sub("…", (job.reason or "")[:300])].append(job)
    lots = sorted(alike.values(), key=len, reverse=True)
    lasts = await asyncio.gather(*(_last(store, jobs[0]) for jobs in lots[:READ]))
    found: dict[str, Group] = {}
    for jobs, last in zip(lots, [*lasts, *[None] * len(lots[READ:])], strict=True):
        group = _group(jobs, last)
        found.setdefault(group.fingerprint, group._replace(jobs=[])).jobs.extend(jobs)
    return sorted(map(_in_order, found.values()), key=lambda one: len(one.jobs), reverse=True)


async def _last(store: Store, job: JobView) -> Failure | None:
    failures = await store.failures(job.id)
    return failures[-1] if failures else None


def _group(jobs: Sequence[JobView], last: Failure | None) -> Group:
    name = jobs[0].name
    error = last.error if last else (jobs[0].reason or "no reason was given").splitlines()[0]
    frame = last_frame(last.traceback) if last else ""
    digest = hashlib.blake2b(f"{name}\0{error}\0{frame}".encode(), digest_size=8).hexdigest()
    return Group(digest, name, error, frame, list(jobs))


def _in_order(group: Group) -> Group:
    return group._replace(jobs=sorted(group.jobs, key=lambda job: job.id, reverse=True))
