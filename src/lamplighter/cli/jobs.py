"""`lamplighter jobs`: look at jobs, run them again, cancel and delete them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, NamedTuple, NoReturn

import msgspec
import typer

from lamplighter.app.bulk import Act, count_matching, do_to_all
from lamplighter.app.search import Found, search
from lamplighter.cli.bulk import Cancelling, tell
from lamplighter.cli.noting import noted_jobs
from lamplighter.cli.opened import with_store
from lamplighter.cli.output import (
    Json,
    StoreUrl,
    ago,
    count,
    next_of,
    print_json,
    print_lines,
    print_table,
    say,
    say_on,
    text,
)
from lamplighter.cli.program import Noun
from lamplighter.cli.which import (
    Before,
    ChildOf,
    Ids,
    Limit,
    Names,
    Queues,
    States,
    Tenants,
    chosen,
    find_job,
    where_of,
)
from lamplighter.core.clock import utcnow
from lamplighter.core.config import load
from lamplighter.core.errors import ConfigError
from lamplighter.core.model import ENDED, LIVE, MOVES, Children, Failure, JobView, State, Where
from lamplighter.store.base import Store

group = typer.Typer(cls=Noun, help="Look at jobs, run them again, cancel and delete them.")

MOST = 1_000_000  # jobs that one command does anything to


class Deed(NamedTuple):
    """What can be done to jobs at once. `done` and `said`: what they are then, in JSON and to people; `hint`: what one
    is to which it was not."""

    verb: str
    done: str
    said: str
    among: frozenset[State]
    act: Act
    hint: str


async def _retry(store: Store, where: Where, limit: int) -> list[str]:
    return await store.retry(where, limit=limit, now=utcnow())


async def _forget(store: Store, where: Where, limit: int) -> list[str]:
    return await store.forget(where, limit=limit)


RETRY = Deed(
    "retry",
    "retried",
    "queued",
    MOVES["be retried"].sources,
    _retry,
    "is of no job that has ended or is scheduled",
)
DELETE = Deed(
    "delete",
    "deleted",
    "deleted",
    ENDED,
    _forget,
    "is of no job that has ended, or of a child that is waited for with others",
)

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it to all that match. Without it they are only counted.")]
All = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=MOST, help="At most so many jobs.")]


@group.command("list")
def list_jobs(
    *,
    queue: Queues = None,
    name: Names = None,
    tenant: Tenants = None,
    state: States = None,
    child_of: ChildOf = None,
    args: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only those with this in their arguments, or with a field: field=value."),
    ] = None,
    limit: Limit = 20,
    before: Before = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """List jobs, the newest first.

    With --args they are looked for among the 10,000 newest that match the rest; it says how to go on after those.
    """
    where = where_of(queue=queue, name=name, tenant=tenant, state=state, child_of=child_of)
    if args:
        found = with_store(store, lambda opened: search(opened, where, args, limit=limit, before=before))
    else:
        views = with_store(store, lambda opened: opened.page(where, limit=limit, before=before))
        found = Found(views, len(views), next_of(views, limit))
    if json:
        looked = {"looked_at": found.looked_at} if args else {}
        print_json({"jobs": [_plain(view) for view in found.jobs], "next": found.next, **looked})
        return
    columns = ("id", "name", "queue", "tenant", "state", "when", "fails")
    rows = [(v.id, v.name, v.queue, v.tenant, _state(v), ago(_when(v)), v.failures + v.crashes) for v in found.jobs]
    print_table(columns, rows, empty="No jobs." if where == Where() and not args else "No such jobs.")
    if args:
        say(f"The arguments of {count(found.looked_at, 'job')} were looked at, the newest first.")
    say_on(found.next, "--before")


@group.command()
def show(
    job: Annotated[str, typer.Argument(metavar="ID", help="Which job.")],
    *,
    args: Annotated[bool, typer.Option("--args", help="Show its arguments and its result too.")] = False,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Show one job: where it is in its life, and why its attempts failed."""
    view, failures = with_store(store, lambda opened: _find(opened, job))
    if json:
        failed = [msgspec.to_builtins(failure) for failure in failures]
        print_json({**_plain(view, whole=args), "attempts_failed": failed})
        return
    print_lines((name, value) for name, value in _told(view, whole=args) if value not in {None, ""})
    for failure in failures:
        say(f"\n{text(failure.at)} an attempt failed ({failure.kind}): {failure.error}: {failure.message}")
        if failure.traceback:
            say(failure.traceback.rstrip())


