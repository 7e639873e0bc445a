"""Which jobs a command is about: the options that filter them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from lamplighter.core.errors import ConfigError, UnknownJob
from lamplighter.core.model import JobView, State, Where
from lamplighter.store.base import Store

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
ChildOf = Annotated[
    list[str] | None, typer.Option("--child-of", metavar="ID", help="Only children of this job; may be repeated.")
]
Before = Annotated[str | None, typer.Option(metavar="ID", help="Go on after the last id of the page before.")]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=100_000, help="At most so many jobs.")]


def where_of(
    *,
    ids: Sequence[str] | None = None,
    queue: Sequence[str] | None = None,
    name: Sequence[str] | None = None,
    tenant: Sequence[str] | None = None,
    state: Sequence[State] | None = None,
    child_of: Sequence[str] | None = None,
) -> Where:
    """The filter that options say."""
    return Where(
        ids=tuple(ids or ()),
        queues=tuple(queue or ()),
        names=tuple(name or ()),
        tenants=tuple(tenant or ()),
        states=tuple(state or ()),
        groups=tuple(child_of or ()),
    )


def chosen(where: Where) -> Where:
    """The same, if it says anything: nothing is done to all jobs by mistake."""
    if where == Where():
        raise ConfigError(
            "this would be every job there is: name ids, or filter by --queue, --name, --tenant, --state or --child-of."
        )
    return where


async def find_job(store: Store, job: str) -> JobView:
    """The job of that id.

    Raises:
        UnknownJob: there is none.
    """
    found = await store.page(Where(ids=(job,)), limit=1)
    if not found:
        raise UnknownJob(
            f"there is no job {job}, or it is not kept any longer: `lamplighter jobs list` shows those there are."
        )
    return found[0]
