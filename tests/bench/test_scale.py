"""A small run of bench/scale, and what becomes of its points."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from bench.peers import page
from bench.results_file import read
from bench.scale import __main__ as program
from bench.scale import curves
from bench.scale.curves import PARTS, Curves, Point
from bench.scale.points import Size

from lamplighter.core.errors import LamplighterError

SMALL = Size(few=20, times=1, claims=1)
FOUND = Curves(
    "2026-01-01",
    {"": "2 cores"},
    [
        Point("backlog", "redis", 100_000, {"drain_per_s": [900.0, 1100.0, 1000.0], "claim_ms": [0.5]}),
        Point("backlog", "redis", 10_000, {"drain_per_s": [1200.0]}),
        Point("processes", "sqlite", 2, {"drain_per_s": [5000.0]}),
    ],
)


@pytest.mark.timeout(300)
def test_every_part_gives_its_figures() -> None:
    seen = []
    places = [("backlog", 150), ("history", 150), ("tenants", 3), ("processes", 2), ("due", 30)]
    found = program.run(
        [(part, "sqlite", x) for part, x in places], SMALL, lambda what, _done, _total: seen.append(what)
    )
    assert seen[3] == "sqlite: 2 worker processes"
    assert [(one.part, one.x) for one in found.points] == places
    assert {part for part, _ in places} == set(PARTS)
    figures = {one.part: set(one.figures) for one in found.points}
    assert figures["backlog"] == figures["history"] == figures["tenants"] == {"claim_ms", "drain_per_s"}
    assert figures["processes"] == {"drain_per_s"}
    assert figures["due"] == {"first_late_s", "last_late_s", "drain_per_s"}
    assert all(value > 0 for one in found.points for value in one.figures["drain_per_s"])


def test_curves_are_medians_in_the_order_of_what_grows() -> None:
    assert FOUND.at("backlog", "drain_per_s", "redis") == [(10_000, 1200), (100_000, 1000)]
    assert FOUND.at("backlog", "drain_per_s", "sqlite") == []
    shown = curves.tables(FOUND)
    assert "| jobs that wait | on | drain, jobs/s | claim of a hundred, ms |" in shown
    assert "| 10,000 | redis | 1,200 | - |\n| 100,000 | redis | 1,000 | 0.5 |" in shown
    assert "| worker processes | on | drain, jobs/s |" in shown


def test_each_figure_of_each_part_is_a_diagram() -> None:
    words = [text.text for text in ET.fromstring(curves.drawing(FOUND)).iter() if text.tag.endswith("text")]
    titles = [word for word in words if word and ", by " in word]
    assert titles == [
        "drain, jobs/s, by jobs that wait",
        "claim of a hundred, ms, by jobs that wait",
        "drain, jobs/s, by worker processes",
    ]
    assert "100,000" in words


def test_what_has_more_than_was_asked_for_is_left_out() -> None:
    places = list(program._places(["backlog", "tenants"], ["redis", "sqlite"], 10_000))
    assert places[:2] == [("backlog", "redis", 10_000), ("backlog", "sqlite", 10_000)]
    assert {x for _, _, x in places} == {10_000, 100, 1}


def test_what_cannot_be_read_is_measured_again(tmp_path: Path) -> None:
    with pytest.raises(LamplighterError, match="measure first"):
        read(tmp_path / "none.json", Curves)
    (tmp_path / "scale.json").write_text("[]")
    with pytest.raises(LamplighterError, match="measure again"):
        read(tmp_path / "scale.json", Curves)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--largest", "0"], "argument --largest: give 1 or more"),
        (["--only", "nothing"], "invalid choice: 'nothing'"),
        (["--docs", "--only", "due"], "leave out --only and --store"),
    ],
)
def test_what_makes_no_curves_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["scale", *arguments])
    with pytest.raises(SystemExit):
        program.main()
    assert says in capsys.readouterr().err


def test_the_docs_show_the_curves() -> None:
    shown = page.PAGE.read_text()
    if not curves.DATA.exists():  # figures come from a quiet machine; until then the page shows none
        assert "\n".join(page.marks(curves.COMMAND)) in shown
        return
    found = read(curves.DATA, Curves)
    assert curves.page(found, shown) == shown
    assert curves.DRAWING.read_text() == curves.drawing(found)
