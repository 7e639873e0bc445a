"""`lamplighter upkeep`: what is found of the databases, what was done, how they grow; do what is due, and back up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
import typer

from lamplighter.cli.integrations import with_service
from lamplighter.cli.output import Json, StoreUrl, ago, count, print_json, print_table, say, say_more
from lamplighter.cli.program import Noun
from lamplighter.cli.which import Before
from lamplighter.core.config import load
from lamplighter.core.duration import parse_duration
from lamplighter.core.errors import ConfigError

if TYPE_CHECKING:
    from lamplighter.families.upkeep.finding import Finding
    from lamplighter.families.upkeep.ledger import Growth, Run
    from lamplighter.families.upkeep.upkeep import Report, Upkeep
    from lamplighter.integrations.service import Service

T = TypeVar("T")

MEGABYTE = 1_000_000
LONGEST = timedelta(hours=12)


class Upkeeping(Noun):
    """`upkeep` alone reports."""

    alone = "report"


group = typer.Typer(cls=Upkeeping, help="Keep databases well: see what is due, do it, back up.")

Task = Annotated[list[str] | None, typer.Option("--task", metavar="TASK", help="Only this task; may be repeated.")]


@group.command()
def report(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also what is within bounds.")] = False,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Tell what a run would do now, and change nothing.

    Ends with 1 if a database could not be looked at.
    """
    found = _with_upkeep(store, lambda upkeep: upkeep.report())
    if json:
        print_json(msgspec.to_builtins(found))
    else:
        _print_report(found, everything=everything)
    if found.troubles:
        raise typer.Exit(1)


@group.command()
def run(
    *,
    now: Annotated[bool, typer.Option("--now", help="Though the window may be closed.")] = False,
    task: Task = None,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="NAME", help="Only of this table, index or file.")
    ] = None,
    lasts: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="At most so long, e.g. 30m; by default an hour.")
    ] = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Do what is due, here: in the window until it closes, or at once with --now.

    `lamplighter upkeep` tells before what that is. Tasks that are named are done again, though they were done lately.
    Ends with 1 if something failed.
    """

    async def act(upkeep: Upkeep) -> list[Run]:
        from lamplighter.families.upkeep.turn import Turn  # noqa: PLC0415 - optional
        from lamplighter.families.upkeep.upkeep import Which  # noqa: PLC0415
        from lamplighter.integrations.audit import actor  # noqa: PLC0415

        seconds = _seconds(upkeep, lasts, now=now)
        which = Which(task or (), subject)
        return await upkeep.run(
            Turn(seconds), asked_by=actor().user_id, which=which, say=(lambda _: None) if json else say
        )

    done = _with_upkeep(store, act, notes="upkeep.run")
    if json:
        print_json({"runs": [msgspec.to_builtins(one) for one in done]})
    else:
        _print_runs(done, empty="Nothing was due.")
    if any(one.outcome == "failed" for one in done):
        raise typer.Exit(1)


@group.command()
def history(
    *,
    task: Annotated[str | None, typer.Option("--task", metavar="TASK", help="Only of this task.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=500, help="At most so many.")] = 50,
    before: Before = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Tell what was done, the last first."""
    done = _with_upkeep(store, lambda upkeep: upkeep.ledger.page(task=task, limit=limit, before=before))
    if json:
        print_json({"runs": [msgspec.to_builtins(one) for one in done]})
        return
    _print_runs(done, empty="Nothing was done yet.")
    say_more(done, limit, "--before")


