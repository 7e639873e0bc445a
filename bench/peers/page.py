"""The figures as Markdown tables and as a drawing, and the page of the docs that shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from bench.peers.figures import NOTHING, RATES, WAITS, Kind, Results, Row, Spread, spread, times_better, written
from bench.peers.subjects import STORES
from bench.results_file import read

from lamplighter.cli.output import count
from lamplighter.observe.chart import COLOURS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "why/performance.md"
DATA = DOCS / "why/performance.json"
DRAWING = DOCS / "images/performance.svg"

COMMAND = "python -m bench.peers"
PICTURE = "![Jobs a second, drained and enqueued, on each store](../images/performance.svg)"
WIDTH, LEFT, RIGHT, LINE, HEAD = 860, 170, 90, 20, 44  # in pixels: of the drawing, its margins, a bar, a title
DRAWN = (RATES[3], RATES[1])


def tables(results: Results) -> str:
    """What stands between the two marks of the page."""
    parts = [_run(results)]
    for store, name in STORES.items():
        if rows := results.of(store):
            parts += [f"### {name}", _table(RATES, rows), _table(WAITS, rows), *_failures(rows)]
    parts += ["### How each is set up", _setups(results)]
    return "\n\n".join(parts) + "\n"


def page(results: Results, before: str) -> str:
    """The page, with its figures replaced."""
    return replaced(before, COMMAND, f"{PICTURE}\n\n{tables(results)}")


def replaced(before: str, command: str, text: str) -> str:
    """A page, with what that command wrote into it replaced."""
    begin, end = marks(command)
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    return pattern.sub(lambda _: f"{begin}\n\n{text}\n{end}", before)


def marks(command: str) -> tuple[str, str]:
    """What stands before and after what a command writes into a page."""
    return f"<!-- written by `{command} --docs` -->", f"<!-- end of what {command} wrote -->"


def write(results: Results) -> None:
    """Into the docs: the figures, the tables, the drawing."""
    DATA.write_bytes(written(results))
    render()


def render() -> None:
    """The tables and the drawing anew, of the figures that the docs have."""
    results = read(DATA, Results)
    PAGE.write_text(page(results, PAGE.read_text()))
    DRAWING.write_text(drawing(results))


def _run(results: Results) -> str:
    plan = results.plan
    machine = ", ".join(f"{name} {value}".strip() for name, value in results.machine.items())
    return (
        f"Measured {results.measured} on {machine}. {count(round(plan['rounds']), 'round')}; in each part up to "
        f"{plan['jobs']:,.0f} jobs, and up to {plan['seconds']:g} s."
    )


def _table(kinds: Sequence[Kind], rows: Sequence[Row]) -> str:
    ours = next((row for row in rows if row.ours), None)
    lines = ["| | " + " | ".join(f"{kind.label}, {kind.unit}" for kind in kinds) + " |", "|---|" + "---:|" * len(kinds)]
    for row in rows:
        if row.ran:
            cells = " | ".join(_cell(kind, row, ours) for kind in kinds)
            lines.append(f"| {'**' + row.label + '**' if row.ours else row.label} | {cells} |")
    return "\n".join(lines)


def _cell(kind: Kind, row: Row, ours: Row | None) -> str:
    """The median; then its spread of us, and of others how many times better we are, with the spread of that."""
    found = spread(row.values(kind))
    if found is None:
        return "-"
    if row.ours or ours is None:
        return f"{shown(found.median)} ({shown(found.least)}..{shown(found.most)})"
    ratio = times_better(kind, ours, row)
    return f"{shown(found.median)} · {_times(ratio)}" if ratio else shown(found.median)


def _times(ratio: Spread) -> str:
    return f"{shown(ratio.median)}x ({shown(ratio.least)}..{shown(ratio.most)})"


def shown(value: float) -> str:
    """With two digits that mean something, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2g}"


def _failures(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        if row.failed:
            which = "in all parts of all rounds" if row.ran else "at all"
            yield f"{row.label} could not be measured {which}: {row.failed}"


def _setups(results: Results) -> str:
    lines = ["| | version | on | set up with |", "|---|---|---|---|"]
    lines += [f"| {row.label} | {row.version or '-'} | {row.store} | {row.setup} |" for row in results.rows]
    return "\n".join(lines)


def drawing(results: Results) -> str:
    """How fast each drains and is added to: bars of medians, with lines from the least to the most."""
    parts: list[str] = []
    y = 0
    for store, name in STORES.items():
        for kind in DRAWN:
            rows = [row for row in results.of(store) if row.values(kind)]
            if rows:
                parts += _bars(f"{name.partition(' (')[0]}: {kind.label}, jobs/s", kind, rows, y)
                y += HEAD + LINE * len(rows)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + LINE}" width="{WIDTH}" height="{y + LINE}" '
        'font-family="sans-serif" font-size="12" fill="#222">'
    )
    return "\n".join([head, f'<rect width="{WIDTH}" height="{y + LINE}" fill="#fff"/>', *parts, "</svg>\n"])


def _bars(title: str, kind: Kind, rows: Sequence[Row], top: int) -> Iterator[str]:
    spreads = [spread(row.values(kind)) or NOTHING for row in rows]
    scale = (WIDTH - LEFT - RIGHT) / max(1e-9, *(one.most for one in spreads))
    yield f'<text x="{LEFT}" y="{top + 30}" font-weight="bold">{escape(title)}</text>'
    for number, (row, found) in enumerate(zip(rows, spreads, strict=True)):
        y = top + HEAD + LINE * number
        least, median, most = (LEFT + scale * value for value in (found.least, found.median, found.most))
        colour = COLOURS[1] if row.ours else COLOURS[0]
        yield f'<text x="{LEFT - 8}" y="{y + 11}" text-anchor="end">{escape(row.label)}</text>'
        yield f'<rect x="{LEFT}" y="{y}" width="{median - LEFT:.1f}" height="14" fill="{colour}"/>'
        yield f'<path d="M{least:.1f} {y + 7}H{most:.1f}" stroke="#222"/>'
        yield f'<text x="{most + 6:.1f}" y="{y + 11}">{shown(found.median)}</text>'
