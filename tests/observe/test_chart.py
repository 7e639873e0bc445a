"""Pictures of numbers."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamplighter.observe.chart import Panel, Series, nice, sparkline, svg

VALUES = st.lists(st.floats(0, 1e9), max_size=50)


def test_a_sparkline_is_as_high_as_its_greatest_value() -> None:
    assert sparkline([0, 1, 4, 8]) == " ▂▅█"
    assert sparkline([0.001, 1000]) == "▁█"
    assert sparkline([]) == ""
    assert sparkline([0, 0]) == "  "


@given(st.lists(st.tuples(st.text(), VALUES), max_size=8), st.text())
def test_a_drawing_of_anything_can_be_read_by_an_xml_parser(series: list[tuple[str, list[float]]], title: str) -> None:
    drawn = svg([Panel(title, [Series(name, values) for name, values in series], [(0, "now"), (1, "<then>")])])
    root = ET.fromstring(drawn)
    lines = [path for path in root.iter() if path.get("stroke-width") == "1.5"]
    assert len(lines) == len(series)


def test_names_are_no_markup() -> None:
    drawn = svg([Panel("a < b", [Series("</svg>", [1.0])], [])])
    assert "a &lt; b" in drawn
    assert drawn.count("</svg>") == 1


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (1, 1), (46, 50), (101, 200), (0.03, 0.04), (0.1, 0.1), (9999, 10_000)]
)
def test_a_grid_has_short_numbers(value: float, top: float) -> None:
    assert nice(value) == pytest.approx(top)


@given(st.floats(1e-6, 1e12))
def test_a_grid_has_room_for_every_value(value: float) -> None:
    assert value <= nice(value) <= 25 * value
