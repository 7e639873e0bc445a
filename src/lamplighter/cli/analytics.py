"""`lamplighter analytics`: what happened, by hours, days and months, of a tenant or of all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import typer

from lamplighter.cli.extras import need
from lamplighter.cli.integrations import with_family, with_service
from lamplighter.cli.output import Json, StoreUrl, count, harmless, print_json, print_table, say, text
from lamplighter.cli.program import Noun
from lamplighter.cli.progress import progress
from lamplighter.core.clock import utcnow
from lamplighter.core.errors import ConfigError, LamplighterError, StoreUnavailable

if TYPE_CHECKING:
    from lamplighter.families.analytics.family import AnalyticsFamily
    from lamplighter.families.analytics.gaps import Found
    from lamplighter.families.analytics.ranges import Range
    from lamplighter.families.analytics.reading import Reading, Rolled, Series
    from lamplighter.families.analytics.windows import Resolution
    from lamplighter.integrations.service import Service

T = TypeVar("T")

ALL = "*"
BYS = ("hour", "day", "month")
SHOWN = 50  # gaps that people are shown

group = typer.Typer(cls=Noun, help="See what happened, by hours, days and months.")

Metric = Annotated[str, typer.Argument(metavar="METRIC", help="Which, such as jobs.done; `analytics` lists them.")]
Tenant = Annotated[str | None, typer.Option("--tenant", "-t", metavar="TENANT", help="Whose; without it of all.")]
By = Annotated[str, typer.Option("--by", metavar="RESOLUTION", help=f"One of {', '.join(BYS)}.")]
Since = Annotated[str | None, typer.Option("--from", metavar="MOMENT", help="From when, e.g. 2026-03-01 (UTC).")]
Until = Annotated[str | None, typer.Option("--to", metavar="MOMENT", help="To before when; now, if it is not given.")]


class NoSuchTenant(LamplighterError):
    """Nobody knows a tenant of that id."""


@group.command("list")
def list_metrics(*, store: StoreUrl = None, json: Json = False) -> None:
    """List what is added up."""

    async def read(reading: Reading) -> list[Any]:
        return await reading.metrics()

    found = _with_reading(store, read)
    if json:
        print_json({"metrics": [msgspec.to_builtins(one) for one in found]})
        return
    rows = [(one.name, one.kind, one.unit, harmless(one.title)) for one in found]
    print_table(
        ("metric", "kind", "unit", "what"), rows, empty="Nothing is added up: no worker had the analytics family."
    )


@group.command()
def show(
    metric: Metric,
    *,
    tenant: Tenant = None,
    by: By = "day",
    since: Since = None,
    until: Until = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Show a metric, window by window, the oldest first."""

    async def read(reading: Reading) -> Series:
        from lamplighter.families.analytics.ranges import LONGEST  # noqa: PLC0415 - optional

        resolution = _resolution(by)
        asked = _range(resolution, since, until, longest=LONGEST[resolution])
        return await reading.series(await reading.metric(metric), tenant or ALL, resolution, *asked)

    series = _with_reading(store, read)
    if json:
        print_json({"series": msgspec.to_builtins(series)})
        return
    names = list(series.windows[0].figures) if series.windows else []
    rows = [(one.local, *(_figure(name, one) for name in names)) for one in series.windows]
    print_table((f"from ({series.zone})", *names), rows, empty="Nothing happened in that time.")
    if series.is_cut:
        say(f"There is more: --from {series.windows[-1].ends_at:%Y-%m-%dT%H:%M:%S}")


@group.command()
def export(
    metric: Metric,
    *,
    tenant: Tenant = None,
    by: By = "day",
    since: Since = None,
    until: Until = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; else it is printed.")
    ] = None,
    store: StoreUrl = None,
) -> None:
    """Write a metric as CSV, for spreadsheets: all windows of a time, however many."""

    async def write(reading: Reading) -> None:
        from lamplighter.families.analytics.csv_rows import as_csv  # noqa: PLC0415 - optional

        resolution, whose = _resolution(by), tenant or ALL
        found = await reading.metric(metric)
        pages = reading.pages(found, whose, resolution, *_range(resolution, since, until, longest=None))
        await _write(as_csv(found, whose, pages), output)

    _with_reading(store, write)


