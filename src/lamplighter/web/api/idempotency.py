"""The header `Idempotency-Key`: the same request, sent again within a day, adds nothing, and is answered as before.

Each job is added under a unique key that is a digest of who called, the header and the job's place in the request. So
the store decides, whatever process is asked; and it holds such a key even after the job has ended and is forgotten.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from fastapi import Header

from lamplighter.app import App, Handle, Job
from lamplighter.core.draft import Draft
from lamplighter.core.errors import ConfigError
from lamplighter.core.model import JobView, Where
from lamplighter.web.refusals import KeyReused
from lamplighter.web.roles import Caller

REMEMBERED = timedelta(days=1)

Key = Annotated[str | None, Header(min_length=1, max_length=200, pattern=r"^[ -~]+$")]

_decode = msgspec.json.decode


def keyed(job: Job[Any, Any, Any], caller: Caller, key: str, place: int) -> Job[Any, Any, Any]:
    """The same job, to be added once for that caller, key and place.

    Raises:
        ConfigError: the job has a unique key.
    """
    if job.options.get("unique"):
        raise ConfigError(
            f"job {job.name!r} has a unique key of its own, which keeps duplicates out: leave Idempotency-Key out."
        )
    told = msgspec.json.encode([caller.user_id, key, place])
    digest = hashlib.blake2b(told, digest_size=24).hexdigest()
    return job.using(unique=f"idempotency:{digest}", unique_for=REMEMBERED)


async def answered(app: App[Any], drafts: Sequence[Draft[Any]], handles: Sequence[Handle[Any]]) -> None:
    """See that those which were there already are what was asked for now, as far as they are still kept.

    Raises:
        KeyReused: one is not; what was added is taken back.
    """
    before = tuple(handle.id for handle in handles if not handle.created)
    if not before:
        return
    views = {view.id: view for view in await app.store.page(Where(ids=before), limit=len(before))}
    if all(_is_of(views.get(handle.id), draft) for draft, handle in zip(drafts, handles, strict=True)):
        return
    await _take_back(app, [handle.id for handle in handles if handle.created])
    raise KeyReused(
        "this Idempotency-Key was used for other jobs within the last day: take a new one for each request."
    )


def _is_of(view: JobView | None, draft: Draft[Any]) -> bool:
    if view is None:  # it was added just now, or has ended and is forgotten
        return True
    wanted = draft.definition.name, draft.options.get("tenant")
    return (view.name, view.tenant) == wanted and _decode(view.args) == _decode(draft.arguments)


async def _take_back(app: App[Any], ids: list[str]) -> None:
    """Those that a worker has begun meanwhile are asked to stop."""
    if ids:
        now = app.clock()
        await app.store.cancel(Where(ids=tuple(ids)), limit=len(ids), now=now, keep_until=now)
