"""How commands answer: a table or a few lines for people, one JSON object for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
import typer

from lamplighter.core.clock import utcnow
from lamplighter.core.duration import format_duration

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, as the last line.")]
StoreUrl = Annotated[
    str | None, typer.Option("--store", metavar="URL", help="Where the jobs are, e.g. sqlite:///lamplighter.db.")
]


def print_json(answer: Mapping[str, Any]) -> None:
    """One object on one line."""
    print(msgspec.json.encode(answer).decode(), flush=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table, or what to say when there is nothing in it."""
    from rich.console import Console  # noqa: PLC0415 - a tenth of a second that --help need not wait for
    from rich.table import Table  # noqa: PLC0415

    lines = [[text(cell) for cell in row] for row in rows]
    if not lines:
        print(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for position, column in enumerate(columns):
        numbers = all(line[position].replace(",", "").isdigit() for line in lines)
        table.add_column(column, overflow="fold", justify="right" if numbers else "left")
    for line in lines:
        table.add_row(*line)
    console = Console(markup=False, highlight=False)
    console = console if console.is_terminal else Console(markup=False, highlight=False, width=200)
    console.print(table)


def print_lines(pairs: Iterable[tuple[str, object]]) -> None:
    """Named values, one each line."""
    shown = [(name, text(value)) for name, value in pairs]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        print(f"{name:<{width}}  {value}")


def say(line: str) -> None:
    """A line for people."""
    print(line, flush=True)


def fail(sentence: str, code: int) -> int:
    """Say on stderr, and to programs as JSON, what went wrong; returns the exit code."""
    print(sentence, file=sys.stderr)
    if "--json" in sys.argv:
        print_json({"error": sentence})
    return code


def text(value: object) -> str:
    """A value as people read it."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S")
        case _:
            return str(value)


def ago(moment: datetime | None) -> str:
    """How long since, or until, a moment."""
    if moment is None:
        return "-"
    seconds = round((utcnow() - moment).total_seconds())
    span = _coarse(abs(seconds))
    return f"{span} ago" if seconds >= 0 else f"in {span}"


def _coarse(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


__all__ = ["Json", "StoreUrl", "ago", "fail", "format_duration", "print_json", "print_lines", "print_table", "say"]
