"""Adding jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from lamplighter.core.clock import maybe_length, maybe_to_us, to_us
from lamplighter.core.model import Added, NewJob
from lamplighter.store.carried import carry
from lamplighter.store.pack import Row, pack
from lamplighter.store.sqlite import children, keys
from lamplighter.store.sqlite.batch import run, unpack
from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.full import Bounds
from lamplighter.store.sqlite.keys import KeyMove


def add(connection: Connection, jobs: Sequence[NewJob], now: int) -> list[Added]:
    """See `base.Store.add`."""
    bounds = Bounds(connection, jobs)
    bounds.refuse()
    holders = _take_keys(connection, jobs, now) if any(job.unique for job in jobs) else {}
    related = children.families(connection, jobs, holders)
    apart = holders.keys() | related.orphans | related.held.keys()
    rows = pack([_row(job) for job in jobs if job.id not in apart])
    run(connection, "add", rows=rows, dropping=pack(bounds.dropping()), now=now)
    if related.new:
        children.note(connection, related)
        run(connection, "hold", rows=pack([_row(job) for job in related.held.values()]), now=now)
    replaced = _replace(connection, [job for job in jobs if job.id in holders], holders, now)
    bounds.drop_oldest(now)
    refused = holders.keys() | related.orphans
    return [Added(holders.get(job.id, job.id), job.id not in refused, job.id in replaced) for job in jobs]


def _replace(connection: Connection, refused: Sequence[NewJob], holders: dict[str, str], now: int) -> set[str]:
    """Replace the holders that wait by what was refused; returns which did so. Of one holder's, the last counts."""
    eager = {job.id: job for job in refused if job.replaces}
    if not eager:
        return set()
    asked = [(job.id, holders[job.id], job.name) for job in eager.values()]
    replaced: dict[str, str] = dict(unpack(connection, "replaceable", rows=pack(asked)))
    last = {replaced[job.id]: job for job in refused if job.id in replaced}
    run(connection, "replace", rows=pack([_brought(id_, job) for id_, job in last.items()]), now=now)
    return set(replaced)


def _brought(holder: str, job: NewJob) -> Row:
    return holder, carry(job.args, job.trace), job.priority, to_us(job.run_at), maybe_length(job.debounce_for)


def _take_keys(connection: Connection, jobs: Sequence[NewJob], now: int) -> dict[str, str]:
    """Take the keys of new jobs; returns who holds those that could not be had, by the job that is not added."""
    known = set(unpack(connection, "known", ids=pack([job.id for job in jobs])))
    new: dict[str, NewJob] = {}
    for job in jobs:
        if job.id not in known:
            new.setdefault(job.id, job)  # of jobs with one id the first counts
    holders: dict[str, str] = {}
    for takers in _runs(new.values(), now):
        keys.move(connection, takers, now)
        holders |= keys.lost(connection, takers)
    return holders


def _runs(jobs: Iterable[NewJob], now: int) -> Iterator[list[KeyMove]]:
    """Neighbours whose keys can be taken by one statement, and looked for after it: none overtakes another, and who
    wants the same key has the same parent."""
    run_: list[KeyMove] = []
    parents: dict[str, str | None] = {}
    for take in (KeyMove("take", job.id, job.unique.key, _until(job), job.parent) for job in jobs if job.unique):
        if run_ and (
            _is_over(take, now) or _is_over(run_[-1], now) or parents.get(take.key, take.parent) != take.parent
        ):
            yield run_
            run_, parents = [], {}
        run_.append(take)
        parents[take.key] = take.parent
    if run_:
        yield run_


def _is_over(take: KeyMove, now: int) -> bool:
    return take.until is not None and take.until <= now


def _until(job: NewJob) -> int | None:
    if job.unique is None or job.unique.mode != "period" or job.unique.until is None:
        return None
    return to_us(job.unique.until)


def _row(job: NewJob) -> Row:
    unique = (job.unique.key, job.unique.mode, _until(job)) if job.unique else (None, None, None)
    past = job.failures, job.crashes, maybe_to_us(job.created_at)
    ties = job.limits or None, job.group
    args = carry(job.args, job.trace)
    return job.id, job.queue, job.name, job.tenant, job.priority, to_us(job.run_at), args, *unique, *past, *ties