@group.command()
def sizes(
    *,
    measure: Annotated[bool, typer.Option("--measure", help="Measure now too, beside the once a day.")] = False,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most so many.")] = 30,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Tell how large tables, indexes and files are, and were a day, a week and a month ago."""

    async def act(upkeep: Upkeep) -> list[Growth]:
        if measure:
            await upkeep.measure()
        return await upkeep.ledger.growth()

    found = _with_upkeep(store, act)[:limit]
    if json:
        print_json({"sizes": [msgspec.to_builtins(one) for one in found]})
        return
    rows = [
        (one.name, one.kind, _mb(one.bytes), *(_mb(one.before.get(day)) for day in ("1", "7", "30"))) for one in found
    ]
    columns = ("name", "kind", "MB", "a day ago", "7 days ago", "30 days ago")
    print_table(columns, rows, empty="Nothing was measured yet: a worker does it once a day, --measure at once.")


@group.command()
def backup(
    *,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FOLDER", help="Into this folder, not into backup_folder.")
    ] = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Back up SQLite files while they are in use, and restore each copy once to see that it is good.

    Ends with 1 if one is not.
    """

    async def act(upkeep: Upkeep) -> list[Run]:
        from lamplighter.families.upkeep.turn import Turn  # noqa: PLC0415 - optional
        from lamplighter.families.upkeep.upkeep import Which  # noqa: PLC0415
        from lamplighter.integrations.audit import actor  # noqa: PLC0415

        turn, which = Turn(LONGEST.total_seconds()), Which(["backup"], anew=True)
        return await upkeep.run(turn, asked_by=actor().user_id, which=which)

    done = _with_upkeep(store, act, notes="upkeep.backup", backup_folder=to)
    if json:
        print_json({"runs": [msgspec.to_builtins(one) for one in done]})
    else:
        for one in done:
            say(f"{one.subject}: {one.says}")
        if not done:
            say("There is no SQLite file to back up: see how to back up other databases in the docs.")
    if any(one.outcome != "done" for one in done):
        raise typer.Exit(1)


@group.command()
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")],
    *,
    json: Json = False,
) -> None:
    """Restore a backup beside itself, see that it is good, and throw that away again.

    Ends with 1 if it is not.
    """
    from lamplighter.families.upkeep.sqlite.verify import verified  # noqa: PLC0415 - optional

    checked = verified(file)
    if json:
        print_json({"file": str(file), "jobs": checked.jobs, "tables": checked.tables})
    else:
        say(f"{file} is good: {checked.told}")


def _with_upkeep(
    store: str | None,
    act: Callable[[Upkeep], Awaitable[T]],
    *,
    notes: str | None = None,
    backup_folder: Path | None = None,
) -> T:
    """What `act(upkeep)` returns. `notes`: what the audit log calls it."""

    async def run(service: Service) -> T:
        from lamplighter.families.upkeep.upkeep import Upkeep  # noqa: PLC0415 - optional
        from lamplighter.integrations.audit import Resource  # noqa: PLC0415

        settings = load(flags={"store": store, "backup_folder": backup_folder and str(backup_folder)}).settings
        upkeep = Upkeep(settings, service.database)
        if notes is None:
            return await act(upkeep)
        async with service.audit.noting(notes, Resource("upkeep", "databases", None)):
            return await act(upkeep)

    return with_service(store, run)


def _seconds(upkeep: Upkeep, lasts: str | None, *, now: bool) -> float:
    """How long a run may go on."""
    from lamplighter.core.clock import utcnow  # noqa: PLC0415 - nobody else here goes by it

    try:
        most = timedelta(hours=1) if lasts is None else parse_duration(lasts)
    except ValueError:
        raise ConfigError(f"--for {lasts} is no time: give one such as 30m or 2h.") from None
    most = min(most, LONGEST)
    if now:
        return most.total_seconds()
    night = upkeep.window and upkeep.window.night(utcnow())
    if night is None:
        following = upkeep.window and upkeep.window.next(utcnow())
        opens = f"opens {ago(following.begins)}" if following else "never opens, for upkeep_window is not set"
        raise ConfigError(f"the window {opens}: add --now to do now what `lamplighter upkeep` tells.")
    left = night.ends - utcnow()
    return (left if lasts is None else min(left, most)).total_seconds()


def _print_report(found: Report, *, everything: bool) -> None:
    for trouble in found.troubles:
        say(f"{trouble.database} could not be looked at: {trouble.says}")
    shown = [one for one in found.findings if everything or one.is_notable]
    columns = ("task", "of", "due", "MB", "to be had", "what was found")
    rows = [(one.task, one.subject, _due(one), _mb(one.size), _mb(one.wasted), one.says) for one in shown]
    print_table(columns, rows, empty="Nothing is due.")
    if hidden := len(found.findings) - len(shown):
        say(f"{count(hidden, 'finding')} within bounds: --all shows them too.")
    if found.night is not None:
        say(f"The window is open, and closes {ago(found.night.ends)}.")
    elif found.next is not None:
        say(f"The window opens {ago(found.next.begins)}.")
    else:
        say("Nothing is done by itself: set upkeep_window, or `lamplighter upkeep run --now`.")


def _print_runs(done: list[Run], *, empty: str) -> None:
    columns = ("id", "task", "of", "outcome", "when", "MB before", "after", "by", "what came of it")
    rows = [
        (
            one.id,
            one.task,
            one.subject,
            one.outcome or "goes on",
            ago(one.began_at),
            _mb(one.bytes_before),
            _mb(one.bytes_after),
            one.asked_by,
            one.says,
        )
        for one in done
    ]
    print_table(columns, rows, empty=empty)


def _due(one: Finding) -> str:
    return "yes" if one.is_due else "held" if one.is_held else "-"


def _mb(size: int | None) -> str | None:
    return None if size is None else f"{size / MEGABYTE:,.1f}"