@group.command()
def backfill(
    *,
    since: Annotated[str, typer.Option("--from", metavar="MOMENT", help="From when, e.g. 2026-03-01 (UTC).")],
    until: Until = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Read a time again from all sources, and add up what was missing.

    It goes back as far as measurements are kept (`keep_measurements`), and may be done twice.
    """

    async def act(family: AnalyticsFamily) -> int:
        new = 0
        with progress() as step:
            async for one in family.read_again(*_range("day", since, until, longest=None)):
                step(one.what, one.share, 1.0)
                new = one.new
        return new

    new = _with_analytics(store, act)
    if json:
        print_json({"new": new})
    else:
        say(f"Measurements that were missing, and are added up now: {new:,}.")


@group.command()
def gaps(
    *,
    since: Since = None,
    until: Until = None,
    refill: Annotated[bool, typer.Option("--refill", help="Make them anew, here and now.")] = False,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """List windows that are missing, or that are not what they are made of; by default of the last 60 days.

    Ends with 1 if there are any that were not made anew.
    """

    async def act(family: AnalyticsFamily) -> Found:
        found = await family.gaps(*_range("day", since, until, longest=None))
        if refill and found.gaps:
            await family.refill(found)
            await family.roll_up()
        return found

    found = _with_analytics(store, act)
    if json:
        print_json({**msgspec.to_builtins(found), "refilled": refill})
    else:
        _print_gaps(found, refilled=refill)
    if found.gaps and not refill:
        raise typer.Exit(1)


@group.command()
def zone(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Which tenant.")],
    time_zone: Annotated[str, typer.Argument(metavar="ZONE", help="Such as Europe/Berlin, or UTC.")],
    *,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Say where a tenant's days begin at midnight.

    Its windows are cut anew from the first midnight on of which all measurements are still there.
    """

    async def act(service: Service) -> None:
        from lamplighter.integrations.audit import Resource  # noqa: PLC0415 - optional

        async with service.audit.noting("tenant.live-in", Resource("tenant", tenant, tenant)) as metadata:
            metadata["time_zone"] = time_zone
            if not await service.tenants.live_in(tenant, time_zone):
                raise NoSuchTenant(f"there is no tenant {tenant!r:.60}: see that its id is right.")

    with_service(store, act)
    if json:
        print_json({"tenant": tenant, "zone": time_zone})
    else:
        say(f"The days of {harmless(tenant)} begin at midnight in {time_zone}.")


def _print_gaps(found: Found, *, refilled: bool) -> None:
    rows = [
        (f"{one.begins_at:%Y-%m-%d %H:%M}", one.resolution, one.metric, harmless(one.tenant), one.has, one.should)
        for one in found.gaps[:SHOWN]
    ]
    print_table(("from (UTC)", "what", "metric", "tenant", "has", "should have"), rows, empty="No window is missing.")
    if len(found.gaps) > SHOWN:
        say(f"{len(found.gaps) - SHOWN:,} more{', or yet more' if found.is_cut else ''}.")
    for hole in found.holes:
        say(
            f"From {text(hole.since)} to {text(hole.until)} nobody looked at {hole.source}: what was forgotten in that "
            "time is missing."
        )
    if refilled and found.gaps:
        say(f"{count(len(found.gaps), 'window')} made anew.")


async def _write(lines: AsyncIterator[str], output: Path | None) -> None:
    if output is None:
        async for some in lines:
            typer.echo(some, nl=False)
        return
    try:
        with output.open("w", encoding="utf-8", newline="") as file:
            async for some in lines:
                file.write(some)
    except OSError as error:
        raise StoreUnavailable(f"{output} cannot be written ({error.strerror}): choose another file.") from error


def _figure(name: str, window: Rolled) -> object:
    value = window.figures[name]
    if value is None or value.is_integer():
        return None if value is None else int(value)
    return f"{value:.2%}" if name == "share" else f"{value:.4g}"


def _resolution(by: str) -> Resolution:
    if by not in BYS:
        raise ConfigError(f"there is no resolution {by!r:.40}: give one of {', '.join(BYS)}.")
    return by  # type: ignore[return-value]  # checked above


def _range(resolution: Resolution, since: str | None, until: str | None, *, longest: timedelta | None) -> Range:
    from lamplighter.families.analytics.ranges import asked_for  # noqa: PLC0415 - optional

    return asked_for(resolution, _moment("--from", since), _moment("--to", until), utcnow(), longest=longest)


def _moment(flag: str, written: str | None) -> datetime | None:
    if written is None:
        return None
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        raise ConfigError(f"{flag} is {written!r:.40}: give a moment such as 2026-03-01 or 2026-03-01T12:00.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _with_reading(url: str | None, act: Callable[[Reading], Awaitable[T]]) -> T:
    need("analytics", "lamplighter analytics")

    async def read(service: Service) -> T:
        from lamplighter.families.analytics.reading import Reading  # noqa: PLC0415 - optional

        return await act(Reading(service.database, clock=utcnow))

    return with_service(url, read)


def _with_analytics(url: str | None, act: Callable[[AnalyticsFamily], Awaitable[T]]) -> T:
    need("analytics", "lamplighter analytics")
    families: list[AnalyticsFamily] = []

    def declare(app: Any, tokens: Any) -> None:
        from lamplighter.families.analytics.family import AnalyticsFamily  # noqa: PLC0415 - optional

        families.append(AnalyticsFamily(app, tokens))

    return with_family(url, lambda _tokens: act(families[0]), beside=declare)
