"""`lamplighter jobs`: look at jobs, run them again, cancel them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import msgspec
import typer

from lamplighter.cli.opened import with_store
from lamplighter.cli.output import Json, StoreUrl, ago, print_json, print_lines, print_table, say
from lamplighter.core.clock import utcnow
from lamplighter.core.config import load
from lamplighter.core.errors import ConfigError, UnknownJob
from lamplighter.core.model import Failure, JobView, State, Where
from lamplighter.store.base import Store

group = typer.Typer(help="Look at jobs, run them again, cancel them.", no_args_is_help=True)

MOST = 1000  # jobs in one transaction

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Which jobs, by id.")]
Queues = Annotated[list[str] | None, typer.Option("--queue", "-q", help="Only of this queue; may be repeated.")]
Names = Annotated[list[str] | None, typer.Option("--name", "-n", help="Only jobs of this name; may be repeated.")]
Tenants = Annotated[list[str] | None, typer.Option("--tenant", "-t", help="Only of this tenant; may be repeated.")]
States = Annotated[list[State] | None, typer.Option("--state", "-s", help="Only in this state; may be repeated.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many jobs.")]


@group.command("list")
def list_jobs(
    *,
    queue: Queues = None,
    name: Names = None,
    tenant: Tenants = None,
    state: States = None,
    limit: Limit = 20,
    before: Annotated[str | None, typer.Option(help="Go on after the last id of the page before.")] = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """List jobs, the newest first."""
    where = _where([], queue, name, tenant, state)
    found = with_store(store, lambda opened: opened.page(where, limit=limit, before=before))
    if json:
        print_json({"jobs": [_plain(view) for view in found], "next": found[-1].id if len(found) == limit else None})
        return
    columns = ("id", "name", "queue", "tenant", "state", "due", "attempts", "worker")
    rows = [
        (v.id, v.name, v.queue, v.tenant, _state(v), ago(v.run_at), v.failures + v.crashes, v.worker) for v in found
    ]
    print_table(columns, rows, empty="No jobs.")
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
    shown = _plain(view, whole=args)
    if json:
        print_json({**shown, "attempts_failed": [msgspec.to_builtins(failure) for failure in failures]})
        return
    print_lines((name, value) for name, value in shown.items() if value not in {None, ""})
    for failure in failures:
        say(f"\n{failure.at:%Y-%m-%d %H:%M:%S} attempt failed ({failure.kind}): {failure.error}: {failure.message}")
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
    """Run jobs now, with a clean slate: ended ones again, scheduled ones before their time."""
    where = _chosen(_where(ids, queue, name, tenant, state))
    retried = with_store(store, lambda opened: opened.retry(where, limit=limit, now=utcnow()))
    if json:
        print_json({"retried": retried})
    else:
        say(f"{len(retried)} jobs are queued.")


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
    """Cancel jobs that wait, and ask those that run to stop."""
    where = _chosen(_where(ids, queue, name, tenant, state))
    keep: timedelta = load(flags={"store": store}).settings.keep_failed
    now = utcnow()
    gone = with_store(store, lambda opened: opened.cancel(where, limit=limit, now=now, keep_until=now + keep))
    if json:
        print_json({"cancelled": gone.ended, "asked_to_stop": gone.asked})
    else:
        say(f"{len(gone.ended)} jobs are cancelled, {len(gone.asked)} running ones were asked to stop.")


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


def _state(view: JobView) -> str:
    return f"{view.state} (stopping)" if view.stopping else str(view.state)
