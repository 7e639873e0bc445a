"""The curves: which part has which points, where they are kept, and how they are shown."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
from bench.peers.page import DOCS, PAGE, replaced, shown
from bench.peers.subjects import STORES
from bench.results_file import read

from lamplighter.observe.chart import Panel, Series, svg

COMMAND = "python -m bench.scale"
DATA = DOCS / "why/scale.json"
DRAWING = DOCS / "images/scale.svg"
PICTURE = "![Rates and waits, as there is more of everything](../images/scale.svg)"

PARTS: Mapping[str, tuple[str, Sequence[int]]] = {
    "backlog": ("jobs that wait", (10_000, 100_000, 1_000_000)),
    "history": ("jobs that have ended", (0, 100_000, 1_000_000)),
    "tenants": ("tenants in the queue", (1, 100, 10_000)),
    "processes": ("worker processes", (1, 2, 4)),
    "due": ("jobs due at one moment", (100_000, 1_000_000)),
}
FIGURES = {
    "drain_per_s": "drain, jobs/s",
    "claim_ms": "claim of a hundred, ms",
    "first_late_s": "first late, s",
    "last_late_s": "last late, s",
}


class Point(msgspec.Struct, frozen=True):
    """Figures of one store at one place of a curve; each as often as it was measured."""

    part: str
    store: str
    x: int
    figures: dict[str, list[float]]


class Curves(msgspec.Struct, frozen=True):
    """All of one run."""

    measured: str
    machine: dict[str, str]
    points: list[Point]

    def at(self, part: str, figure: str, store: str) -> list[tuple[int, float]]:
        """The points of one curve, as medians."""
        found = [one for one in self.points if (one.part, one.store) == (part, store) and figure in one.figures]
        return [(one.x, statistics.median(one.figures[figure])) for one in sorted(found, key=lambda one: one.x)]


class _Diagram(NamedTuple):
    """One figure of one part, with a curve for each store that was measured."""

    title: str
    x: str
    curves: Mapping[str, Sequence[tuple[int, float]]]


def tables(curves: Curves) -> str:
    """One for each part: a line for each store and place."""
    machine = ", ".join(f"{name} {value}".strip() for name, value in curves.machine.items())
    return "\n\n".join([f"Measured {curves.measured} on {machine}.", *_tables(curves)]) + "\n"


def page(curves: Curves, before: str) -> str:
    """The page, with its curves replaced."""
    return replaced(before, COMMAND, f"{PICTURE}\n\n{tables(curves)}")


def drawing(curves: Curves) -> str:
    """A diagram for each figure of each part."""
    return svg([_panel(one) for one in _diagrams(curves)])


def write(curves: Curves) -> None:
    """Into the docs: the figures, the tables, the drawing."""
    DATA.write_bytes(msgspec.json.format(msgspec.json.encode(curves), indent=1) + b"\n")
    render()


def render() -> None:
    """The tables and the drawing anew, of the figures that the docs have."""
    curves = read(DATA, Curves)
    PAGE.write_text(page(curves, PAGE.read_text()))
    DRAWING.write_text(drawing(curves))


def _tables(curves: Curves) -> Iterator[str]:
    for part, (name, _) in PARTS.items():
        columns = [key for key in FIGURES if any(curves.at(part, key, store) for store in STORES)]
        rows = [one for one in curves.points if one.part == part]
        if rows:
            head = f"| {name} | on | " + " | ".join(FIGURES[key] for key in columns) + " |"
            lines = [
                _line(one, columns) for one in sorted(rows, key=lambda one: (list(STORES).index(one.store), one.x))
            ]
            yield "\n".join([head, "|---:|---|" + "---:|" * len(columns), *lines])


def _line(point: Point, columns: Sequence[str]) -> str:
    cells = [shown(statistics.median(point.figures[key])) if key in point.figures else "-" for key in columns]
    return f"| {point.x:,} | {point.store} | " + " | ".join(cells) + " |"


def _diagrams(curves: Curves) -> Iterator[_Diagram]:
    for part, (name, _) in PARTS.items():
        for figure, label in FIGURES.items():
            found = {store: at for store in STORES if (at := curves.at(part, figure, store))}
            if found:
                yield _Diagram(f"{label}, by {name}", name, found)


def _panel(diagram: _Diagram) -> Panel:
    """Steps of the same width: what is on the x axis grows tenfold from one to the next."""
    places = sorted({x for curve in diagram.curves.values() for x, _ in curve})
    series = [Series(store, [dict(curve).get(x, 0) for x in places]) for store, curve in diagram.curves.items()]
    ticks = [((number + 0.5) / len(places), f"{x:,}") for number, x in enumerate(places)]
    return Panel(diagram.title, series, ticks)
