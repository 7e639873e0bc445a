"""Failed jobs in groups: by what they failed of, by job, or by the provider that they are about.

Two failures are of a kind if job, type of error and the place that raised it are the same. Only the newest thousand are
looked at. Their tracebacks are kept apart from the jobs, so they are read for one of those whose reasons are alike but
for numbers and quoted words, and stand for the others.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from lamplighter.core.model import Failure, JobView, State, Where
from lamplighter.integrations.service import Service
from lamplighter.store.base import Store
from lamplighter.web.pages.tracebacks import last_frame

LOOKED_AT = 1000  # jobs
READ = 100  # tracebacks
VARIES = re.compile(r"'[^']*'|\"[^\"]*\"|\b[0-9a-f]{8,}[0-9a-f-]*\b|\d+", re.IGNORECASE)
LIMIT = "provider:"  # how the keys of limits begin that are of one provider each
NONE = "about no provider"

By = Literal["cause", "job", "provider"]


class Group(NamedTuple):
    """Failed jobs that have something in common, the newest first.

    `name`: of their job, or of their provider. `error` and `frame`: what they failed of, and where, as far as that is
    known and the same for all.
    """

    fingerprint: str
    name: str
    error: str
    frame: str
    jobs: list[JobView]

    @property
    def tenants(self) -> int:
        """How many have one."""
        return len({one.tenant for one in self.jobs if one.tenant is not None})


async def groups(store: Store, service: Service | None, by: By) -> list[Group]:
    """The groups, the largest first. `service`: what knows which provider an integration is of."""
    failed = await store.page(Where(states=(State.FAILED,)), limit=LOOKED_AT)
    match by:
        case "cause":
            found = await _by_cause(store, failed)
        case "job":
            found = _by_name({job.id: job.name for job in failed}, failed, by)
        case "provider":
            found = _by_name(await _providers(service, failed), failed, by)
    return sorted(found, key=lambda one: len(one.jobs), reverse=True)


def _by_name(names: Mapping[str, str], failed: Iterable[JobView], by: By) -> list[Group]:
    lots: defaultdict[str, list[JobView]] = defaultdict(list)
    for job in failed:
        lots[names.get(job.id, NONE)].append(job)
    return [Group(_digest(by, name), name, "", "", jobs) for name, jobs in lots.items()]


async def _providers(service: Service | None, failed: Sequence[JobView]) -> dict[str, str]:
    """The providers that jobs are about: their limit, argument or integration says so."""
    found: dict[str, str] = {}
    of_integrations: dict[str, str] = {}
    for job in failed:
        args = _fields(job.args)
        limits = (key.removeprefix(LIMIT) for key in job.limits if key.startswith(LIMIT))
        told = next(limits, None) or args.get("provider") or args.get("provider_slug")
        if isinstance(told, str):
            found[job.id] = told
        elif isinstance(integration := args.get("integration_id"), str):
            of_integrations[job.id] = integration
    if service is not None and of_integrations:
        slugs = await service.integrations.providers_of(set(of_integrations.values()))
        found |= {job: slugs[one] for job, one in of_integrations.items() if one in slugs}
    return found


def _fields(args: str) -> Mapping[str, Any]:
    decoded = msgspec.json.decode(args)
    return decoded if isinstance(decoded, dict) else {}


async def _by_cause(store: Store, failed: Sequence[JobView]) -> list[Group]:
    alike: defaultdict[tuple[str, str], list[JobView]] = defaultdict(list)
    for job in failed:
        alike[job.name, VARIES.sub("…", (job.reason or "")[:300])].append(job)
    lots = sorted(alike.values(), key=len, reverse=True)
    lasts = await asyncio.gather(*(_last(store, jobs[0]) for jobs in lots[:READ]))
    found: dict[str, Group] = {}
    for jobs, last in zip(lots, [*lasts, *[None] * len(lots[READ:])], strict=True):
        group = _group(jobs, last)
        found.setdefault(group.fingerprint, group._replace(jobs=[])).jobs.extend(jobs)
    return [_in_order(group) for group in found.values()]


async def _last(store: Store, job: JobView) -> Failure | None:
    failures = await store.failures(job.id)
    return failures[-1] if failures else None


def _group(jobs: Sequence[JobView], last: Failure | None) -> Group:
    name = jobs[0].name
    error = last.error if last else (jobs[0].reason or "no reason was given").splitlines()[0]
    frame = last_frame(last.traceback) if last else ""
    return Group(_digest(name, error, frame), name, error, frame, list(jobs))


def _digest(*of: str) -> str:
    return hashlib.blake2b("\0".join(of).encode(), digest_size=8).hexdigest()


def _in_order(group: Group) -> Group:
    return group._replace(jobs=sorted(group.jobs, key=lambda job: job.id, reverse=True))
