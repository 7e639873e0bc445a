"""`lamplighter limits`: how the gates of limits stand, and what an operator does with them in an outage."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
import typer

from lamplighter.cli.noting import noted
from lamplighter.cli.opened import with_store
from lamplighter.cli.output import Json, StoreUrl, ago, print_json, print_table, say
from lamplighter.cli.program import Noun
from lamplighter.core.duration import parse_duration
from lamplighter.core.flow_control import GateView, Order
from lamplighter.engine.timekeeping import now_by
from lamplighter.store.base import Store

group = typer.Typer(cls=Noun, help="See what limits let through; open and close their breakers.")

LONGEST = timedelta(days=365)
COLUMNS = ("key", "running", "of", "waiting", "breaker", "next", "failed", "went well")
Key = Annotated[str, typer.Argument(metavar="KEY", help="Which key of a limit, such as provider:google.")]
For = Annotated[str | None, typer.Option("--for", metavar="TIME", help="For how long, such as 90s, 10m or 2h.")]


@group.command("list")
def list_limits(
    keys: Annotated[list[str] | None, typer.Argument(metavar="KEY", help="Only these keys.")] = None,
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many at most.")] = 100,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """List the keys of limits that are in use, are shut, or have jobs waiting."""

    async def look(opened: Store) -> list[GateView]:
        return await opened.gates(keys or (), limit=limit, now=await now_by(opened))

    found = with_store(store, look)
    if json:
        print_json({"limits": [msgspec.to_builtins(gate) for gate in found]})
    else:
        print_table(COLUMNS, [_row(gate) for gate in found], empty="No limit is in use.")


@group.command("open")
def open_(key: Key, *, for_: For = None, store: StoreUrl = None, json: Json = False) -> None:
    """Open the breaker of a key: its jobs wait, until it is closed by hand, or (--for) one may try."""
    until = _order(key, "open", for_, store)
    how = "until you close it" if until is None else f"until {until:%Y-%m-%d %H:%M:%S} UTC, when one job tries"
    _tell(key, "open", until, f"The breaker of {key} is open {how}.", json=json)


@group.command()
def close(key: Key, *, store: StoreUrl = None, json: Json = False) -> None:
    """Close the breaker of a key, and end a penalty: its jobs go on."""
    _order(key, "close", None, store)
    _tell(key, "closed", None, f"The breaker of {key} is closed.", json=json)


@group.command()
def penalize(
    key: Key,
    *,
    for_: Annotated[str, typer.Option("--for", metavar="TIME", help="For how long, such as 90s, 10m or 2h.")],
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Let no job of a key start for a while, as after an answer that says Retry-After."""
    until = _order(key, "penalize", for_, store)
    _tell(key, "penalized", until, f"No job of {key} starts before {until:%Y-%m-%d %H:%M:%S} UTC.", json=json)


def _order(key: str, verb: Any, lasts: str | None, store: str | None) -> datetime | None:
    time = None if lasts is None else _time(lasts)

    async def order(opened: Store) -> datetime | None:
        now = await now_by(opened)
        until = None if time is None else now + time
        await opened.order([Order(key, verb, until)], now=now)
        return until

    return noted(store, f"limit.{verb}", key, order)


def _time(written: str) -> timedelta:
    try:
        time = parse_duration(written)
    except ValueError as error:
        raise typer.BadParameter(f"{written!r} is {error}.", param_hint="--for") from error
    if not time or time > LONGEST:
        raise typer.BadParameter(f"{written} is not between a moment and a year.", param_hint="--for")
    return time


def _tell(key: str, state: str, until: datetime | None, sentence: str, *, json: bool) -> None:
    if json:
        print_json({"key": key, "state": state, "until": until})
    else:
        say(sentence)


def _row(gate: GateView) -> tuple[object, ...]:
    state = "held open" if gate.held else gate.state
    return gate.key, gate.running, gate.rule.running, gate.waiting, state, ago(gate.opens_at), gate.bads, gate.oks