@group.command()
def retry(
    ids: Ids = None,
    *,
    queue: Queues = None,
    name: Names = None,
    tenant: Tenants = None,
    state: States = None,
    child_of: ChildOf = None,
    limit: All = MOST,
    yes: Yes = False,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Run jobs now: ended ones again, scheduled ones early.

    They start with a clean slate: failures are forgiven. By filter they are only counted, and it ends with 1, unless
    you say --yes. Ends with 1 too if one of the ids given is of no job, or of one that is queued, runs or is held.
    """
    where = chosen(where_of(ids=ids, queue=queue, name=name, tenant=tenant, state=state, child_of=child_of))
    _do(RETRY, where, store=store, limit=limit, yes=yes, json=json)


@group.command()
def cancel(
    ids: Ids = None,
    *,
    queue: Queues = None,
    name: Names = None,
    tenant: Tenants = None,
    state: States = None,
    child_of: ChildOf = None,
    limit: All = MOST,
    tree: Annotated[bool, typer.Option("--tree", help="With ids: their children too, theirs, and so on.")] = False,
    yes: Yes = False,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Cancel jobs that wait, and ask those that run to stop.

    By filter they are only counted, and it ends with 1, unless you say --yes. Ends with 1 too if one of the ids given
    is of no job, or of one that has ended.
    """
    where = chosen(where_of(ids=ids, queue=queue, name=name, tenant=tenant, state=state, child_of=child_of))
    if tree and where != where_of(ids=ids):
        raise ConfigError("--tree goes with ids alone: name the jobs whose trees are to be cancelled.")
    if not ids and not yes:
        _only_count(store, where, LIVE, limit, "cancelled", json=json)
    keep: timedelta = load(flags={"store": store}).settings.keep_failed
    cancelling = Cancelling(utcnow(), keep)

    async def act(opened: Store) -> list[str]:
        await (cancelling.trees(opened, where) if tree else cancelling.all(opened, where, limit))
        return [*cancelling.gone.ended, *cancelling.gone.asked]

    missed = _missed(where, noted_jobs(store, "cancel", where, act))
    gone = cancelling.gone
    if json:
        print_json({"cancelled": gone.ended, "asked_to_stop": gone.asked, "missed": missed})
    else:
        say(f"{count(len(gone.ended), 'job')} cancelled, {len(gone.asked):,} running asked to stop.")
    _end(missed, json=json, hint="is of no job that waits or runs")


@group.command()
def delete(
    ids: Ids = None,
    *,
    queue: Queues = None,
    name: Names = None,
    tenant: Tenants = None,
    state: States = None,
    child_of: ChildOf = None,
    limit: All = MOST,
    yes: Yes = False,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Forget ended jobs now, and why they failed.

    Children stay as long as the job that waits for them. By filter they are only counted, and it ends with 1, unless
    you say --yes. Ends with 1 too if one of the ids given is of no job, or of one that has not ended: cancel that
    first.
    """
    where = chosen(where_of(ids=ids, queue=queue, name=name, tenant=tenant, state=state, child_of=child_of))
    _do(DELETE, where, store=store, limit=limit, yes=yes, json=json)


def _do(deed: Deed, where: Where, *, store: str | None, limit: int, yes: bool, json: bool) -> None:
    """To the jobs of these ids, or with --yes to all that match; then say what came of it."""
    if not where.ids and not yes:
        _only_count(store, where, deed.among, limit, deed.done, json=json)
    done = noted_jobs(
        store, deed.verb, where, lambda opened: do_to_all(opened, where, deed.among, limit, deed.act, told=tell)
    )
    missed = _missed(where, done)
    if json:
        print_json({deed.done: done, "missed": missed})
    else:
        say(f"{count(len(done), 'job')} {deed.said}.")
    _end(missed, json=json, hint=deed.hint)


def _only_count(
    store: str | None, where: Where, among: frozenset[State], limit: int, done: str, *, json: bool
) -> NoReturn:
    matching = with_store(store, lambda opened: count_matching(opened, where, among, limit))
    if json:
        print_json({"matching": matching, done: [], "missed": []})
    else:
        say(f"{count(matching, 'job')} would be {done}: say so with --yes.")
    raise typer.Exit(1)


def _missed(where: Where, touched: Iterable[str]) -> list[str]:
    return sorted(set(where.ids) - set(touched))


def _end(missed: list[str], *, json: bool, hint: str) -> None:
    for id_ in missed if not json else ():
        say(f"{id_} {hint}.")
    if missed:
        raise typer.Exit(1)


async def _find(store: Store, job: str) -> tuple[JobView, list[Failure]]:
    return await find_job(store, job), await store.failures(job)


def _plain(view: JobView, *, whole: bool = False) -> dict[str, Any]:
    """Without arguments and result unless they are asked for: they may hold what is not for every screen."""
    plain: dict[str, Any] = msgspec.to_builtins(view)
    hidden = () if whole else ("args", "result")
    return {name: value for name, value in plain.items() if name not in hidden}


def _told(view: JobView, *, whole: bool) -> Iterator[tuple[str, object]]:
    """What a person wants to know of a job, in the order of its life."""
    yield from (("id", view.id), ("name", view.name), ("queue", view.queue), ("tenant", view.tenant))
    yield from (("state", _state(view)), ("reason", view.reason), ("progress", view.progress))
    yield from (("child of", view.group), ("children", _children(view.children)))
    yield from (("created", _moment(view.created_at)), ("due", _moment(view.run_at)))
    yield from (("started", _moment(view.started_at)), ("ended", _moment(view.ended_at)))
    yield from (("kept until", _moment(view.keep_until)), ("worker", view.worker))
    yield from (("lease until", _moment(view.lease_until)), ("priority", view.priority or None))
    yield from (("failures", view.failures), ("crashes", view.crashes or None))
    yield "unique key", view.unique.key if view.unique else None
    yield from (("limits", ", ".join(view.limits)), ("waits for", view.waits_on), ("enqueued in trace", view.trace))
    if whole:
        yield from (("args", view.args), ("result", view.result))


def _children(counted: Children | None) -> str | None:
    if counted is None:
        return None
    ends = ((counted.done, "done"), (counted.failed, "failed"), (counted.cancelled, "cancelled"))
    told = ", ".join(f"{n:,} {what}" for n, what in ends if n)
    return f"{counted.ended:,} of {counted.total:,} have ended{told and f': {told}'}"


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else f"{text(moment)} ({ago(moment)})"


def _state(view: JobView) -> str:
    return f"{view.state} (stopping)" if view.stopping else str(view.state)


def _when(view: JobView) -> datetime | None:
    """The moment that its state is about: when it ended, else when it started, else when it is due."""
    return view.ended_at or (view.started_at if view.state is State.RUNNING else view.run_at)
