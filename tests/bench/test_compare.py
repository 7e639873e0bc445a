"""The pure parts of bench/compare: the measuring itself installs packages, and is run by hand."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parents[2] / "bench/compare.py"


@pytest.fixture
def compare() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_compare", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rounds_become_medians_and_the_spread_of_their_ratios(compare: ModuleType) -> None:
    assert compare._compare([300.0, 100.0, 200.0], [100.0, 100.0, 50.0]) == {
        "lamplighter": 200.0,
        "huey": 100.0,
        "ratio": 3.0,
        "ratio_least": 1.0,
        "ratio_most": 4.0,
    }


def test_figures_are_read_from_the_last_line(compare: ModuleType) -> None:
    told = json.dumps({"one_by_one_per_s": 12, "side_by_side_per_s": 7, "drain_per_s": 3.5, "more": "text"})
    program = [sys.executable, "-c", f"print('hello'); print({told!r})"]
    assert compare._figures(program) == {"one_by_one_per_s": 12.0, "side_by_side_per_s": 7.0, "drain_per_s": 3.5}


@pytest.mark.parametrize(("number", "first"), [(1, "huey"), (2, "lamplighter"), (3, "huey")])
def test_who_is_first_alternates(compare: ModuleType, monkeypatch: pytest.MonkeyPatch, number: int, first: str) -> None:
    asked: list[str] = []
    for name in ("lamplighter", "huey"):
        monkeypatch.setattr(compare, f"_{name}", lambda _options, _path, name=name: asked.append(name))
    compare._round(None, number)
    assert sorted(asked) == ["huey", "lamplighter"]
    assert asked[0] == first


def test_a_program_that_fails_ends_it_in_one_sentence(compare: ModuleType) -> None:
    with pytest.raises(SystemExit, match="ended with 3: what it says above tells why"):
        compare._figures([sys.executable, "-c", "import sys; sys.exit(3)"])


@pytest.mark.parametrize("option", ["--rounds", "--jobs", "--concurrency"])
def test_no_rounds_and_no_jobs_are_refused(
    compare: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["compare", option, "0"])
    with pytest.raises(SystemExit):
        compare._options()
    assert f"argument {option}: give 1 or more" in capsys.readouterr().err
