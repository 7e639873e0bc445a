"""`lamplighter bench refresh`: how fast tokens are refreshed, beside the HTTP client alone."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple
from urllib.parse import urlsplit

import typer

from lamplighter.cli.bench import Concurrency, Report, with_bars
from lamplighter.cli.extras import need
from lamplighter.cli.opened import run_async, until_told
from lamplighter.cli.output import Json, StoreUrl, count, print_json, print_table, say
from lamplighter.core.config import load
from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import redact_url

if TYPE_CHECKING:
    from lamplighter.cli.measure_refresh import Family

LABELS = {
    "whole_per_s": "whole refreshes, from the claim to the finished job, one process, /s",
    "bare_per_s": "the same requests by the HTTP client alone, /s",
    "ratio": "whole / bare",
    "endpoint_per_s": "what the token endpoint bears, at least, /s",
    "loop": "event loop",
}


class Sizes(NamedTuple):
    """How much of everything is measured."""

    refreshes: int
    rounds: int
    concurrency: int


Measured = Callable[[int, int, Callable[[int], None]], Awaitable[float]]

Refreshes = Annotated[
    int, typer.Option("--refreshes", metavar="N", min=1, max=1_000_000, help="How many tokens to refresh in a round.")
]
Rounds = Annotated[int, typer.Option("--rounds", metavar="N", min=1, max=100, help="How many rounds.")]


def refresh(
    *,
    refreshes: Refreshes = 2000,
    rounds: Rounds = 5,
    concurrency: Concurrency = 100,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Measure how fast tokens are refreshed, beside what the HTTP client alone reaches.

    A worker refreshes tokens that are due, with everything as in earnest: lock, request, vault, journal, and the next
    job in the same transaction. By turns with that, the same client sends the same requests and does nothing else. The
    figures are the medians of the rounds, after one that does not count. The token endpoint is a process of its own on
    this machine.

    It measures in a new file beside that of the store, or in a new schema of its database, and removes it. The recovery
    journal is in the folder for temporary files meanwhile.
    """
    need("integrations", "lamplighter bench refresh")
    url, sizes = store or load().settings.store, Sizes(refreshes, rounds, concurrency)
    _refuse_unless_tables(url)
    figures = run_async(until_told(with_bars(lambda report: _figures(url, sizes, report))))
    if json:
        print_json({"store": redact_url(url), **sizes._asdict(), **figures})
    else:
        say(
            f"{count(rounds, 'round')} of {count(refreshes, 'refresh', 'es')}, {concurrency} at once, "
            f"in {redact_url(url)}\n"
        )
        print_table(("what", "figure"), [(LABELS[key], value) for key, value in figures.items()], empty="")


def _refuse_unless_tables(url: str) -> None:
    if (urlsplit(url).scheme or url) not in {"sqlite", "postgresql", "postgres"}:
        raise ConfigError("tokens are kept in SQLite or PostgreSQL: name a store of one of them with --store.")


async def _figures(url: str, sizes: Sizes, report: Report) -> dict[str, float | str]:
    from lamplighter.cli import measure_refresh as measure  # noqa: PLC0415 - it brings the whole engine
    from lamplighter.testing.verify.places import open_place  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        async with (
            open_place(url, Path(folder)) as place,
            measure.endpoint() as token_url,
            measure.bench_family(place.direct, Path(folder), token_url) as family,
        ):
            few = min(sizes.refreshes, 2000)
            most = await measure.most_answers(family, few, sizes.concurrency, report("the token endpoint", few))
            pairs = await _by_turns(family, sizes, report)
    return {
        "whole_per_s": round(statistics.median(whole for whole, _ in pairs)),
        "bare_per_s": round(statistics.median(bare for _, bare in pairs)),
        "ratio": round(statistics.median(whole / bare for whole, bare in pairs), 3),
        "endpoint_per_s": round(most),
        "loop": type(asyncio.get_running_loop()).__module__.partition(".")[0],
    }


async def _by_turns(family: Family, sizes: Sizes, report: Report) -> list[tuple[float, float]]:
    """Refreshes a second, and requests a second of the HTTP client alone, in each round but the first."""
    from lamplighter.cli import measure_refresh as measure  # noqa: PLC0415
    from lamplighter.integrations.http_pool import HttpPool  # noqa: PLC0415

    total = sizes.refreshes * (sizes.rounds + 1)
    async with HttpPool() as http:
        whole = partial(measure.whole, family), report("whole refreshes", total)
        bare = partial(measure.bare, http, family), report("the HTTP client alone", total)
        pairs: list[tuple[float, float]] = []
        for before in range(0, total, sizes.refreshes):
            first, second = (whole, bare) if len(pairs) % 2 else (bare, whole)  # neither always comes first
            speeds = {turn: await _turn(*turn, sizes, before) for turn in (first, second)}
            pairs.append((speeds[whole], speeds[bare]))
    return pairs[1:]


async def _turn(measured: Measured, step: Callable[[int], None], sizes: Sizes, before: int) -> float:
    return await measured(sizes.refreshes, sizes.concurrency, lambda done: step(before + done))
