"""How commands answer: a table or a few lines for people, one JSON object for programs."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Protocol

import msgspec
import typer

from lamplighter.core.clock import utcnow
from lamplighter.core.duration import rough_duration

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, as the last line.")]
StoreUrl = Annotated[
    str | None, typer.Option("--store", metavar="URL", help="Where the jobs are, e.g. sqlite:///lamplighter.db.")
]

GAP = 2  # spaces between columns
LEAST = 6  # characters of a column that still read well when its cells are folded


def print_json(answer: Mapping[str, Any]) -> None:
    """One object on one line, in UTF-8 wherever it goes: that is what JSON is in."""
    sys.stdout.flush()
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table, or what to say when there is nothing in it. Where it cannot fit, a few lines for each row."""
    lines = [[text(cell) for cell in row] for row in rows]
    kept = [n for n, cells in enumerate(zip(*lines, strict=True)) if set(cells) != {"-"}]
    columns, lines = [columns[n] for n in kept], [[line[n] for n in kept] for line in lines]  # what says nothing goes
    if not lines:
        say(empty)
    elif (width := _terminal_width()) and width < _least_width(columns, lines):
        say("\n\n".join("\n".join(_aligned(zip(columns, line, strict=True))) for line in lines))
    else:
        say(_table(columns, lines, width))


def _terminal_width() -> int | None:
    """None where nobody looks: a file takes lines of any length."""
    from rich.console import Console  # noqa: PLC0415 - a tenth of a second that `--help` need not wait for

    console = Console()
    return console.width if console.is_terminal else None


def _least_width(columns: Sequence[str], lines: list[list[str]]) -> int:
    """With the first column, which names the row, in one piece."""
    widths = _widths(columns, lines)
    return widths[0] + sum(1 + min(LEAST, width) for width in widths[1:])


def _natural_width(columns: Sequence[str], lines: list[list[str]]) -> int:
    return sum(GAP + width for width in _widths(columns, lines)) - GAP


def _widths(columns: Sequence[str], lines: list[list[str]]) -> list[int]:
    return [max(map(len, cells)) for cells in zip(columns, *lines, strict=True)]


def _table(columns: Sequence[str], lines: list[list[str]], width: int | None) -> str:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    tight = width is not None and width < _natural_width(columns, lines)
    table = Table(box=None, pad_edge=False, padding=(0, 1 if tight else GAP, 0, 0), header_style="bold")
    for position, column in enumerate(columns):
        numbers = all(line[position].replace(",", "").isdigit() for line in lines)
        table.add_column(column, overflow="fold", no_wrap=position == 0, justify="right" if numbers else "left")
    for line in lines:
        table.add_row(*map(Text, line))  # as it is: what looks like markup in somebody's data is none
    console = Console(highlight=False, width=width or 10_000)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


class HasId(Protocol):
    """What a page is made of."""

    @property
    def id(self) -> str: ...


def next_of(page: Sequence[HasId], limit: int) -> str | None:
    """What a full page is gone on with; None: there is no more."""
    return page[-1].id if len(page) == limit else None


def say_more(page: Sequence[HasId], limit: int, flag: str) -> None:
    """Tell people how to go on after a full page."""
    say_on(next_of(page, limit), flag)


def say_on(next_: str | None, flag: str) -> None:
    """Tell people how to go on, if there may be more."""
    if next_ is not None:
        say(f"There may be more: {flag} {next_}")


def print_lines(pairs: Iterable[tuple[str, object]]) -> None:
    """Named values, one each line."""
    say("\n".join(_aligned((name, text(value)) for name, value in pairs)))


def _aligned(pairs: Iterable[tuple[str, str]]) -> list[str]:
    shown = list(pairs)
    width = max((len(name) for name, _ in shown), default=0)
    return [f"{name:<{width}}  {value}" for name, value in shown]


def end_by_id(ids: Sequence[str], touched: Collection[str], *, done: str, noun: str, json: bool) -> None:
    """Say of each id that it is `done` now, or that there is no such `noun`; end with 1 if that is so of one."""
    missing = [id_ for id_ in ids if id_ not in touched]
    if json:
        print_json({done: touched, "missing": missing})
    else:
        for id_ in ids:
            say(f"{id_}: {done if id_ in touched else f'there is no such {noun}'}.")
    if missing:
        raise typer.Exit(1)


def say(line: str) -> None:
    """A line for people."""
    print(line, flush=True)


def fail(sentence: str, code: int) -> int:
    """Say on stderr, and to programs as JSON, what went wrong; returns the exit code."""
    print(f"Error: {sentence}", file=sys.stderr)
    if wants_json():
        print_json({"error": sentence})
    return code


def wants_json() -> bool:
    """Whether a program asked. Read from the command line itself, which may be too wrong to be parsed."""
    return "--json" in sys.argv[1:]


def text(value: object) -> str:
    """A value as people read it."""
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S")
        case _:
            return str(value)


def harmless(words: str) -> str:
    """What others wrote, which may hold sequences that would drive a terminal, without any."""
    return "".join(letter if letter.isprintable() else " " for letter in words)


def count(number: int, noun: str, ending: str = "s") -> str:
    """`1 job`, `2 jobs`."""
    return f"{number:,} {noun}{'' if number == 1 else ending}"


def ago(moment: datetime | None) -> str:
    """How long since, or until, a moment."""
    if moment is None:
        return "-"
    seconds = round((utcnow() - moment).total_seconds())
    span = rough_duration(timedelta(seconds=abs(seconds)))
    return f"{span} ago" if seconds >= 0 else f"in {span}"
