"""`lamplighter jobs`: look at jobs, run them again, cancel them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
import typer

from lamplighter.cli.opened import with_store
from lamplighter.cli.output import Json, StoreUrl, ago, count, print_json, print_lines, print_table, say, text
from lamplighter.cli.program import Noun
from lamplighter.core.clock import utcnow
from lamplighter.core.config import load
from lamplighter.core.errors import ConfigError, UnknownJob
from lamplighter.core.model import Failure, JobView, State, Where
from lamplighter.store.base import Store

group = typer.Typer(cls=Noun, help="Look at jobs, run them again, cancel them.")

MOST = 1000  # jobs in one transaction

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Which jobs, by id.")]
Queues = Annotated[
    list[str] | None, typer.Option("--queue", "-q", metavar="QUEUE", help="Only of this queue; may be repeated.")
]
Names = Annotated[
    list[str] | None, typer.Option("--name", "-n", metavar="NAME", help="Only jobs of this name; may be repeated.")
]
Tenants = Annotated[
    list[str] | None, typer.Option("--tenant", "-t", metavar="TENANT", help="Only of this tenant; may be repeated.")
]
States = Annotated[
    list[State] | None,
    typer.Option("--state", "-s", metavar="STATE", help=f"Only in this state, {', '.join(State)}; may be repeated."),
]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=100_000, help="At most so many jobs.")]


@group.command("list")
def list_jobs(
    *,
    queue: Queues = None,
    name: Names = None,
    tenant: Tenants = None,
    state: States = None,
    limit: Limit = 20,
    before: Annotated[
        str | None, typer.Option(metavar="ID", help="Go on after the last id of the page before.")
    ] = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """List jobs, the newest first."""
    where = _where([], queue, name, tenant, state)
    found = with_store(store, lambda opened: opened.page(where, limit=limit, before=before))
    if json:
        print_json({"jobs": [_plain(view) for view in found], "next": found[-1].id if len(found) == limit else None})
        return
    columns = ("id", "name", "queue", "tenant", "state", "when", "fails")
    rows = [(v.id, v.name, v.queue, v.tenant, _state(v), ago(_when(v)), v.failures + v.crashes) for v in found]
    print_table(columns, rows, empty="No jobs." if where == Where() else "No such jobs.")
    if len(found) == limit:
        say(f"There may be more: --before {found[-1].id}")


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
    limit: Limit = MOST,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Run jobs now: ended ones again, scheduled ones early.

    They start with a clean slate: failures are forgiven. Ends with 1 if one of the ids given is of no job, or of one
    that is queued or runs.
    """
    where = _chosen(_where(ids, queue, name, tenant, state))
    retried = with_store(store, lambda opened: opened.retry(where, limit=limit, now=utcnow()))
    missed = _missed(where, retried)
    if json:
        print_json({"retried": retried, "missed": missed})
    else:
        say(f"{count(len(retried), 'job')} queued.")
    _end(missed, json=json, more=len(retried) == limit and not ids, hint="is of no job that has ended or is scheduled")


@group.command()
def cancel(
    ids: Ids = None,
    *,
    queue: Queues = None,
    name: Names = None,
    tenant: Tenants = None,
    state: States = None,
    limit: Limit = MOST,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Cancel jobs that wait, and ask those that run to stop.

    Ends with 1 if one of the ids given is of no job, or of one that has ended.
    """
    where = _chosen(_where(ids, queue, name, tenant, state))
    keep: timedelta = load(flags={"store": store}).settings.keep_failed
    now = utcnow()
    gone = with_store(store, lambda opened: opened.cancel(where, limit=limit, now=now, keep_until=now + keep))
    touched = [*gone.ended, *gone.asked]
    missed = _missed(where, touched)
    if json:
        print_json({"cancelled": gone.ended, "asked_to_stop": gone.asked, "missed": missed})
    else:
        say(f"{count(len(gone.ended), 'job')} cancelled, {len(gone.asked):,} running asked to stop.")
    _end(missed, json=json, more=len(touched) == limit and not ids, hint="is of no job that waits or runs")


def _where(
    ids: list[str] | None,
    queue: list[str] | None,
    name: list[str] | None,
    tenant: list[str] | None,
    state: list[State] | None,
) -> Where:
    return Where(
        ids=tuple(ids or ()),
        queues=tuple(queue or ()),
        names=tuple(name or ()),
        tenants=tuple(tenant or ()),
        states=tuple(state or ()),
    )


def _chosen(where: Where) -> Where:
    if where == Where():
        raise ConfigError(
            "this would be every job there is: name ids, or filter by --queue, --name, --tenant or --state."
        )
    return where


def _missed(where: Where, touched: Iterable[str]) -> list[str]:
    return sorted(set(where.ids) - set(touched))


def _end(missed: list[str], *, json: bool, more: bool, hint: str) -> None:
    if more and not json:
        say("There may be more: run it again.")
    for id_ in missed if not json else ():
        say(f"{id_} {hint}.")
    if missed:
        raise typer.Exit(1)


async def _find(store: Store, job: str) -> tuple[JobView, list[Failure]]:
    found = await store.page(Where(ids=(job,)), limit=1)
    if not found:
        raise UnknownJob(
            f"there is no job {job}, or it is not kept any longer: `lamplighter jobs list` shows those there are."
        )
    return found[0], await store.failures(job)


def _plain(view: JobView, *, whole: bool = False) -> dict[str, Any]:
    """Without arguments and result unless they are asked for: they may hold what is not for every screen."""
    plain: dict[str, Any] = msgspec.to_builtins(view)
    hidden = () if whole else ("args", "result")
    return {name: value for name, value in plain.items() if name not in hidden}


def _told(view: JobView, *, whole: bool) -> Iterator[tuple[str, object]]:
    """What a person wants to know of a job, in the order of its life."""
    yield from (("id", view.id), ("name", view.name), ("queue", view.queue), ("tenant", view.tenant))
    yield from (("state", _state(view)), ("reason", view.reason), ("progress", view.progress))
    yield from (("created", _moment(view.created_at)), ("due", _moment(view.run_at)))
    yield from (("started", _moment(view.started_at)), ("ended", _moment(view.ended_at)))
    yield from (("kept until", _moment(view.keep_until)), ("worker", view.worker))
    yield from (("lease until", _moment(view.lease_until)), ("priority", view.priority or None))
    yield from (("failures", view.failures), ("crashes", view.crashes or None))
    yield "unique key", view.unique.key if view.unique else None
    if whole:
        yield from (("args", view.args), ("result", view.result))


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else f"{text(moment)} ({ago(moment)})"


def _state(view: JobView) -> str:
    return f"{view.state} (stopping)" if view.stopping else str(view.state)


def _when(view: JobView) -> datetime | None:
    """The moment that its state is about: when it ended, else when it started, else when it is due."""
    return view.ended_at or (view.started_at if view.state is State.RUNNING else view.run_at)
