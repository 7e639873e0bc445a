"""`lamplighter simulate`: the load that integrations and schedules will make, before they are there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from lamplighter.cli.extras import has
from lamplighter.cli.output import Json, print_json, say
from lamplighter.cli.progress import progress
from lamplighter.cli.work import find_app
from lamplighter.core.clock import utcnow
from lamplighter.core.errors import ConfigError

Target = Annotated[
    str | None, typer.Argument(metavar="MODULE:APP", help="Count what the schedules of this app make; no job is run.")
]
For = Annotated[str | None, typer.Option("--for", metavar="TIME", help="How long, e.g. 12h; by default 30d.")]
Integrations = Annotated[
    str | None, typer.Option("--integrations", metavar="N", help="How many there are in all; by default 1000000.")
]
Provider = Annotated[
    list[str] | None,
    typer.Option(
        "--provider",
        metavar="NAME:KEY=VALUE",
        help="Whose they are, e.g. gdrive:share=60%:lifetime=1h:limit=50:at_once=50:quota=300; may be repeated. "
        "By default those that Lamplighter knows, evenly.",
    ),
]
Population = Annotated[Path | None, typer.Option("--population", metavar="FILE", help="All of this in a TOML file.")]
ConnectedOver = Annotated[
    str | None,
    typer.Option("--connected-over", metavar="TIME", help="They come evenly over so long; by default at once."),
]
Tokens = Annotated[
    str | None,
    typer.Option(
        "--tokens", metavar="AGE", help="What they come with: new tokens (the default), any-age, or of unknown age."
    ),
]
Workers = Annotated[str | None, typer.Option("--workers", metavar="N", help="Worker processes; by default 1.")]
Concurrency = Annotated[
    str | None, typer.Option("--concurrency", "-c", metavar="N", help="Jobs at once in each; by default 100.")
]
Latency = Annotated[
    str | None, typer.Option("--latency", metavar="TIME", help="How long a refresh takes; by default 0.3s.")
]
Sample = Annotated[
    int,
    typer.Option(
        "--rehearse", metavar="N", min=0, max=20_000, help="So many go through the engine itself, too; 0 for none."
    ),
]
Seed = Annotated[int, typer.Option("--seed", metavar="S", help="Of the rehearsal: the same seed, the same figures.")]
Start = Annotated[
    str | None, typer.Option("--start", metavar="DATE", help="When schedules begin, in UTC; by default next midnight.")
]
Svg = Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="Draw it into this file.")]


def simulate(
    target: Target = None,
    *,
    duration: For = None,
    integrations: Integrations = None,
    provider: Provider = None,
    population: Population = None,
    connected_over: ConnectedOver = None,
    tokens: Tokens = None,
    workers: Workers = None,
    concurrency: Concurrency = None,
    latency: Latency = None,
    rehearse: Sample = 1000,
    seed: Seed = 1,
    start: Start = None,
    svg: Svg = None,
    json: Json = False,
) -> None:
    """Work out the load that integrations and schedules will make.

    How many refreshes a second each provider will see, how late they begin, and which limit or spread flattens that;
    with an app, which of its schedules come together. Nothing is sent, opened or run. Ends with 1 if tokens would
    run out or a quota would be exceeded.
    """
    from lamplighter.capacity.read import read_plan  # noqa: PLC0415 - `--help` need not wait for these
    from lamplighter.capacity.report import Ask, make_report  # noqa: PLC0415
    from lamplighter.cli.simulated import as_json, draw, tell  # noqa: PLC0415

    told: dict[str, object] = {
        "integrations": integrations,
        "connected_over": connected_over,
        "tokens": tokens,
        "workers": workers,
        "concurrency": concurrency,
        "latency": latency,
    }
    is_about_tokens = bool(
        target is None or population or provider or any(value is not None for value in told.values())
    )
    plan = read_plan(population, {**told, "duration": duration}, provider or ()) if is_about_tokens else None
    ask = Ask(
        plan=plan,
        schedules=None if target is None else find_app(target).schedules,
        sample=rehearse if has("integrations") else 0,
        seed=seed,
        start=_start(start),
        duration=plan.duration if plan else _duration(duration),
    )
    with progress() as step:
        report = make_report(ask, step=step)
    if svg is not None:
        _write(svg, draw(report))
    if json:
        print_json(as_json(report))
    else:
        tell(report)
        if rehearse and plan and not ask.sample:
            say("Left out: the rehearsal, which needs `pip install 'lamplighter[integrations]'`.")
    if not report.is_good:
        raise typer.Exit(1)


def _start(written: str | None) -> datetime:
    """A moment in UTC; by default the next midnight."""
    if written is None:
        return utcnow().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    try:
        moment = datetime.fromisoformat(written)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            f"--start {written!r:.40} is no date: write for example 2030-01-31 or 2030-01-31T18:00."
        ) from error


def _duration(written: str | None) -> timedelta:
    from lamplighter.capacity.read import read_plan  # noqa: PLC0415

    return read_plan(None, {"duration": written}).duration


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot write {file} ({error.strerror}): name a file in a folder that you may write to."
        ) from error
