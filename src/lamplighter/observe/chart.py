"""Numbers over time as pictures: a line of blocks for a terminal, and an SVG file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

BLOCKS = "▁▂▃▄▅▆▇█"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe, Ito: told apart by all eyes
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 240, 70, 20, 46, 30  # of one panel and its margins, in pixels
SMALLEST = 1e-300  # that a grid tells from nothing
LINES = 4  # that a panel's height is divided by


class Series(NamedTuple):
    """One line of a panel: values at the same distances in time."""

    name: str
    values: Sequence[float]


class Panel(NamedTuple):
    """One diagram. `ticks`: what is written below it, at their shares of the width."""

    title: str
    series: Sequence[Series]
    ticks: Sequence[tuple[float, str]]


def sparkline(values: Sequence[float]) -> str:
    """One character for each value, as high as its share of the greatest; a blank for nothing."""
    top = max(values, default=0)
    return "".join(BLOCKS[min(7, int(8 * value / top))] if value > 0 else " " for value in values)


def svg(panels: Sequence[Panel]) -> str:
    """The panels below each other, as one SVG document that needs nothing else."""
    height = HEIGHT * len(panels)
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    for number, panel in enumerate(panels):
        parts += [f'<g transform="translate(0 {HEIGHT * number})">', *_panel(panel), "</g>"]
    return "\n".join([*parts, "</svg>\n"])


def _panel(panel: Panel) -> Iterator[str]:
    top = nice(max((max(series.values, default=0) for series in panel.series), default=0))
    yield f'<text x="{LEFT}" y="18" font-weight="bold">{_text(panel.title)}</text>'
    yield from _grid(top)
    yield from _ticks(panel.ticks)
    x = float(LEFT)
    for number, series in enumerate(panel.series):
        colour = COLOURS[number % len(COLOURS)]
        yield f'<path d="{_path(series.values, top)}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        yield f'<rect x="{x:g}" y="27" width="10" height="10" fill="{colour}"/>'
        yield f'<text x="{x + 14:g}" y="36">{_text(series.name)}</text>'
        x += 30 + 7.5 * len(series.name)


def _grid(top: float) -> Iterator[str]:
    for number in range(LINES + 1):
        y = _y(top * number / LINES, top)
        yield f'<path d="M{LEFT} {y:g}H{WIDTH - RIGHT}" stroke="#ddd"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:g}" text-anchor="end">{top * number / LINES:,g}</text>'


def _ticks(ticks: Sequence[tuple[float, str]]) -> Iterator[str]:
    for share, name in ticks:
        x = LEFT + share * (WIDTH - LEFT - RIGHT)
        yield f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{_text(name)}</text>'


def _path(values: Sequence[float], top: float) -> str:
    """A step for each value, for it holds for a stretch of time."""
    width = (WIDTH - LEFT - RIGHT) / max(1, len(values))
    steps = [f"V{_y(value, top):.1f}H{LEFT + width * (number + 1):.1f}" for number, value in enumerate(values)]
    return f"M{LEFT} {_y(0, top):g}" + "".join(steps)


def _text(text: str) -> str:
    """Fit for XML, which bears no control characters at all."""
    return escape("".join(one if one.isprintable() else "?" for one in text))


def _y(value: float, top: float) -> float:
    room = HEIGHT - TOP - BOTTOM
    return TOP + room - room * value / top


def nice(value: float) -> float:
    """The first of 1, 2, 4, 5, 8 or 10 times a power of ten that is as large, so that a grid has short numbers."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(max(value, SMALLEST)))
    return next(times * power for times in (1, 2, 4, 5, 8, 10, 20) if times * power >= value)
